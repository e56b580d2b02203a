"""Ready-made networks: one file each (or one per family), found by the registry."""
