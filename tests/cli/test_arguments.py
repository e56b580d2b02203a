from pathlib import Path

import pytest

from simulator.commands.arguments import output_folder, parsed_overrides
from simulator.errors import InputError
from simulator.trace.selection import selected_images


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("0:3", [0, 1, 2]),
        ("0:10:4", [0, 4, 8]),
        (":2", [0, 1]),
        ("7:", [7, 8, 9]),
        ("3", [3]),
        ("9,1,5", [9, 1, 5]),
    ],
)
def test_selections(text: str, images: list[int]) -> None:
    assert selected_images(text, 10, "--images") == images


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--images: found '', expected images such as 3, 1,5,9, 0:8 or 0:100:2"),
        ("x", "--images: found 'x', expected images"),
        ("-1", "--images: found '-1', expected images"),
        ("1, 2", "--images: found '1, 2', expected images"),
        ("1:2:3:4", "--images: found '1:2:3:4', expected images"),
        ("9" * 5000, "expected images"),
        ("5:5", "--images 5:5: selects no image of 10"),
        ("8:2", "--images 8:2: selects no image of 10"),
        ("0:5:0", "--images 0:5:0: the step is 0, expected 1 or more"),
        ("0:11", "--images 0:11: no image 10; there are 10 (0 is the first)"),
        ("0:999999999", "no image 999999998; there are 10"),
        ("3,10", "--images 3,10: no image 10; there are 10 (0 is the first)"),
        ("3,4,3", "--images 3,4,3: selects 1 image twice"),
    ],
)
def test_bad_selections(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        selected_images(text, 10, "--images")
    assert message in str(caught.value)


def test_overrides_are_written_as_in_yaml() -> None:
    pairs = [
        "buffers.ifm.capacity=64 KiB",
        "array.rows=4",
        "array.unroll.rows=[K, P]",
        "buffers.ofm.double_buffered=no",
    ]
    assert parsed_overrides(pairs) == {
        "buffers.ifm.capacity": "64 KiB",
        "array.rows": 4,
        "array.unroll.rows": ["K", "P"],
        "buffers.ofm.double_buffered": False,
    }


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["clock"], "--set: found 'clock', expected KEY=VALUE such as buffers.ifm.capacity='64 KiB'"),
        (["=1"], "--set: found '=1', expected KEY=VALUE"),
        (["clock="], "--set: found 'clock=', expected KEY=VALUE"),
        (["clock=1 GHz", "clock=2 GHz"], "--set clock: given twice"),
        (["array.rows=[1"], "--set array.rows: cannot read '[1' as a YAML value"),
    ],
)
def test_bad_overrides(pairs: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        parsed_overrides(pairs)
    assert message in str(caught.value)


def test_folders_made_for_the_check_go_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the work"), output_folder(tmp_path / "new" / "deep"):
        raise InputError("the work failed")
    assert list(tmp_path.iterdir()) == []


def test_folders_with_content_stay_when_the_work_fails(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").touch()
    with pytest.raises(InputError), output_folder(tmp_path / "old"):
        raise InputError("the work failed")
    assert (tmp_path / "old" / "file").exists()


def test_an_unwritable_folder_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"below: cannot be written"), output_folder(tmp_path / "file" / "below"):
        raise AssertionError("the work began")
