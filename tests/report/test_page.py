"""The page as a file: it needs nothing else, whatever names it shows, and its colours can be told apart."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from builders import chain, small_accelerator

import simulator
from simulator.errors import InputError
from simulator.report.page import page_html, save_page
from simulator.report.page.command import images_text, simulate_command
from simulator.report.report import Report
from simulator.trace.shapes import conv_layer

CSS = (Path(simulator.__file__).parent / "report/page/assets/page.css").read_text(encoding="utf-8")
SCHEMES = {"light": CSS.split("@media (prefers-color-scheme: dark)")[0], "dark": CSS.split("prefers-color-scheme")[1]}
WORDS = [("text", "page"), ("text", "panel"), ("text", "marked"), ("quiet", "page"), ("quiet", "panel")] + [
    (name, ground) for name in ("accent", "better", "worse") for ground in ("page", "panel")
]
WORDS += [("accent", "marked")]
SHAPES = ("control", "blue", "orange", "green", "vermillion", "purple", "sky", "yellow", "black", "grey")


def report(layer: str = "conv") -> Report:
    trace = chain(conv_layer(layer, (4, 8, 8), 8, (3, 3)), conv_layer("b", (8, 6, 6), 4, (3, 3)))
    return simulator.simulate(trace, small_accelerator())


def data_of(page: str) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(text)


class Elements(HTMLParser):
    """All start tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_names_no_other_file_and_no_address() -> None:
    parser = Elements()
    parser.feed(page_html({"run": report()}))
    for tag, attributes in parser.found:
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    policy = [attributes for tag, attributes in parser.found if attributes.get("http-equiv")]
    assert "default-src 'none'" in str(policy)


def test_names_cannot_leave_the_data() -> None:
    layer = "</script><script>alert(1)</script><!--"
    page = page_html({"run": report(layer)})
    assert layer not in page
    assert data_of(page)["layers"][0] == layer


def test_the_numbers_are_the_reports() -> None:
    found = report()
    (run,) = data_of(page_html({"run": found}))["runs"]
    assert run["totals"]["cycles"] == found.totals["cycles"]
    assert run["layers"]["dram_bytes"] == found.layers["dram_bytes"].tolist()
    operands = ("ifm", "kernel", "ofm", "psum", "metadata")
    assert sum(sum(run["values"][operand]) for operand in operands) == found.totals["dram_bytes"]
    assert run["layers"]["bound"] == simulator.report.bound.bounds(found.layers)
    assert run["schedule"]["loop"] == found.schedule["loop"].tolist()


def test_every_number_has_a_label_and_totals_of_a_kind_stand_together() -> None:
    found = report()
    data = data_of(page_html({"run": found}))
    columns = [*found.totals, *found.layers.select_dtypes("number").columns]
    assert [name for name in columns if name not in data["labels"]] == []
    assert len(set(data["labels"].values())) == len(data["labels"])
    names = list(data["runs"][0]["totals"])
    assert set(names) == set(found.totals)
    for ending in ("bytes", "cycles"):
        places = [at for at, name in enumerate(names) if name.endswith(ending) and name != "statistical_cycles"]
        between = names[places[0] : places[-1]]
        print(ending, between)
        assert not any(name in between for name in ("seconds", "energy_pj", "macs_dense"))


def test_a_page_is_for_one_run_or_two(tmp_path: Path) -> None:
    for reports in ({}, dict.fromkeys("abc", report())):
        with pytest.raises(InputError, match=f"one report or two, found {len(reports)}"):
            page_html(reports)
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        save_page({"run": report()}, blocker / "page.html")


def test_the_command_repeats_the_run() -> None:
    meta = {
        "trace": "my net",
        "accelerator": "eyeriss",
        "overrides": {"buffers.ifm.capacity": "64 KiB"},
        "images": [[2, 3], [4, 5]],
        "batch": 2,
        "pruning": {"kind": "dynamic"},
    }
    assert simulate_command(meta) == (
        "fmapsim simulate 'my net' --hardware eyeriss --set 'buffers.ifm.capacity=64 KiB' --images 2:6 --batch 2 "
        "--pruning dynamic --out report"
    )
    assert "--hardware accelerator.yaml --images" in simulate_command(meta, with_file=True)
    assert [images_text(images) for images in ([], [3], [1, 2, 3], [5, 2])] == ["", "3:4", "1:4", "5,2"]


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_and_shapes_stand_out_from_what_is_behind_them(scheme: str) -> None:
    """WCAG 2.2 AA: 4.5 for text, 3 for what figures and controls are made of."""
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", SCHEMES[scheme]))
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    found = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in WORDS}
    print({pair: round(value, 2) for pair, value in found.items()})
    assert min(found.values()) >= 4.5
    shapes = {name: contrast(colours[name], colours["page"]) for name in SHAPES}
    print({name: round(value, 2) for name, value in shapes.items()})
    assert min(shapes.values()) >= 3
