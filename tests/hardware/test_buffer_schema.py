"""Buffers in an accelerator file: banks, ports, bandwidths, buffering, and parts of a shared buffer."""

import pytest

from simulator.errors import InputError
from simulator.hardware.buffer import Buffers
from simulator.hardware.load import load_accelerator


def buffers(**overrides: object) -> Buffers:
    """The buffers of nvdla-2048 (IFM and kernels share 512 KiB), changed."""
    return load_accelerator("nvdla-2048", {f"buffers.{key}": value for key, value in overrides.items()}).buffers


def error_of(**overrides: object) -> str:
    with pytest.raises(InputError) as caught:
        buffers(**{key.replace("__", "."): value for key, value in overrides.items()})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_buffers_are_unlimited_unified_and_double_buffered_unless_the_file_says_otherwise() -> None:
    found = buffers()
    assert not found.limited
    assert [(space.home, space.operands, space.capacity) for space in found.spaces] == [
        ("ifm", ("ifm", "kernel"), 512 * 1024),
        ("ofm", ("ofm",), 32 * 1024),
    ]
    assert [found.copies(operand) for operand in ("ifm", "kernel", "ofm")] == [2, 2, 2]


def test_both_spellings_of_buffering_say_the_same() -> None:
    assert buffers(**{"ofm.buffering": 1}) != buffers(**{"ofm.double_buffered": False})
    assert buffers(**{"ofm.double_buffered": False}).copies("ofm") == 1
    assert [buffers(**{"ofm.buffering": number}).copies("ofm") for number in (1, 2, 3)] == [1, 2, 3]
    assert buffers(**{"ofm": {"capacity": "1 KiB", "buffering": 2, "double_buffered": True}}).copies("ofm") == 2


def test_an_override_replaces_the_older_spelling_of_the_file() -> None:
    accelerator = load_accelerator("eyeriss", {"buffers.kernel.buffering": 3, "buffers.ifm.buffering": 2})
    assert (accelerator.buffers.copies("kernel"), accelerator.buffers.copies("ifm")) == (3, 2)
    assert accelerator.buffers.copies("ofm") == 1


@pytest.mark.parametrize(("buffering", "older"), [(3, True), (3, False), (1, True), (2, False)])
def test_spellings_that_contradict_each_other_are_refused(buffering: int, older: bool) -> None:
    message = error_of(ofm__buffering=buffering, ofm__double_buffered=older)
    expected = 2 if older else 1
    assert f"buffers.ofm: buffering: expected {expected}, as double_buffered is {str(older).lower()}, " in message
    assert message.endswith(f"found {buffering}")


def test_a_fixed_part_is_a_fraction_or_bytes() -> None:
    for part in ({"kernel.share": 0.25}, {"kernel.capacity": "128 KiB"}):
        kernel, ifm = buffers(**part).spaces[:2]
        assert (kernel.operands, kernel.capacity) == (("kernel",), 128 * 1024)
        assert (ifm.operands, ifm.capacity) == (("ifm",), 384 * 1024)
    split = buffers(**{"ifm.share": 0.5, "kernel.share": 0.5}).spaces
    assert [(space.operands, space.capacity) for space in split[:2]] == [(("ifm",), 2**18), (("kernel",), 2**18)]


def test_operands_without_a_part_share_what_is_left() -> None:
    found = buffers(**{"ofm": {"shared_with": "ifm", "share": 0.25}}).spaces
    assert [(space.operands, space.capacity) for space in found] == [
        (("ofm",), 128 * 1024),
        (("ifm", "kernel"), 384 * 1024),
    ]


def test_bandwidth_follows_from_banks_and_width() -> None:
    found = buffers(**{"ifm.banks": 16, "ifm.width": "512 bit"})
    assert found.limited
    assert found.of("kernel").peak_bandwidth == 1024
    assert found.ifm.takes_turns
    assert not buffers(**{"ifm.width": "64 bit", "ifm.ports": 2}).ifm.takes_turns
    assert not buffers(**{"ifm.read_bandwidth": "64 B/cycle"}).ifm.takes_turns
    assert buffers(**{"ifm.read_bandwidth": "64 bit/cycle"}).ifm.read_bandwidth == 8


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"ifm.banks": 4}, "buffers.ifm: banks: expected 'width' beside it, the bits of a bank's word, found 4 alone"),
        ({"ifm.ports": 1}, "buffers.ifm: ports: expected 'width' or a bandwidth beside it, found 1 alone"),
        ({"ifm.ports": 3}, "buffers.ifm.ports: expected 1 or 2, found 3"),
        ({"ifm.ports": True}, "buffers.ifm.ports: expected 1 or 2, found true"),
        ({"ifm.banks": 0}, "buffers.ifm.banks: expected more than 0, found 0"),
        ({"ifm.width": "0 bit"}, "buffers.ifm: width must be more than 0 bit"),
        ({"ifm.width": 64}, "buffers.ifm.width: expected a width such as '16 bit' (units: bit), found 64"),
        ({"ifm.buffering": 4}, "buffers.ifm.buffering: expected 1, 2 or 3, found 4"),
        ({"ifm.interleaving": "rows"}, "buffers.ifm.interleaving: expected 'address' or 'lanes', found 'rows'"),
        ({"ifm.read_bandwidth": "8 B"}, "buffers.ifm.read_bandwidth: expected a bandwidth such as '64 B/cycle' "),
        ({"ifm.write_bandwidth": "0 B/cycle"}, "buffers.ifm: write_bandwidth must be more than 0 B/cycle"),
        (
            {"ifm.width": "64 bit", "ifm.banks": 2, "ifm.read_bandwidth": "20 B/cycle"},
            "buffers.ifm: read_bandwidth: expected at most the 16 B/cycle of all banks together, found 20 B/cycle",
        ),
        (
            {"kernel.width": "64 bit"},
            "buffers.kernel: width: a shared buffer takes it from the buffer that it shares, found its own",
        ),
        ({"kernel.share": 0}, "buffers.kernel.share: expected a fraction above 0 and up to 1, found 0"),
        ({"kernel.share": 1.5}, "buffers.kernel.share: expected a fraction above 0 and up to 1, found 1.5"),
        ({"kernel.share": "half"}, "buffers.kernel.share: expected a fraction above 0 and up to 1, found 'half'"),
        ({"ofm.share": 0.5}, "buffers: ofm.share: expected an operand that is shared_with ofm, found none"),
        (
            {"ifm.share": 0.75, "kernel.share": 0.5},
            "buffers: kernel.share: expected parts that fit into the 524288 B of ifm, found 393216 B of ifm + "
            "262144 B of kernel",
        ),
        (
            {"kernel.capacity": "513 KiB"},
            "buffers: kernel.capacity: expected parts that fit into the 524288 B of ifm, found 525312 B of kernel",
        ),
        (
            {"kernel.share": 1.0},
            "buffers: kernel.share: expected parts that leave room for ifm, found 524288 B of kernel",
        ),
        ({"kernel.share": 1e-9}, "buffers: kernel.share: expected parts of at least 1 B, found 0 B of kernel"),
    ],
)
def test_impossible_buffers_are_refused(overrides: dict[str, object], message: str) -> None:
    assert message in error_of(**overrides)
