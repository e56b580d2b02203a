"""Structures: how many channels each group keeps. One module per way to decide it."""
