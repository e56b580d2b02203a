"""Ways in which arrays exploit zeros: cycles and losses from the boolean maps of both operands."""
