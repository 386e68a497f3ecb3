"""Where pictures are made: one module per provider, each exporting `Provider`."""
