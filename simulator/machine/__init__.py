"""The machine: per-layer costs as arrays from real zero-maps, then SimPy processes that play them against each other."""
