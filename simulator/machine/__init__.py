"""The machine: costs of each layer as arrays from real zero-maps, then SimPy processes that play them."""
