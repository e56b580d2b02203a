"""Runs on a real GPU or CPU, and what the simulator says of the same runs beside them."""
