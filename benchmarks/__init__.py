"""Speed and memory of fmapsim, measured in fresh processes; `python -m benchmarks` runs them."""
