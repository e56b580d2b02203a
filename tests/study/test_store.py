"""The store: what is written stays, what was torn counts for nothing, and one run at a time writes."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.study.store import Outcome, Store, finished, journals, outcomes


def outcome(number: int) -> Outcome:
    return Outcome(f"key{number}", "done", {"cycles": number, "energy_pj": number / 3, "top1": None}, "", 0.5, 0.25)


def test_outcomes_come_back_exactly(tmp_path: Path) -> None:
    written = [outcome(1), Outcome("key2", "failed", {}, "layer 'a\n\"b': does not fit")]
    with Store(tmp_path) as store:
        for one in written:
            store.add(one)
    with Store(tmp_path) as store:
        store.add(outcome(3))
    assert list(outcomes(tmp_path)) == [*written, outcome(3)]
    assert len(journals(tmp_path)) == 2  # what a run wrote is never written to again


@pytest.mark.parametrize("kept_bytes", [0, 1, 9, 60, -2, -1])
def test_a_torn_line_counts_for_nothing(tmp_path: Path, kept_bytes: int) -> None:
    with Store(tmp_path) as store:
        for number in range(3):
            store.add(outcome(number))
    (journal,) = journals(tmp_path)
    *whole, last = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(whole) + last[:kept_bytes])
    assert [one.key for one in outcomes(tmp_path)] == ["key0", "key1"]
    with Store(tmp_path) as store:
        store.add(outcome(2))
    assert sorted(finished(tmp_path)) == ["key0", "key1", "key2"]


def test_a_damaged_line_counts_for_nothing(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for number in range(3):
            store.add(outcome(number))
    (journal,) = journals(tmp_path)
    content = journal.read_bytes()
    assert content.count(b'"cycles":1,') == 1
    journal.write_bytes(content.replace(b'"cycles":1,', b'"cycles":7,'))
    assert [one.key for one in outcomes(tmp_path)] == ["key0", "key2"]


def test_a_later_outcome_of_a_point_counts(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.add(Outcome("key1", "failed", {}, "no memory"))
        store.add(outcome(1))
    assert finished(tmp_path) == {"key1": "done"}


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with Store(tmp_path), pytest.raises(InputError, match="another run of a study is at work"):
        Store(tmp_path)
    Store(tmp_path).__exit__()


def test_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the line that passes it is written in part, then refused."""
    code = f"""
import resource
from pathlib import Path
from simulator.errors import InputError
from simulator.study.store import Outcome, Store
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))
with Store(Path({str(tmp_path)!r})) as store:
    for number in range(100):
        try:
            store.add(Outcome(f"key{{number}}", "done", {{"cycles": number}}))
        except InputError as error:
            print(number, error)
            break
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    number, message = found.split(" ", 1)
    assert "cannot be written (File too large); what was finished before is kept" in message
    assert [one.key for one in outcomes(tmp_path)] == [f"key{at}" for at in range(int(number))]
    assert journals(tmp_path)[0].read_bytes().endswith(b"\n")


def test_a_folder_that_cannot_be_written_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Store(tmp_path / "file")
