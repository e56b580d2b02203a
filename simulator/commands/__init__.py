"""The commands of `fmapsim`, one file per group; `simulator.cli` assembles them. Heavy imports wait for the command."""
