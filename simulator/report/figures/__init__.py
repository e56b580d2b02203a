"""Figures of reports for papers and slides, drawn with matplotlib and without any window or global state."""
