"""What keeps the multipliers of an array from effectual products."""

LOSSES = ("ineffectual", "fragmentation", "bank_conflicts", "imbalance", "halo", "outside", "metadata", "load")
"""Why a multiplier did no effectual product in a cycle.

ineffectual: an operand was zero and the scheme does not skip it. fragmentation: groups of operands were not full, so it
had none. bank_conflicts: results waited for an accumulator bank. imbalance: its PE or lane waited for a slower one.
halo: psums were exchanged between PEs. outside: its product belongs to no output. metadata: it spent the cycle on an
entry that only says where zeros are (padding zeros, empty bricks). load: the stationary operand was brought in.
"""
