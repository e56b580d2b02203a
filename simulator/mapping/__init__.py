"""Layer × accelerator → schedule: loop nests, dataflows, the search for tiles."""
