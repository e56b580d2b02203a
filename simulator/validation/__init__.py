"""Published and measured numbers beside what the simulator says."""
