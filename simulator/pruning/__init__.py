"""Pruning: what is cut from a network before it runs (`static`) and while it runs (`dynamic`)."""
