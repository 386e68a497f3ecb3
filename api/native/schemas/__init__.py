"""The native API's JSON: what it takes and what it answers."""
