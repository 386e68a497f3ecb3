"""The history of the schema, one sentence a file; `migrations.runner` walks it."""
