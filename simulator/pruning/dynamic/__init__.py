"""Calibrating dynamic pruning: epsilons that save the most on an accelerator for a stated loss of accuracy."""
