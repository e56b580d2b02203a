"""The figure of how images differ."""

from pathlib import Path

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps

import simulator
from simulator.errors import InputError
from simulator.report.figures import image_spread, save_figures
from simulator.report.report import Report
from simulator.trace.shapes import conv_layer


def report(images: int, pruning: str = "dynamic") -> Report:
    layers = conv_layer("a", (4, 8, 8), 16, (1, 1)), conv_layer("b", (16, 8, 8), 8, (1, 1))
    trace = with_random_maps(chain(*layers), np.random.default_rng(2), images=images, empty_maps=0.5)
    return simulator.simulate(trace, small_accelerator(layout="NCHW"), pruning=pruning)


def test_each_curve_steps_through_the_images_costs() -> None:
    reports = {"pruned": report(6)}
    times, traffic, layers = image_spread(reports).axes
    (curve, tail) = traffic.lines
    moved = np.sort(reports["pruned"].images["dram_bytes"].to_numpy(float))
    drawn = np.asarray(curve.get_xdata(), float)[1:]
    assert drawn / drawn[0] == pytest.approx(moved / moved[0])
    assert np.asarray(curve.get_ydata(), float)[-1] == 100
    assert float(np.asarray(tail.get_xdata())[0]) / drawn[0] == pytest.approx(np.percentile(moved, 95) / moved[0])
    assert times.get_xlabel().startswith("Time (")
    assert [label.get_text() for label in layers.get_yticklabels()]


def test_layers_are_of_a_run_that_is_named_and_their_bars_end_inside() -> None:
    figure = image_spread({"baseline": report(6, "none"), "pruned": report(6)})
    layers = figure.axes[2]
    assert [text.get_text() for text in layers.texts] == ["Layers of pruned, all 2 that vary"]
    low, high = layers.get_xlim()
    for bar in layers.patches:
        left, width = bar.get_x(), bar.get_width()
        assert low < left < left + width < high
    title = figure.texts[0].get_text()
    assert title.endswith(", 6 images")
    assert "mean" not in title


def test_few_images_or_equal_ones_have_no_spread(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 batches or more"):
        image_spread({"a": report(2)})
    with pytest.raises(InputError, match="cost the same"):
        image_spread({"a": report(4, "none")})
    drawn = save_figures({"a": report(4, "none")}, tmp_path, formats=("png",))
    assert "spread.png" not in {path.name for path in drawn}
    drawn = save_figures({"a": report(4)}, tmp_path, formats=("png",))
    assert "spread.png" in {path.name for path in drawn}
