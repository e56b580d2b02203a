"""`fmapsim dram`: what a memory delivers for an access pattern."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from simulator.commands.dram_compare import JSON, compare_rows
from simulator.commands.quantities import BANDWIDTH, SIZE, energy_text, rounded, significant
from simulator.commands.terminal import console, help_if_alone, print_json, print_table, printable, table
from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.dram.patterns import Pattern, Runs
    from simulator.dram.traffic import Played
    from simulator.hardware.dram_device import DramDevice

DEFAULT = "run"


class _RunByDefault(TyperGroup):
    """A group whose first word may be left out where it is `run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunByDefault,
    help="""Play access patterns on a DRAM, command by command.

    \b
    Examples:
      fmapsim dram list
      fmapsim dram DDR4-2400 --pattern random --chunk 64
      fmapsim dram compare reference.csv
    """,
    short_help="Play access patterns on a DRAM, command by command.",
    invoke_without_command=True,
    callback=help_if_alone,
)

_LARGEST = 4 << 30
_NEEDS: dict[str, tuple[str, ...]] = {
    "seq": ("write",),
    "stride": ("stride",),
    "random": ("chunk", "write"),
    "mix": ("chunk", "ratio", "skew"),
    "streams": ("chunk", "skew"),
}
"""The options that each pattern heeds."""

_STREAM_NAMES = {"mix": ("read", "written"), "streams": ("first read", "second read", "written")}
_WHERE = {
    "busy": "moving data",
    "turnaround": "turning between reads and writes",
    "bank_group": "bursts in one bank group",
    "row": "opening and closing rows",
    "refresh": "refreshing",
    "idle": "nothing to do",
}
"""Where the time of the data pins goes."""


@app.command("list")
def list_devices(as_json: JSON = False) -> None:
    """List the DRAM standards that ship with fmapsim.

    \b
    Example:
      fmapsim dram list
    """
    from simulator.hardware.dram_device import device_names, device_path, load_device

    devices = [load_device(name) for name in device_names()]
    if as_json:
        print_json(
            [
                {
                    "name": device.name,
                    "description": device.description,
                    "peak_bytes_per_second": device.bandwidth,
                    "channels": device.organisation.channels,
                    "pseudo_channels": device.organisation.pseudo_channels,
                    "burst_bytes": device.organisation.burst,
                    "row_bytes": device.organisation.row,
                    "map": device.mapping,
                    "energy_is_estimate": device.energy.estimate,
                    "path": str(device_path(device.name)),
                }
                for device in devices
            ]
        )
        return
    rows = table(["DRAM", "map"], ["peak", "channels", "banks", "row", "burst"])
    for device in devices:
        organisation = device.organisation
        channels = str(organisation.channels)
        if organisation.pseudo_channels > 1:
            channels += f" × {organisation.pseudo_channels}"
        banks = f"{organisation.bank_groups} × {organisation.banks}"
        sizes = (rounded(organisation.row, SIZE, 1024), rounded(organisation.burst, SIZE, 1024))
        rows.add_row(device.name, device.mapping, rounded(device.bandwidth, BANDWIDTH), channels, banks, *sizes)
    out = console()
    print_table(out, rows)
    out.print("\nWhat one delivers: fmapsim dram NAME --pattern random")


@app.command(DEFAULT)
def run(
    device: Annotated[str, typer.Argument(metavar="NAME_OR_FILE", help="A DRAM that ships, or a YAML file.")],
    pattern: Annotated[
        Literal["seq", "stride", "random", "mix", "streams"], typer.Option("--pattern", help="See above.")
    ] = "seq",
    chunk: Annotated[
        str | None, typer.Option("--chunk", metavar="SIZE", help="Of random, mix and streams; 256 B if left out.")
    ] = None,
    stride: Annotated[
        str | None, typer.Option("--stride", metavar="SIZE", help="Of stride; 128 B if left out.")
    ] = None,
    ratio: Annotated[
        int | None, typer.Option("--ratio", min=1, max=1000, help="Of mix: chunks read for one written; 1.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Of seq and random: write.")] = False,
    skew: Annotated[
        bool | None,
        typer.Option("--skew/--no-skew", help="Of mix and streams: start in different banks (default) or the same."),
    ] = None,
    size: Annotated[str, typer.Option("--bytes", metavar="SIZE", help="How much is moved.")] = "4 MiB",
    order: Annotated[
        str | None,
        typer.Option("--map", metavar="MAP", help="rowmajor, bgint, bankint, hybrid, or fields: 'co:2 bg co ba ro'."),
    ] = None,
    controller: Annotated[
        Literal["ramulator2", "dramsim3"], typer.Option("--controller", help="Whose queues and policy.")
    ] = "ramulator2",
    load: Annotated[str, typer.Option("--load", metavar="PERCENT", help="Of the peak bandwidth, at most.")] = "100 %",
    as_json: JSON = False,
) -> None:
    """Play an access pattern on a DRAM; the word `run` may be left out.

    Prints the bandwidth achieved, row hits, where the time went, read latencies and energy.

    \b
    Patterns:
      seq      one long run
      stride   64 B every --stride bytes
      random   chunks of --chunk bytes at random addresses
      mix      --ratio chunks read from one stream, then one written to another
      streams  a chunk read from each of two streams, then one written to a third

    \b
    Examples:
      fmapsim dram run DDR4-2400 --pattern streams --chunk "4 KiB"
      fmapsim dram HBM2-2000 --pattern random --chunk 64 --controller dramsim3
      fmapsim dram DDR4-2400 --pattern stride --stride "64 KiB" --map rowmajor
    """
    from simulator.dram.address_map import address_map
    from simulator.dram.patterns import SPAN, Pattern, runs_of
    from simulator.dram.traffic import play_runs
    from simulator.hardware.dram_device import CONTROLLERS, load_device

    given = {"chunk": chunk, "stride": stride, "ratio": ratio, "write": write or None, "skew": skew}
    for option, value in given.items():
        if value is not None and option not in _NEEDS[pattern]:
            owners = " or ".join(name for name, needed in _NEEDS.items() if option in needed)
            raise InputError(f"--{option} belongs to --pattern {owners}, not {pattern}")
    asked = Pattern(
        pattern,
        chunk=_size("--chunk", chunk or "256", SPAN),
        stride=_size("--stride", stride or "128", SPAN),
        ratio=ratio or 1,
        writes=write,
        skew=skew is not False,
    )
    total = _size("--bytes", size, _LARGEST)
    share = _share(load)
    dram = load_device(device)
    mapping = address_map(order or dram.mapping, dram.organisation)
    runs = runs_of(asked, total, dram.organisation.burst)
    played = play_runs(dram, CONTROLLERS[controller], mapping, runs, share)
    found = _found(dram, asked, runs, played)
    found |= {"device": dram.name, "map": order or dram.mapping, "controller": controller, "load_percent": 100 * share}
    if as_json:
        print_json(found)
        return
    _print_run(dram, asked, found)


def _found(device: "DramDevice", pattern: "Pattern", runs: "Runs", played: "Played") -> dict[str, Any]:
    """Everything that a run has shown, as JSON has it."""
    import numpy as np

    from simulator.dram.energy import energy_of

    burst = device.organisation.burst
    counters = played.drain()
    nanoseconds = played.nanoseconds
    by_stream = np.bincount(runs.stream, np.abs(runs.bursts), pattern.streams) * burst
    names = _STREAM_NAMES.get(pattern.kind, ("written" if pattern.writes else "read",))
    clocks = (
        counters.busy_clocks,
        counters.turnaround_clocks,
        counters.group_clocks,
        counters.row_clocks,
        counters.refresh_clocks,
        counters.idle_clocks,
    )
    energy = energy_of(device, counters, played.clocks)
    moved = (counters.reads + counters.writes) * burst
    latencies = played.memory.latency_clocks(0.5, 0.95, 0.99)
    to_ns = device.timing.clock / 1000
    return {
        "pattern": {"kind": pattern.kind, **{name: getattr(pattern, _FIELD[name]) for name in _NEEDS[pattern.kind]}},
        "bytes": runs.total * burst,
        "nanoseconds": nanoseconds,
        "bytes_per_second": runs.total * burst / nanoseconds * 1e9,
        "peak_bytes_per_second": device.bandwidth,
        "percent_of_peak": 100 * played.share_of_peak,
        "streams": [
            {"name": name, "bytes": int(amount), "bytes_per_second": float(amount) / nanoseconds * 1e9}
            for name, amount in zip(names, by_stream, strict=True)
        ],
        "reads": counters.reads,
        "writes": counters.writes,
        "row_hit_percent": 100 * counters.row_hits / max(1, counters.reads + counters.writes),
        "row_hits": counters.row_hits,
        "row_misses": counters.activates - counters.row_conflicts,
        "row_conflicts": counters.row_conflicts,
        "activates": counters.activates,
        "refreshes": counters.refreshes,
        "time_percent": {name: 100 * part / sum(clocks) for name, part in zip(_WHERE, clocks, strict=True)},
        "read_latency_ns": dict(zip(("p50", "p95", "p99"), (to_ns * found for found in latencies), strict=True))
        if counters.reads
        else None,
        "energy_pj": {**vars(energy), "total": energy.total},
        "pj_per_bit": energy.total / (8 * moved) if moved else None,
        "energy_is_estimate": device.energy.estimate,
    }


_FIELD = {"chunk": "chunk", "stride": "stride", "ratio": "ratio", "write": "writes", "skew": "skew"}


def _print_run(device: "DramDevice", pattern: "Pattern", found: Mapping[str, Any]) -> None:
    out = console()
    used = ", ".join(f"{name} {_shown(name, found['pattern'][name])}" for name in _NEEDS[pattern.kind])
    load = f", load at most {significant(found['load_percent'])} %" if found["load_percent"] < 100 else ""
    out.print(f"{printable(device.name)}, map {found['map']}, controller {found['controller']}")
    out.print(f"{rounded(found['bytes'], SIZE, 1024)} of {pattern.kind}, {used}{load}\n")

    def line(name: str, figure: str, note: str = "") -> None:
        out.print(f"{name:<22}{figure:>12}  {note}".rstrip())

    peak = rounded(found["peak_bytes_per_second"], BANDWIDTH)
    line("bandwidth", rounded(found["bytes_per_second"], BANDWIDTH), f"{found['percent_of_peak']:.1f} % of {peak}")
    if len(found["streams"]) > 1:
        for stream in found["streams"]:
            line(f"  {stream['name']}", rounded(stream["bytes_per_second"], BANDWIDTH))
    hits, misses, conflicts = found["row_hits"], found["row_misses"], found["row_conflicts"]
    line(
        "row hits",
        f"{found['row_hit_percent']:.1f} %",
        f"{hits:,} hits, {misses:,} misses, {conflicts:,} conflicts",
    )
    line("activations", f"{found['activates']:,}")
    if found["read_latency_ns"]:
        p50, p95, p99 = (f"{significant(value)} ns" for value in found["read_latency_ns"].values())
        line("read latency", p50, f"median; 95 %: {p95}, 99 %: {p99}")
    energy = found["energy_pj"]
    estimate = ", an estimate" if found["energy_is_estimate"] else ""
    if found["pj_per_bit"] is not None:
        line("energy", energy_text(energy["total"]), f"{significant(found['pj_per_bit'])} pJ/bit{estimate}")
    for name, value in energy.items():
        if name != "total":
            line(f"  {name}", energy_text(value))
    out.print("\nWhere the time of the data pins went:")
    for name, meaning in _WHERE.items():
        line(f"  {name.replace('_', ' ')}", f"{found['time_percent'][name]:.1f} %", meaning)


def _shown(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return rounded(value, SIZE, 1024) if name in ("chunk", "stride") else str(value)


def _size(option: str, text: str, limit: int) -> int:
    """Bytes from "256" or "4 KiB"; raises InputError that names the option."""
    from simulator.hardware.units import BYTE_UNITS, near_quantities, parse_quantity

    number = f"{text} B" if text.strip().isdigit() else text
    try:
        found = parse_quantity(number, BYTE_UNITS, "a size", "4 KiB")
    except ValueError:
        meant = near_quantities(text, BYTE_UNITS)
        raise InputError(f"{option}: expected a size such as 256 or '4 KiB', found '{text}'{meant}") from None
    if not (1 <= found <= limit and found == int(found)):
        raise InputError(f"{option}: expected whole bytes from 1 B to {rounded(limit, SIZE, 1024)}, found '{text}'")
    return int(found)


def _share(text: str) -> float:
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = 0
    if not 0.01 <= percent <= 100:
        raise InputError(f"--load: expected a percentage of the peak from 0.01 to 100 such as '50 %', found '{text}'")
    return percent / 100


app.command("compare")(compare_rows)
