"""A run as a timeline in the Chrome trace-event format, for ui.perfetto.dev and chrome://tracing."""

from simulator.report.timeline.save import save_timeline

__all__ = ["save_timeline"]
