"""A broken accelerator file gives one line: file, line, key, what was found, what was expected."""

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.hardware.load import load_accelerator

GOOD = """\
name: small
description: for the tests
clock: 1 GHz
array:
  rows: 4
  columns: 8
  dataflow: weight_stationary
buffers:
  ifm: {capacity: 8 KiB}
  kernel: {capacity: 4 KiB}
  ofm: {capacity: 2 KiB}
dram:
  name: DDR4
  bandwidth: 10 GB/s
  burst: 64 B
  row: 2 KiB
  row_miss: 1 ns
  energy: 8 pJ/bit
precision: {ifm: 8 bit, kernel: 8 bit, ofm: 8 bit}
energy:
  mac: 0.3 pJ
"""


def error_of(folder: Path, text: str) -> str:
    """The message for a file of this text, without the folder; fails when there is none or it is not one line."""
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_accelerator(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message.removeprefix(str(folder))) < 250, message
    return message.removeprefix(f"{folder}/")


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, f"{old!r} must stand once in GOOD"
    return GOOD.replace(old, new)


def test_the_unchanged_file_loads(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert load_accelerator(path).array.macs == 32


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # unknown keys, with a suggestion even when another key is missing because of it
        ("columns:", "colums:", "a.yaml:6: unknown key 'array.colums' (expected one of: rows, columns, "),
        ("array:", "aray:", "a.yaml:4: unknown key 'aray' (expected one of: name, description, clock, array, "),
        ("capacity: 4", "capcity: 4", "a.yaml:10: unknown key 'buffers.kernel.capcity' (expected one of: capacity, "),
        ("  mac: 0.3 pJ", "  mac: 0.3 pJ\n5: x", "a.yaml:22: unknown key '5' (expected one of: name, "),
        # keys that stand twice
        ("columns: 8", "rows: 5", "a.yaml:6: key 'array.rows' stands twice (first on line 5)"),
        ("energy:\n", "clock: 2 GHz\nenergy:\n", "a.yaml:20: key 'clock' stands twice (first on line 3)"),
        (
            "{capacity: 2 KiB}",
            "{capacity: 2 KiB, capacity: 1 KiB}",
            "a.yaml:11: key 'buffers.ofm.capacity' stands twice",
        ),
        # units
        ("1 GHz", "1 GB", "a.yaml:3: clock: expected a frequency such as '200 MHz' (units: Hz, kHz, MHz, GHz, THz), "),
        ("1 GHz", "1000", "found 1000"),
        ("1 GHz", "-1 GHz", "found '-1 GHz'"),
        ("8 KiB", "8 KB", "a.yaml:9: buffers.ifm.capacity: expected a size such as '108 KiB' (units: B, kB, MB, "),
        ("burst: 64 B", "burst:", "a.yaml:15: dram.burst: expected a size such as '108 KiB' "),
        ("64 B", "64.5 B", "a.yaml:15: dram.burst: expected a whole number of B, found '64.5 B'"),
        (
            "ifm: 8 bit",
            "ifm: 8 bits",
            "a.yaml:19: precision.ifm: expected a width such as '16 bit' (units: bit), found ",
        ),
        # missing keys: the line of the section
        ("clock: 1 GHz", "#", "a.yaml:1: key 'clock' is missing"),
        ("  columns: 8\n", "", "a.yaml:4: key 'array.columns' is missing"),
        (
            "{capacity: 2 KiB}",
            "{}",
            "a.yaml:11: buffers.ofm: expected either 'capacity' or 'shared_with', found neither",
        ),
        # impossible values
        ("1 GHz", "0 Hz", "a.yaml:3: clock must be more than 0 Hz"),
        ("rows: 4", "rows: 0", "a.yaml:5: array.rows: expected more than 0, found 0"),
        ("10 GB/s", "0 GB/s", "a.yaml:14: dram: bandwidth must be more than 0 B/s"),
        ("row: 2 KiB", "row: 100 B", "a.yaml:16: dram: row (100 B) must be a multiple of burst (64 B)"),
        ("{capacity: 2 KiB}", "{capacity: 0 B}", "a.yaml:11: buffers.ofm: capacity must be more than 0 B"),
        ("ofm: 8 bit", "ofm: 16 bit", "a.yaml:19: precision: ifm (8 bit) and ofm (16 bit) are the same tensors"),
        ("ofm: 8 bit", "ofm: 8 bit, psum: 99 bit", "a.yaml:19: precision: psum must be 1 to 64 bit, found 99 bit"),
        (
            "{capacity: 2 KiB}",
            "{capacity: 2 KiB, share: 0.2, shared_with: ifm}",
            "a.yaml:11: buffers.ofm: share: expected either 'share' or 'capacity' beside 'shared_with', found both",
        ),
        (
            "{capacity: 2 KiB}",
            "{shared_with: ofm}",
            "a.yaml:11: buffers: ofm.shared_with must name an operand that has",
        ),
        ("{capacity: 2 KiB}", "{shared_with: psum}", "shared_with: expected 'ifm', 'kernel' or 'ofm', found 'psum'"),
        # wrong types
        ("rows: 4", "rows: true", "a.yaml:5: array.rows: expected a whole number, found true"),
        ("rows: 4", "rows: 4.5", "a.yaml:5: array.rows: expected a whole number, found 4.5"),
        ("rows: 4", "rows: four", "a.yaml:5: array.rows: expected a whole number, found 'four'"),
        ("rows: 4", "rows:", "a.yaml:5: array.rows: expected a whole number, found nothing"),
        (
            "name: small",
            "name: 256",
            "a.yaml:1: name: expected text (in quotes when it looks like a number), found 256",
        ),
        ("2 KiB}", "2 KiB, double_buffered: maybe}", "double_buffered: expected true or false, found 'maybe'"),
        (
            "{capacity: 2 KiB}",
            "2 KiB",
            "a.yaml:11: buffers.ofm: expected a section with the keys capacity, shared_with",
        ),
        # choices, and what goes with what
        ("weight_stationary", "row_systolic", "a.yaml:7: array.dataflow: expected 'weight_stationary', "),
        (
            "  columns: 8",
            "  columns: 8\n  zeros: {ifm: no}",
            "zeros.ifm: expected 'none', 'gate' or 'skip', found false",
        ),
        (
            "  columns: 8",
            "  columns: 8\n  zeros: {ifm: skip}",
            "a.yaml:7: array: zeros: skip belongs to dataflow: spatial",
        ),
        (
            "  columns: 8",
            "  columns: 8\n  macs_per_pe: 2",
            "a.yaml:7: array: macs_per_pe must be 1 for dataflow: weight",
        ),
        (
            "weight_stationary",
            "spatial",
            "a.yaml:4: array: 'unroll' belongs to dataflow: spatial, and dataflow: spatial",
        ),
        (
            "  columns: 8",
            "  columns: 8\n  unroll: {rows: [K]}",
            "a.yaml:7: array: 'unroll' belongs to dataflow: spatial",
        ),
        (
            "  columns: 8",
            "  columns: 8\n  skipping: {kind: nonzero_pairs}",
            "a.yaml:7: array: 'skipping' belongs to dataflow: zero_skipping",
        ),
        ("weight_stationary", "zero_skipping", "a.yaml:4: array: 'skipping' belongs to dataflow: zero_skipping"),
        *(
            ("weight_stationary", f"zero_skipping\n  {keys}", message)
            for keys, message in [
                ("skipping: {kind: eie}", "array.skipping: kind: expected one of 'cartesian_product', "),
                ("skipping: {fifo: 8}", "array.skipping: expected a key 'kind'"),
                ("skipping: {kind: nonzero_pairs, fifo: 8}", "unknown key 'array.skipping.fifo'"),
                ("skipping: {kind: packed_kernels, load_elements: 0}", "load_elements: expected more than 0, found 0"),
                ("skipping: {kind: activation_lanes}", "key 'array.skipping.brick' is missing"),
                (
                    "zeros: {ifm: gate}\n  skipping: {kind: nonzero_pairs}",
                    "zeros: skipping: nonzero_pairs says already what zeros of both operands do",
                ),
                (
                    "macs_per_pe: 2\n  skipping: {kind: nonzero_pairs}",
                    "macs_per_pe must be 1 for skipping: nonzero_pairs",
                ),
                ("count: 2\n  skipping: {kind: nonzero_pairs}", "nonzero_pairs works on one array without"),
                (
                    "skipping: {kind: cartesian_product, activations: 4, weights: 4, banks: 32, accumulators: 64}",
                    "macs_per_pe must be 16, activations · weights of skipping: cartesian_product, found 1",
                ),
                (
                    "skipping: {kind: structured_kernels, nonzeros: 4, group: 4}",
                    "nonzeros must be less than group (4), found 4",
                ),
            ]
        ),
        (
            "energy:\n",
            "pruning: {granularity: tile}\nenergy:\n",
            "a.yaml:20: pruning: 'tile' belongs to granularity: tile",
        ),
        ("energy:\n", "layout: NHCW\nenergy:\n", "a.yaml:20: layout: expected one of NCHW, NHWC, NCHW4, "),
    ],
)
def test_message_names_line_key_and_expectation(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert message in error_of(tmp_path, changed(old, new))


def test_a_near_miss_is_suggested(tmp_path: Path) -> None:
    assert "did you mean 'columns'?" in error_of(tmp_path, changed("columns:", "colums:"))


@pytest.mark.parametrize(
    ("unroll", "message"),
    [
        ("{rows: [X]}", "array.unroll.rows[0]: expected one of the loops N, G, K, C, P, Q, R, S, "),
        ("{rows: [K, 'C:0']}", "array.unroll.rows[1]: expected one of the loops"),
        ("{rows: [K: 4]}", "with or without a limit as in 'C:16', found {'K': 4}"),
        ("{rows: [3]}", "found 3"),
        ("{rows: K}", "array.unroll.rows: expected a list in square brackets, found 'K'"),
        ("{}", "array: 'unroll' names no loop dimension"),
        ("[K]", "array.unroll: expected a section with the keys rows, columns, pe, found ['K']"),
    ],
)
def test_unrolled_loops_are_checked(tmp_path: Path, unroll: str, message: str) -> None:
    text = changed("dataflow: weight_stationary", f"dataflow: spatial\n  unroll: {unroll}")
    assert f"a.yaml:8: {message}" in error_of(tmp_path, text) or message in error_of(tmp_path, text)


@pytest.mark.parametrize(
    ("tile", "message"),
    [
        ("4", "pruning.tile: expected a list in square brackets, found 4"),
        ("[4]", "value 'pruning.tile[1]' is missing"),
        ("[4, 4, 4]", "pruning.tile: expected at most 2 values, found [4, 4, 4]"),
        ("[4, -4]", "pruning.tile[1]: expected more than 0, found -4"),
    ],
)
def test_a_pruned_tile_is_two_sizes(tmp_path: Path, tile: str, message: str) -> None:
    text = f"{GOOD}pruning: {{granularity: tile, tile: {tile}}}\n"
    assert message in error_of(tmp_path, text)


@pytest.mark.parametrize("value", ["5", "[1, 2]", "", "text"])
def test_a_section_that_is_none(tmp_path: Path, value: str) -> None:
    text = GOOD[: GOOD.index("precision")] + f"precision: {value}\n" + GOOD[GOOD.index("energy:\n") :]
    message = error_of(tmp_path, text)
    assert "a.yaml:19: precision: expected a section with the keys ifm, kernel, ofm, psum, found " in message


def test_three_problems_are_named_and_further_ones_counted(tmp_path: Path) -> None:
    text = changed("rows: 4", "rows: 0").replace("1 GHz", "1 GB")
    message = error_of(tmp_path, text)
    assert "a.yaml:3: clock: expected a frequency such as '200 MHz'" in message
    assert message.endswith(", found '1 GB'; line 5: array.rows: expected more than 0, found 0")
    text = text.replace("columns: 8", "columns: -1")
    message = error_of(tmp_path, text)
    assert message.endswith("found 0; line 6: array.columns: expected more than 0, found -1")
    text = text.replace("2 KiB", "2 KB")
    assert error_of(tmp_path, text).endswith("; line 6: array.columns: expected more than 0, found -1 (and 2 more)")


def test_a_misspelt_key_is_one_mistake(tmp_path: Path) -> None:
    """The key that it was meant for is not called missing; another one that is missing is."""
    message = error_of(tmp_path, changed("columns:", "colums:"))
    assert message.endswith("did you mean 'columns'?")
    message = error_of(tmp_path, changed("columns: 8", "colums: 8").replace("  rows: 4\n", ""))
    assert message.endswith("did you mean 'columns'?; line 4: key 'array.rows' is missing")


def test_a_key_that_others_call_otherwise_is_suggested(tmp_path: Path) -> None:
    message = error_of(tmp_path, changed("{capacity: 2 KiB}", "{size: 2 KiB}"))
    assert "unknown key 'buffers.ofm.size'" in message
    assert message.endswith("; did you mean 'capacity'?")


def test_mistakes_in_the_file_and_in_overrides(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(changed("rows: 4", "rows: 0"))
    with pytest.raises(InputError) as caught:
        load_accelerator(path, {"clock": "1"})
    assert str(caught.value).startswith(f"{path} with overrides: clock: expected a frequency")
    assert str(caught.value).endswith("; line 5: array.rows: expected more than 0, found 0")
    with pytest.raises(InputError) as caught:
        load_accelerator(path, {"array.rows": 0, "array.columns": 0})
    found = "array.rows: expected more than 0, found 0; array.columns: expected more than 0, found 0"
    assert str(caught.value) == f"{path} with overrides: {found}"


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: no such accelerator file"):
        load_accelerator(tmp_path / "none.yaml")


def test_a_preset_that_does_not_exist_suggests_one() -> None:
    with pytest.raises(InputError, match=r"neither a file nor a preset .* did you mean 'eyeriss'\?"):
        load_accelerator("eyeris")
