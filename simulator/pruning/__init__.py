"""Pruning: what a network can do without."""
