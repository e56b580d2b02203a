"""The two kinds of devices: what they are called, how long something takes on them, and how their clocks are read."""

import contextlib
import ctypes
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
import torch.utils.benchmark

from simulator.errors import InputError
from simulator.measure.schema import Device, Precision

Kind = Literal["cpu", "cuda"]

PRECISIONS: dict[Kind, tuple[Precision, ...]] = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "tf32", "fp16", "bf16")}
DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}

_ROW = 10
"""Calls that a GPU gets in one go."""

_EVENTS_SECONDS, _HIGHEST_HERTZ = 50e-6, 2.2e9  # recording two events; above the clock of any GPU until now

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of mallopt(3)
_MOST_BYTES = 2**31 - 1


class Mark(Protocol):
    """A moment on the device."""

    def microseconds_until(self, later: Any) -> float:
        """The time between two moments that have passed."""


class Machine(Protocol):
    """A device that measures."""

    kind: Kind

    def readings(self, call: Callable[[], Any], seconds: float) -> list[float]:
        """Microseconds of a call, once per reading, for about so many seconds of calls after a warm-up."""

    def own_readings(self, call: Callable[[], Any], seconds: float) -> list[float]:
        """The same without what the host takes to hand the work over, where the device is not the host."""

    def keep_busy(self, seconds: float) -> None:
        """Gives the device idle work for so long, so that it does not wait for the host afterwards."""

    def profiled(self) -> AbstractContextManager[None]:
        """A block whose work a profiler records that was told to wait for it."""

    def mark(self) -> Mark:
        """The present moment, in the order of the work that was given to the device."""

    def wait(self) -> None:
        """Returns when all work is done."""

    def describe(self, load_before: float | None) -> Device:
        """The device as a measurement file names it."""


def machine(kind: Kind, threads: int | None = None) -> "Machine":
    """The device of that kind. Raises InputError when this machine has none."""
    if kind == "cuda":
        if threads is not None:
            raise InputError("--threads belongs to --device cpu")
        if not torch.cuda.is_available():
            raise InputError("--device cuda: PyTorch finds no GPU here")
        return Gpu()
    return Cpu(threads)


class _Moment:
    """A moment by the clock of the host, for a device that works while the host waits."""

    def __init__(self) -> None:
        self.nanoseconds = time.perf_counter_ns()

    def microseconds_until(self, later: "_Moment") -> float:
        """The time between two moments; the clock's own resolution at least."""
        return max(later.nanoseconds - self.nanoseconds, 1) / 1000


class Cpu:
    """The host. Memory that is freed stays with the process, so that no reading pays for fetching pages anew."""

    kind: Kind = "cpu"

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or torch.get_num_threads()
        torch.set_num_threads(self._threads)
        self._keeps_memory = _keep_memory()
        self._clock_before = _host_megahertz()

    def readings(self, call: Callable[[], Any], seconds: float) -> list[float]:
        """By `torch.utils.benchmark`."""
        timer = torch.utils.benchmark.Timer("call()", globals={"call": call}, num_threads=self._threads)
        return [1e6 * taken for taken in timer.blocked_autorange(min_run_time=seconds).times]

    def own_readings(self, call: Callable[[], Any], seconds: float) -> list[float]:
        """The readings: the host is the device."""
        return self.readings(call, seconds)

    def keep_busy(self, seconds: float) -> None:
        """Nothing: the host is the device."""

    def profiled(self) -> AbstractContextManager[None]:
        """Any block: no profiler is called."""
        return contextlib.nullcontext()

    def mark(self) -> Mark:
        """The host's clock: operators are done when they return."""
        return _Moment()

    def wait(self) -> None:
        """Nothing is ever behind."""

    def describe(self, load_before: float | None) -> Device:
        """Name and clock from /proc/cpuinfo where there is one."""
        clocks = {"nominal": _nominal_megahertz(), "before": self._clock_before, "after": _host_megahertz()}
        load_after = host_load()
        return Device(
            kind="cpu",
            name=_cpu_name(),
            threads=self._threads,
            clock_mhz={name: clock for name, clock in clocks.items() if clock is not None},
            libraries={**_libraries(), "instructions": torch.backends.cpu.get_cpu_capability()},
            settings={"freed_memory": "kept by the process" if self._keeps_memory else "left to the allocator"},
            load=None if load_before is None or load_after is None else (load_before, load_after),
        )


class _Event:
    """A moment in the stream of a GPU."""

    def __init__(self) -> None:
        self.event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self.event.record()

    def microseconds_until(self, later: "_Event") -> float:
        """The time between two events that have been reached."""
        return max(1e3 * float(self.event.elapsed_time(later.event)), 1e-3)


