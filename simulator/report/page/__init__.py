"""A report as one self-contained HTML page, interactive without a server or a network."""

from simulator.report.page.save import page_html, save_page

__all__ = ["page_html", "save_page"]
