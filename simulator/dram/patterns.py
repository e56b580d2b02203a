"""Access patterns as tables of runs: what the reference runs were made with, and what `fmapsim dram` plays.

Runs, not bursts: a pattern is the first burst and the number of bursts of each run, negative where they are written.
The same parameters always give the same pattern, random ones included.
"""

import json
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

Kind = Literal["seq", "stride", "random", "mix", "streams"]

SPAN = 1 << 28
"""Bytes between the starts of two streams, and the range of addresses of scattered accesses."""
SKEW = 3 << 15
"""Bytes by which skewed streams start apart, beyond whole spans: in other banks."""
ACCESS = 64
"""Bytes of one strided access."""

_CODES: dict[Kind, str] = {"seq": "seq", "stride": "stride", "random": "rand", "mix": "rwmix", "streams": "tri"}
"""The names of the patterns in files of reference rows; random patterns are seeded with them."""


@dataclass(frozen=True)
class Pattern:
    """Accesses to memory, in order.

    - seq: one run of bursts.
    - stride: 64 B every `stride` bytes; past the end of the span, the next column.
    - random: chunks of `chunk` bytes anywhere in the span.
    - mix: `ratio` chunks read from one stream, then one written to another.
    - streams: a chunk read from each of two streams, then one written to a third.

    writes: seq and random write instead of reading. skew: the streams of mix and streams start in different banks
    instead of all in the same.
    """

    kind: Kind
    chunk: int = 256
    stride: int = 128
    ratio: int = 1
    writes: bool = False
    skew: bool = True

    @property
    def streams(self) -> int:
        """How many streams the chunks belong to."""
        return {"mix": 2, "streams": 3}.get(self.kind, 1)

    @property
    def seed(self) -> int:
        """Of the random numbers; depends on the parameters that the pattern uses."""
        used: dict[str, str | int] = {"pat": _CODES[self.kind]}
        if self.kind in ("seq", "random"):
            used["op"] = "w" if self.writes else "r"
        if self.kind == "stride":
            used["stride"] = self.stride
        if self.kind in ("random", "mix", "streams"):
            used["chunk"] = self.chunk
        if self.kind == "mix":
            used["ratio"] = self.ratio
        if self.kind in ("mix", "streams"):
            used["skew"] = int(self.skew)
        return zlib.crc32(json.dumps(used, sort_keys=True).encode())


@dataclass(frozen=True, eq=False)
class Runs:
    """A table of runs: first bursts, counts (negative: written), and the stream that each belongs to."""

    first: Ints
    bursts: Ints
    stream: Ints

    @property
    def total(self) -> int:
        """Bursts altogether."""
        return int(np.abs(self.bursts).sum())

    @property
    def writes_only(self) -> bool:
        """Whether nothing is read."""
        return bool((self.bursts < 0).all())


def runs_of(pattern: Pattern, total_bytes: int, burst: int) -> Runs:
    """The runs of about `total_bytes` (at least one access, whole chunks) in bursts of `burst` bytes.

    Chunks shorter than a burst take a whole one.
    """
    starts, writes, stream, size = _accesses(pattern, total_bytes, burst)
    bursts = -(-size // burst)
    first = starts // burst
    counts = np.full(len(first), bursts, np.int64)
    joined = np.r_[False, (first[1:] == first[:-1] + bursts) & (writes[1:] == writes[:-1])]
    begins = np.flatnonzero(~joined)
    lengths = np.add.reduceat(counts, begins)
    return Runs(first[begins], np.where(writes[begins], -lengths, lengths), stream[begins])


def _accesses(pattern: Pattern, total_bytes: int, burst: int) -> tuple[Ints, npt.NDArray[np.bool_], Ints, int]:
    """Start of each access, whether it writes, its stream, and the bytes of every one."""
    chunk = pattern.chunk
    if pattern.kind == "seq":
        size = max(burst, -(-total_bytes // burst) * burst)
        return np.zeros(1, np.int64), np.full(1, pattern.writes), np.zeros(1, np.int64), size
    if pattern.kind == "stride":
        starts = np.arange(max(1, total_bytes // ACCESS), dtype=np.int64) * pattern.stride
        starts = starts % SPAN + starts // SPAN * ACCESS
        return starts, np.zeros(len(starts), np.bool_), np.zeros(len(starts), np.int64), ACCESS
    if pattern.kind == "random":
        count = max(1, total_bytes // chunk)
        starts = np.random.default_rng(pattern.seed).integers(0, SPAN // chunk, count) * chunk
        return starts, np.full(count, pattern.writes), np.zeros(count, np.int64), chunk
    order = [0] * pattern.ratio + [1] if pattern.kind == "mix" else [0, 1, 2]
    rounds = max(1, total_bytes // chunk // len(order))
    streams = np.array(order, np.int64)
    base = streams * (SPAN + SKEW if pattern.skew else SPAN)
    own = np.array([order[:place].count(stream) for place, stream in enumerate(order)], np.int64)
    per_round = np.array([order.count(stream) for stream in order], np.int64)
    position = np.arange(rounds, dtype=np.int64)[:, None] * per_round + own
    starts = (base + position * chunk).ravel()
    stream = np.tile(streams, rounds)
    return starts, stream == order[-1], stream, chunk