class Gpu:
    """The current CUDA device, timed by events in its stream."""

    kind: Kind = "cuda"

    def __init__(self) -> None:
        self._clocks_before = _gpu_megahertz()

    def readings(self, call: Callable[[], Any], seconds: float) -> list[float]:
        """By a pair of events around every call."""
        for _ in range(3):
            call()
        self.wait()
        found: list[float] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(found) < 5:
            first = _Event()
            call()
            last = _Event()
            self.wait()
            found.append(first.microseconds_until(last))
        return found

    def own_readings(self, call: Callable[[], Any], seconds: float) -> list[float]:
        """By a pair of events around every call of a row, all of them given to the GPU while it is kept busy."""
        for _ in range(3):
            call()
        self.wait()
        begin = time.perf_counter()
        call()
        handing_over = time.perf_counter() - begin
        self.wait()
        found: list[float] = []
        end = time.perf_counter() + seconds
        while not found or time.perf_counter() < end:
            self.keep_busy(_ROW * (handing_over + _EVENTS_SECONDS))
            pairs = []
            for _ in range(_ROW):
                first = _Event()
                call()
                pairs.append((first, _Event()))
            self.wait()
            found += [first.microseconds_until(last) for first, last in pairs]
        return found

    def keep_busy(self, seconds: float) -> None:
        """A kernel that counts cycles, for this long at the highest clock, longer at a lower one."""
        torch.cuda._sleep(round(seconds * _HIGHEST_HERTZ))  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def profiled(self) -> Iterator[None]:
        """What Nsight Compute records under `--profile-from-start off`."""
        self.wait()
        torch.cuda.profiler.start()  # type: ignore[no-untyped-call]
        try:
            yield
            self.wait()
        finally:
            torch.cuda.profiler.stop()  # type: ignore[no-untyped-call]

    def mark(self) -> Mark:
        """An event in the stream."""
        return _Event()

    def wait(self) -> None:
        """Returns when the stream is empty."""
        torch.cuda.synchronize()

    def describe(self, load_before: float | None) -> Device:
        """Name from CUDA, clocks from nvidia-smi where it can be run."""
        loaded, after = self._clocks_under_load(), _gpu_megahertz()
        clocks = {
            f"{name} {when}": clock
            for when, now in (("before", self._clocks_before), ("under load", loaded), ("after", after))
            for name, clock in now.items()
        }
        driver, power = _nvidia_smi("driver_version", "power.limit") or ("unknown", "unknown")
        return Device(
            kind="cuda",
            name=torch.cuda.get_device_name(),
            clock_mhz=clocks,
            libraries={
                **_libraries(),
                "cuda": str(torch.version.cuda),
                "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
                "driver": driver,
            },
            settings={
                "cudnn.benchmark": str(torch.backends.cudnn.benchmark),
                "power limit W": power,
                "host": f"{_cpu_name()}, {os.cpu_count()} cores",
            },
        )

    def _clocks_under_load(self) -> dict[str, float]:
        """Clocks while matrix products run."""
        matrix = torch.randn(8192, 8192, device="cuda", dtype=torch.float16)
        self.keep_busy(0.5)
        for _ in range(200):
            matrix @ matrix
        found = _gpu_megahertz()
        self.wait()
        return found


def host_load() -> float | None:
    """Processes that wanted a core, averaged over the last minute; None where the machine does not tell."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _libraries() -> dict[str, str]:
    found = {"torch": torch.__version__, "python": platform.python_version(), "system": platform.system()}
    for name, pattern in (("onednn", r"MKL-DNN v([\w.]+)"), ("mkl", r"Math Kernel Library Version ([\w.-]+)")):
        match = re.search(pattern, torch.__config__.show())
        if match:
            found[name] = match[1]
    return found


def _keep_memory() -> bool:
    """Tells glibc's allocator to take memory from its heap and to keep it; False with another allocator."""
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(_MMAP_THRESHOLD, _MOST_BYTES) and library.mallopt(_TRIM_THRESHOLD, _MOST_BYTES))


def _cpuinfo(key: str) -> str | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return None


def _cpu_name() -> str:
    parts = [_cpuinfo("model name") or platform.processor() or platform.machine()]
    for key in ("cpu family", "model", "stepping"):
        value = _cpuinfo(key)
        if value:
            parts.append(f"{key} {value}")
    return ", ".join(parts)


def _nominal_megahertz() -> float | None:
    match = re.search(r"@ ([\d.]+)GHz", _cpuinfo("model name") or "")
    return None if match is None else float(match[1]) * 1000


def _host_megahertz() -> float | None:
    text = _cpuinfo("cpu MHz")
    return None if text is None else float(text)


def _gpu_megahertz() -> dict[str, float]:
    """Clocks of the multiprocessors and of the memory, those that the driver tells."""
    found = zip(("sm", "memory"), _nvidia_smi("clocks.sm", "clocks.mem"), strict=False)
    return {name: float(value) for name, value in found if value.isdecimal()}


def _nvidia_smi(*keys: str) -> list[str]:
    """What the driver's own tool says of the first GPU by these keys, without units; nothing where it cannot be run."""
    query = ["nvidia-smi", f"--query-gpu={','.join(keys)}", "--format=csv,noheader,nounits"]
    try:
        text = subprocess.run(query, check=True, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [value.strip() for value in text.splitlines()[0].split(",")] if text.strip() else []
