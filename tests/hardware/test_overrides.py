"""Overrides change one key of a preset and are checked like the file itself."""

import pytest

from simulator.errors import InputError
from simulator.hardware.load import load_accelerator
from simulator.hardware.sram_energy import energies_left_behind


def error_of(overrides: dict[str, object], name: str = "systolic-256") -> str:
    with pytest.raises(InputError) as caught:
        load_accelerator(name, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_override_changes_its_key_alone() -> None:
    before = load_accelerator("systolic-256")
    after = load_accelerator("systolic-256", {"buffers.ifm.capacity": "64 KiB"})
    assert after.buffers.ifm.capacity == 65536
    assert after.model_dump(exclude={"buffers": {"ifm": {"capacity"}}}) == before.model_dump(
        exclude={"buffers": {"ifm": {"capacity"}}}
    )
    assert load_accelerator("systolic-256") == before


def test_energies_that_stay_while_a_capacity_changes_are_named() -> None:
    def left(preset: str, *changed: str) -> list[str]:
        return energies_left_behind(load_accelerator(preset), changed)

    both = ["buffers.ifm.read_energy", "buffers.ifm.write_energy"]
    assert left("edge-npu", "buffers.ifm.capacity") == both
    assert left("edge-npu", "buffers.ifm.capacity", both[0]) == both[1:]
    assert left("edge-npu", "buffers.ifm.capacity", *both) == []
    assert left("edge-npu", "array.rows", "buffers.kernel.buffering") == []
    by_capacity = load_accelerator("edge-npu", dict.fromkeys(both))
    assert energies_left_behind(by_capacity, ["buffers.ifm.capacity"]) == []


def test_several_overrides_at_once() -> None:
    accelerator = load_accelerator("systolic-256", {"array.rows": 8, "array.columns": 4, "clock": "1 GHz"})
    assert (accelerator.array.macs, accelerator.clock) == (32, 1e9)


def test_a_section_that_the_file_leaves_out_can_be_overridden() -> None:
    accelerator = load_accelerator("systolic-256", {"compression.kernel": "bitmap", "pruning.side": "ifm"})
    assert (accelerator.compression.kernel.codec, accelerator.pruning.side) == ("bitmap", "ifm")


def test_a_whole_section_can_be_replaced() -> None:
    accelerator = load_accelerator("systolic-256", {"buffers.ofm": {"shared_with": "ifm"}})
    assert accelerator.buffers.home("ofm") == "ifm"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("array.rowz", 4, "override 'array.rowz': unknown key 'rowz' (expected one of: rows, columns, "),
        ("aray.rows", 4, "override 'aray.rows': unknown key 'aray' (expected one of: name, "),
        ("buffers.ifm.size", 4, "override 'buffers.ifm.size': unknown key 'size' (expected one of: capacity, "),
        ("clock.unit", "Hz", "override 'clock.unit': 'clock' is not a section"),
        ("", 1, "override '': unknown key ''"),
        ("clock", "3 GB", "with overrides: clock: expected a frequency such as '200 MHz' "),
        ("clock", 300, "with overrides: clock: expected a frequency such as '200 MHz' "),
        ("array.rows", -3, "with overrides: array.rows: expected more than 0, found -3"),
        ("array.rows", True, "with overrides: array.rows: expected a whole number, found true"),
        ("dram.row", "100 B", "with overrides: dram: row (100 B) must be a multiple of burst (64 B)"),
        ("array.unroll.rows", ["K"], "with overrides: array: 'unroll' belongs to dataflow: spatial"),
        ("buffers.ofm.share", 0.5, "with overrides: buffers: ofm.share: expected an operand that is shared_with ofm, "),
        ("buffers.ofm", {"capasity": "1 B"}, "with overrides: unknown key 'buffers.ofm.capasity' (expected one of: "),
        ("energy", None, "with overrides: energy: expected a section with the keys mac, "),
    ],
)
def test_a_wrong_override_is_refused(key: str, value: object, message: str) -> None:
    assert message in error_of({key: value})


def test_a_near_miss_is_suggested() -> None:
    assert error_of({"array.rowz": 4}).endswith("did you mean 'rows'?")


def test_a_loaded_accelerator_takes_no_overrides() -> None:
    accelerator = load_accelerator("eyeriss")
    with pytest.raises(InputError, match="overrides need the accelerator's name or file"):
        load_accelerator(accelerator, {"clock": "1 GHz"})


def test_keys_of_a_section_of_several_kinds_can_be_overridden() -> None:
    """`array.skipping` is one of several sections; a key of another kind is unknown, and the message says so."""
    skipping = load_accelerator("eie", {"array.skipping.fifo": 2}).array.skipping
    assert skipping is not None
    assert skipping.model_dump() == {"kind": "activation_broadcast", "fifo": 2, "index_bits": 4}
    with pytest.raises(InputError, match=r"unknown key 'array\.skipping\.brick'"):
        load_accelerator("eie", {"array.skipping.brick": 2})
