"""Criteria: how much each channel matters. One module each, found by name through the registry."""
