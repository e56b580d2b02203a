"""Reports as people read them: tables of totals, of layers, and of differences."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulator.commands.quantities import (
    bytes_text,
    change_text,
    cycles_text,
    energy_text,
    macs_text,
    percent_text,
    points_text,
    seconds_text,
    significant,
)
from simulator.commands.terminal import layer_cell, printable, table
from simulator.report.zero_products import zero_products_name

if TYPE_CHECKING:
    from rich.table import Table

    from simulator.report.report import Report

Show = Callable[[float], str]

_TOTALS: tuple[tuple[str, str, Show], ...] = (
    ("DRAM traffic", "dram_bytes", bytes_text),
    ("  IFM", "ifm_bytes", bytes_text),
    ("  kernel", "kernel_bytes", bytes_text),
    ("  OFM", "ofm_bytes", bytes_text),
    ("  psum", "psum_bytes", bytes_text),
    ("  metadata", "metadata_bytes", bytes_text),
    ("cycles", "cycles", cycles_text),
    ("  array stalled", "stall_cycles", cycles_text),
    ("    by buffers", "buffer_stall_cycles", cycles_text),
    ("    before layers", "overhead_cycles", cycles_text),
    ("time", "seconds", seconds_text),
    ("frames per second", "frames_per_second", significant),
    ("utilisation, of all cycles", "utilisation", percent_text),
    ("feature maps flagged, by size", "flagged_share", percent_text),
    ("MACs, dense", "macs_dense", macs_text),
    ("  performed", "macs_performed", macs_text),
    ("  gated", "macs_gated", macs_text),
    ("  skipped", "macs_skipped", macs_text),
)

_ACCURACIES = (("top-1", "top1"), ("top-5", "top5"), ("as unpruned", "agreement"))

_QUANTITIES: Mapping[str, Show] = {
    "dram_bytes": bytes_text,
    "skippable_bytes": bytes_text,
    "skipped_bytes": bytes_text,
    "energy_pj": energy_text,
    "macs_dense": macs_text,
    "macs_effectual": macs_text,
    "macs_performed": macs_text,
    "macs_gated": macs_text,
    "macs_skipped": macs_text,
    "utilisation": percent_text,
}
"""How a column of `Report.layers` is shown; cycles and counts as whole numbers."""


def totals_table(reports: "Mapping[str, Report]", *, accuracy: bool = False) -> "Table":
    """The totals of one report, or of two and the change between them. Parts that are 0 are left out.

    accuracy: whether to begin with the accuracies that were recorded.
    """
    rows = table([""], [*map(printable, reports), *(["change"] if len(reports) == 2 else [])])
    for label, key in _ACCURACIES if accuracy else ():
        shares = [(report.meta.get("accuracy") or {}).get(key) for report in reports.values()]
        known = [share for share in shares if share is not None]
        if len(known) == len(shares):
            _add_row(rows, label, known, percent_text)
        elif known:
            rows.add_row(label, *("-" if share is None else percent_text(share) for share in shares))
    totals = [report.totals for report in reports.values()]
    pruned = any(report.meta.get("pruning", "none") != "none" for report in reports.values())
    for label, key, show in _TOTALS:
        if key != "flagged_share" or pruned:
            _add_row(rows, label, [found[key] for found in totals], show)
    energies = [report.energy_by_component() for report in reports.values()]
    _add_row(rows, "energy", [found["energy_pj"] for found in totals], energy_text)
    for component in energies[0].index:
        values = [float(found.get(component, 0.0)) for found in energies]
        _add_row(rows, f"  {component_name(str(component))}", values, energy_text)
    return rows


def pruning_text(pruning: str | Mapping[str, Any]) -> str:
    """A report's pruning: `no pruning`, or how it was done and the area of the unit that does it."""
    from simulator.report.pruning_text import pruning_text as how_pruned

    area = None if isinstance(pruning, str) else pruning.get("unit_area_um2")
    return how_pruned(pruning) + ("" if area is None else f"; a unit of about {significant(area / 1e6)} mm²")


def component_name(component: str) -> str:
    """A component of the energy as a label: `IFM buffer`, `gated MACs`."""
    names = {"dram": "DRAM", "dram_background": "DRAM background", "mac": "MACs", "mac_gated": "gated MACs"}
    words = names.get(component, component.replace("_", " "))
    return words.replace("ifm", "IFM").replace("ofm", "OFM")


def array_text(totals: Mapping[str, float]) -> str:
    """Where the array's cycles went in one line, the largest share first, and which part of all cycles they are.

    Empty where it did nothing.
    """
    names = {
        "ineffectual": zero_products_name([totals]),
        "bank_conflicts": "bank conflicts",
        "outside": "products outside of the OFM",
    }
    from simulator.machine.array_time import ARRAY_TIMES

    parts = {name: totals.get(f"array_{name}_cycles", 0) for name in ARRAY_TIMES}
    whole = sum(parts.values())
    if not whole:
        return ""
    shares = sorted(((value / whole, names.get(name, name)) for name, value in parts.items() if value), reverse=True)
    line = ", ".join(f"{percent_text(share)} {name}" for share, name in shares)
    error = totals["statistical_error_percent"]
    return f"array cycles ({percent_text(whole / totals['cycles'])} of all): {line}" + (
        f"; densities alone say {error:+.1f} %" if round(error, 1) else ""
    )


