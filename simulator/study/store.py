"""What a study has found so far, on disk: journals that only grow, one for each run, one line for each ended point.

A line is `CRC-32 JSON`. It is written and synced before its point counts as finished; a line that was torn when a run
was killed, or that a full disk cut short, has another CRC and counts for nothing, so that its point runs again.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from simulator.errors import InputError
from simulator.study.metrics import Metrics

try:
    import fcntl
except ImportError:  # Windows: two runs in one folder are not told apart
    fcntl = None  # type: ignore[assignment]

JOURNALS = "journal"
LOCK = "lock"


@dataclass(frozen=True)
class Outcome:
    """How a point ended. metrics: of one that is done; error: of one that failed; run_seconds, cpu_seconds: costs."""

    key: str
    status: Literal["done", "failed"]
    metrics: Metrics
    error: str = ""
    run_seconds: float = 0.0
    cpu_seconds: float = 0.0


class Store:
    """The journals of a folder, and the one that this run appends to.

    A context manager: the folder is this run's alone until it is left. Raises InputError where it cannot be written or
    another run is at work in it.
    """

    def __init__(self, folder: Path) -> None:
        """Opens or makes the store in `folder`."""
        self.folder = folder
        self._journal = -1
        self._good_bytes = 0
        try:
            (folder / JOURNALS).mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
        if fcntl is not None:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._lock)
                raise InputError(f"{folder}: another run of a study is at work in this folder") from None

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        if self._journal >= 0:
            os.close(self._journal)
        os.close(self._lock)

    def add(self, outcome: Outcome) -> None:
        """Appends an outcome; when this returns, it has reached the disk.

        Raises InputError where the disk is full or fails. What was written before stays valid.
        """
        try:
            if self._journal < 0:
                self._journal = self._new_journal()
            _write_all(self._journal, _line(outcome))
            os.fsync(self._journal)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._journal, self._good_bytes)
            raise InputError(
                f"{self.folder}: cannot be written ({error.strerror}); what was finished before is kept: make room and "
                "run the same command again"
            ) from None
        self._good_bytes = os.lseek(self._journal, 0, os.SEEK_CUR)

    def _new_journal(self) -> int:
        folder = self.folder / JOURNALS
        number = max((int(path.stem) for path in journals(self.folder)), default=0) + 1
        made = os.open(folder / f"{number:06d}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        entry = os.open(folder, os.O_RDONLY)
        os.fsync(entry)
        os.close(entry)
        return made


def journals(folder: Path) -> list[Path]:
    """The journals of a folder, oldest first."""
    return sorted(path for path in (folder / JOURNALS).glob("*.jsonl") if path.stem.isdecimal())


def outcomes(folder: Path) -> Iterator[Outcome]:
    """Every outcome in the journals, oldest first; of a point that ran again there are several, and the last counts.

    Raises InputError where a journal cannot be read.
    """
    for path in journals(folder):
        try:
            with path.open("rb") as lines:
                for line in lines:
                    found = _read(line)
                    if found is not None:
                        yield found
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def finished(folder: Path) -> dict[str, str]:
    """The status of every point that has ended, by key."""
    return {outcome.key: outcome.status for outcome in outcomes(folder)}


def _line(outcome: Outcome) -> bytes:
    text = json.dumps(asdict(outcome), separators=(",", ":"), allow_nan=False).encode()
    return f"{zlib.crc32(text):08x} ".encode() + text + b"\n"


def _read(line: bytes) -> Outcome | None:
    """The outcome of a line, None for one that is torn or damaged."""
    try:
        if not line.endswith(b"\n") or int(line[:8], 16) != zlib.crc32(line[9:-1]):
            return None
        content: dict[str, Any] = json.loads(line[9:-1])
        return Outcome(**content)
    except (ValueError, TypeError):
        return None


def _write_all(file: int, content: bytes) -> None:
    """Writes everything: a full disk can take a part first, and says so only at the next call."""
    while content:
        content = content[os.write(file, content) :]
