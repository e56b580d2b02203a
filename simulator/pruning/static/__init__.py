"""Static pruning: channels, weights and bit widths chosen before a network runs."""