def bound_text(report: "Report") -> str:
    """What bounds the layers, by their share of the cycles: `DRAM 62.0 %, array 30.1 %, overhead 7.9 %`."""
    from simulator.report.bound import bound_shares

    return ", ".join(f"{resource} {percent_text(share)}" for resource, share in bound_shares(report.layers).items())


def _add_row(rows: "Table", label: str, values: Sequence[float], show: Show) -> None:
    if label.startswith(" ") and not any(values):
        return
    cells = [show(value) for value in values]
    if len(values) == 2:
        change = points_text if show is percent_text else change_text
        cells.append(change(values[1], values[0]))
    rows.add_row(label, *cells)


def heaviest_layers(reports: "Mapping[str, Report]", count: int) -> "Table":
    """The layers with the most DRAM traffic in the first report; of two reports also the second's and the change."""
    first, *others = reports.values()
    layers = first.layers.sort_values("dram_bytes", ascending=False, kind="stable").head(count)
    total = first.totals["dram_bytes"]
    if others:
        rows = table(["layer"], [*(f"{printable(name)} DRAM" for name in reports), "change", "cycles", "change"])
        second = others[0].layers.set_index("layer")
        for layer in layers.to_dict("records"):
            name = layer["layer"]
            values = [layer["dram_bytes"], second["dram_bytes"][name]]
            cycles = [layer["cycles"], second["cycles"][name]]
            rows.add_row(
                layer_cell(name),
                *map(bytes_text, values),
                change_text(values[1], values[0]),
                cycles_text(cycles[1]),
                change_text(cycles[1], cycles[0]),
            )
        return rows
    rows = table(["layer"], ["DRAM", "of all", "cycles", "utilisation", "energy"])
    for layer in layers.to_dict("records"):
        rows.add_row(
            layer_cell(layer["layer"]),
            bytes_text(layer["dram_bytes"]),
            percent_text(layer["dram_bytes"] / total if total else 0.0),
            cycles_text(layer["cycles"]),
            percent_text(layer["utilisation"]),
            energy_text(layer["energy_pj"]),
        )
    return rows


def spread_table(reports: "Mapping[str, Report]") -> "Table":
    """Mean, percentiles and worst over the images of what the network costs, in each report."""
    from simulator.report.spread import NETWORK, PERCENTILES

    rows = table([""], ["mean", *PERCENTILES, "worst"])
    for name, report in reports.items():
        network = report.spread[report.spread["layer"] == NETWORK].set_index("quantity")
        before = f"{printable(name)}: " if len(reports) > 1 else ""
        clock = float(report.meta["clock_hz"])
        for label, quantity, show, unit in (
            ("DRAM traffic", "dram_bytes", bytes_text, 1.0),
            ("time", "cycles", seconds_text, clock),
            ("energy", "energy_pj", energy_text, 1.0),
        ):
            values = [float(network[key].loc[quantity]) / unit for key in ("mean", *PERCENTILES, "worst")]
            rows.add_row(before + label, *map(show, values))
    return rows


def overview_table(reports: "Mapping[str, Report]") -> "Table":
    """Any number of reports, one below the other, with the change to the first under each figure."""
    keys: tuple[tuple[str, Show], ...] = (
        ("dram_bytes", bytes_text),
        ("cycles", cycles_text),
        ("seconds", seconds_text),
        ("energy_pj", energy_text),
        ("macs_performed", macs_text),
    )
    rows = table(["report"], ["DRAM", "cycles", "time", "energy", "MACs performed", "top-1"], leading=1)
    base = next(iter(reports.values())).totals
    for name, report in reports.items():
        top1 = (report.meta.get("accuracy") or {}).get("top1")
        values = report.totals
        cells = [show(values[key]) for key, show in keys]
        if values is not base:
            cells = [
                f"{cell}\n{change_text(values[key], base[key])}" for cell, (key, _) in zip(cells, keys, strict=True)
            ]
        rows.add_row(printable(name), *cells, "-" if top1 is None else percent_text(top1))
    return rows


def layers_table(
    names: Sequence[str], layers: Iterable[Mapping[str, Any]], changes: Iterable[Mapping[str, Any]], quantity: str
) -> "Table":
    """One quantity by layer: a column per report, the change from the first to the last, and why.

    layers, changes: rows of `compare_layers` and `layer_changes`, which are in the same order. Behind the change: the
    layer's share of the network's difference, and what bounds it, before and after where that differs.
    """
    show = _QUANTITIES.get(quantity, cycles_text)
    change = points_text if show is percent_text else change_text
    rows = table(["layer"], [*map(printable, names), "change", "share", "bound"])
    for layer, changed in zip(layers, changes, strict=True):
        values = [layer[name] for name in names]
        before, after = (changed[f"bound_{when}"] or "-" for when in ("before", "after"))
        rows.add_row(
            layer_cell(str(layer["layer"])),
            *map(show, values),
            change(values[-1], values[0]),
            percent_text(changed["share"]),
            after if before == after else f"{before} → {after}",
        )
    return rows
