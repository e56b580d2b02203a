"""The demo: a small network trained here and now, recorded, pruned, and simulated on two accelerators."""
