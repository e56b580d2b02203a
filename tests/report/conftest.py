"""Chromium for the tests of pages, and the two runs that they show."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

import simulator
from simulator.report.report import Report

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(CHROMIUM)} is installed")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=found, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def mobilenet() -> dict[str, Report]:
    """The recorded MobileNetV2 on one image, without and with dynamic pruning."""
    trace = simulator.load_trace("mobilenet_v2")
    return {
        name: simulator.simulate(trace, "eyeriss", images=[0], pruning=pruning)
        for name, pruning in (("baseline", None), ("pruned", "dynamic"))
    }
