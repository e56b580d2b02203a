"""The page in Chromium: it opens without a complaint, fits, and does what its controls say."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps

import simulator
from simulator.report.page import save_page
from simulator.report.report import Report
from simulator.trace.shapes import conv_layer

MOST_BYTES, MOST_SECONDS = 6e6, 2.0


@pytest.fixture(scope="module")
def address(mobilenet: dict[str, Report], tmp_path_factory: pytest.TempPathFactory) -> str:
    named = {"trace_reference": "a folder/mobilenet_v2.trace.safetensors", "trace_sha256": "0123456789abcdef" * 4}
    reports = {name: dataclasses.replace(report, meta={**report.meta, **named}) for name, report in mobilenet.items()}
    path = save_page(reports, tmp_path_factory.mktemp("page") / "report.html", "clock: 200 MHz\n")
    assert path.stat().st_size < MOST_BYTES
    return path.as_uri()


class Opened:
    """A page that has been opened, what it complained about, and after how many seconds it could be used."""

    def __init__(self, page: Any, address: str) -> None:
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: None if request.url == address else self.complaints.append(request.url))
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        self.seconds = int(page.locator("html").get_attribute("data-ready")) / 1000
        self.page = page


@pytest.fixture(scope="module")
def opened(browser: Any, address: str) -> Iterator[Opened]:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    yield Opened(page, address)
    page.close()


def test_it_can_be_used_within_two_seconds(opened: Opened, browser: Any, address: str) -> None:
    page = browser.new_page()
    seconds = [opened.seconds, Opened(page, address).seconds]
    page.close()
    print(seconds)
    assert min(seconds) < MOST_SECONDS
    assert opened.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_screen(browser: Any, address: str, width: int, scheme: str) -> None:
    """Nothing sticks out sideways, every control has a name, and the colours follow the scheme."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    opened = Opened(page, address)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    nameless = """[...document.querySelectorAll("button, select, input, a[href], [role=listbox], [role=img]")].filter(
        (node) => !(node.textContent.trim() || node.getAttribute("aria-label") || node.labels?.length)).length"""
    assert page.evaluate(nameless) == 0
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert len(page.screenshot(full_page=True)) > 50_000
    assert opened.complaints == []
    page.close()


def test_utilisation_changes_by_percentage_points(browser: Any, tmp_path: Path) -> None:
    trace = chain(conv_layer("a", (16, 16, 16), 16, (1, 1)))
    reports = {
        name: simulator.simulate(trace, small_accelerator(dram__bandwidth=name)) for name in ("1 GB/s", "1 MB/s")
    }
    before, now = (100 * report.totals["utilisation"] for report in reports.values())
    expected = f"−{before - now:.1f} pp"
    page = browser.new_page()
    Opened(page, save_page(reports, tmp_path / "page.html").as_uri())
    assert page.locator("dl.cards div", has_text="Array utilisation").locator("small").first.inner_text() == expected
    row = page.locator("#summary tr", has=page.locator("[title=utilisation]"))
    assert row.locator("td").last.text_content() == expected
    assert row.locator("th").text_content() == "array utilisation, of all cycles"
    page.close()


def test_hovering_shows_the_numbers_of_a_layer(opened: Opened, mobilenet: dict[str, Report]) -> None:
    page = opened.page
    page.locator("#bars #bar-0").scroll_into_view_if_needed()
    box = page.locator("#bars #bar-0").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 5)
    tip = page.locator("#tip")
    assert tip.is_visible()
    layer = mobilenet["pruned"].layers.iloc[0]
    together = tip.locator("tr", has_text="together").inner_text().split("\t")
    print(together)
    assert together[2] == f"{layer['dram_bytes'] / 1e6:.3g} MB"
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_a_finger_can_ask_for_the_numbers_too(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, has_touch=True)
    opened = Opened(page, address)
    bar = page.locator("#bars #bar-5")
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] - 5)
    assert page.locator("#tip").is_visible()
    tip, table = (page.locator(name).bounding_box() for name in ("#tip", "#tip table"))
    assert table["x"] + table["width"] <= tip["x"] + tip["width"], "the table sticks out of the tip"
    assert tip["x"] + tip["width"] <= 390
    assert bar.get_attribute("aria-selected") == "true"
    assert opened.complaints == []
    page.close()


def test_the_keyboard_walks_and_chooses_layers(opened: Opened, mobilenet: dict[str, Report]) -> None:
    page = opened.page
    page.locator("#bars").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.locator("#bars").get_attribute("aria-activedescendant") == "bar-1"
    page.keyboard.press("Enter")
    report = mobilenet["pruned"]
    name = report.layers["layer"][1]
    assert page.locator("#layer-panel h3").first.inner_text().startswith(name)
    loops = report.schedule[(report.schedule["layer"] == name) & (report.schedule["tiles"] > 1)]
    shown = page.locator("#layer-panel .loops").inner_text()
    for loop in loops.to_dict("records"):
        assert f"for {loop['loop']} in 0…{loop['extent']} by {loop['tile']}" in shown
    assert page.locator("#bars [aria-selected=true]").get_attribute("id") == "bar-1"


def test_operands_can_be_hidden(opened: Opened) -> None:
    page = opened.page
    button = page.locator("#by-layer .legend button", has_text="kernel")
    bars = "#bars rect.part.orange"
    before = page.locator(bars).count()
    button.click()
    assert (button.get_attribute("aria-pressed"), page.locator(bars).count()) == ("false", 0)
    button.click()
    assert page.locator(bars).count() == before > 0


def test_zooming_shows_fewer_layers(opened: Opened) -> None:
    page = opened.page
    bars = page.locator("#bars [role=option]")
    everything = bars.count()
    page.locator("#by-layer button[aria-label='Zoom in']").click()
    assert bars.count() == everything // 2
    box = page.locator("#bars").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 80, steps=4)
    page.mouse.up()
    bars.nth(everything // 2 - 1).wait_for(state="detached")
    page.locator("#by-layer button[aria-label='Show all']").click()
    assert bars.count() == everything


def test_every_quantity_has_its_bars_and_its_table(opened: Opened, mobilenet: dict[str, Report]) -> None:
    page = opened.page
    page.locator("#by-layer summary").click()
    select = page.locator("#quantity")
    names = select.locator("option").all_inner_texts()
    assert {"DRAM traffic", "Cycles", "Energy", "MACs"} <= set(names)
    for name in names:
        select.select_option(name)
        assert page.locator("#bars rect.part").count() > 0
        assert page.locator("#by-layer tbody tr").count() == len(mobilenet["pruned"].layers)
    select.select_option(names[0])
    page.locator("#by-layer summary").click()


def test_the_table_sorts_both_ways_and_narrows(opened: Opened, mobilenet: dict[str, Report]) -> None:
    page = opened.page
    order = mobilenet["pruned"].layers.sort_values("cycles", ascending=False, kind="stable")["layer"].tolist()
    head = page.locator("#table thead th", has_text="cycles")
    for expected, way in ((order[0], "descending"), (order[-1], "ascending")):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == way
        cycles = mobilenet["pruned"].layers.set_index("layer")["cycles"]
        first = page.locator("#table tbody tr th").first.inner_text()
        assert cycles[first] == cycles[expected]
    page.locator("#filter").fill("_dw")
    shown = page.locator("#table tbody tr th").all_inner_texts()
    assert shown
    assert all("_dw" in name for name in shown)
    page.locator("#filter").fill("")


def test_a_mark_of_the_roofline_chooses_its_layer(opened: Opened) -> None:
    page = opened.page
    page.locator("#roofline-chart").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    active = page.locator("#roofline-chart").get_attribute("aria-activedescendant")
    label = page.locator(f"#{active}").get_attribute("aria-label")
    page.keyboard.press("Enter")
    assert page.locator("#pick").input_value() == label.split(",")[0]


def test_nothing_was_complained_about_meanwhile(opened: Opened) -> None:
    assert opened.complaints == []


def test_images_that_differ_have_a_figure_and_names_stay_text(browser: Any, tmp_path: Path) -> None:
    """Three images, a single run, and a layer whose name is markup: no baseline, a curve with a dot per image."""
    name = "<img src=x onerror=alert(1)>"
    trace = with_random_maps(
        chain(conv_layer(name, (4, 8, 8), 8, (1, 1)), conv_layer("b", (8, 8, 8), 4, (1, 1))),
        np.random.default_rng(0),
        images=3,
        empty_maps=0.5,
    )
    report = simulator.simulate(trace, small_accelerator(), pruning="dynamic")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    opened = Opened(page, save_page({"only": report}, tmp_path / "page.html").as_uri())
    dots = page.locator("#spread-chart circle")
    assert dots.count() == 3
    dots.first.hover()
    fastest = report.images.sort_values("cycles", kind="stable")["images"].iloc[0]
    assert page.locator("#tip").inner_text().startswith(f"image {fastest}")
    assert page.locator("#table tbody tr th").all_inner_texts() == [name, "b"]
    assert page.locator("img").count() == 0
    assert opened.complaints == []
    page.close()
