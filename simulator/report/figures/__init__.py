"""Figures of reports for papers and slides, drawn with matplotlib, without windows or pyplot's global state."""

from simulator.report.figures.accuracy import accuracy_against_bytes
from simulator.report.figures.per_layer import array_breakdown, bandwidth_breakdown, cycle_breakdown
from simulator.report.figures.roofline import roofline
from simulator.report.figures.save import save_figures
from simulator.report.figures.spread import image_spread
from simulator.report.figures.style import publication_style
from simulator.report.figures.totals import energy_breakdown, network_breakdown

__all__ = [
    "accuracy_against_bytes",
    "array_breakdown",
    "bandwidth_breakdown",
    "cycle_breakdown",
    "energy_breakdown",
    "image_spread",
    "network_breakdown",
    "publication_style",
    "roofline",
    "save_figures",
]
