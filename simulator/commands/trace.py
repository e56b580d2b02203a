"""`fmapsim trace`: what a trace holds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.commands.networks import print_recorded, recorded_json
from simulator.commands.quantities import macs_text, percent_text, shape_text
from simulator.commands.terminal import console, help_if_alone, print_json, print_table, printable, table
from simulator.trace.find import find_trace

if TYPE_CHECKING:
    from simulator.trace.records import Accuracy, Layer
    from simulator.trace.trace import Trace

app = typer.Typer(
    help="List and show traces: what a network did on real images.", invoke_without_command=True, callback=help_if_alone
)

_WIDE = 110

JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_traces(as_json: JSON = False) -> None:
    """List the recorded traces that ship with fmapsim.

    \b
    Example:
      fmapsim trace list
    """
    from simulator.trace.trace import load_trace, trace_names

    recorded = [(name, load_trace(name)) for name in trace_names()]
    if as_json:
        print_json([recorded_json(name, trace) for name, trace in recorded])
        return
    print_recorded(recorded)


@app.command("show")
def show(
    trace: Annotated[
        str,
        typer.Argument(metavar="TRACE", help="A recorded trace, a built-in network, or a file (.safetensors, .csv)."),
    ],
    layers: Annotated[bool, typer.Option("--layers", help="Also print a table of the layers.")] = False,
    as_json: JSON = False,
) -> None:
    """Show where a trace comes from and what it holds.

    With --layers every layer is listed with the share of zeros in its IFM and of feature maps that are zero as a whole
    (what dynamic pruning with epsilon 0 skips), as means over the images.

    \b
    Examples:
      fmapsim trace show squeezenet1_1 --layers
      fmapsim trace show my.trace.safetensors --json
    """
    found = find_trace(trace)
    if as_json:
        print_json(_trace_json(found))
        return
    _print_head(found)
    if layers:
        _print_layers(found)


def zero_shares(trace: "Trace") -> list[tuple[float, float]]:
    """For each layer the share of zero elements and of all-zero feature maps in its IFM, means over the images.

    The IFM of an operator without a kernel is all of its inputs. Without maps nothing counts as zero.
    """
    import numpy as np

    shares: dict[int, tuple[float, float]] = {}  # tensor: non-zero elements, feature maps with any

    def present(tensor: int) -> tuple[float, float]:
        if tensor not in shares:
            counts = np.stack([trace.nonzeros_per_channel(tensor, image) for image in range(trace.image_count)])
            shares[tensor] = (float(counts.sum(axis=1).mean()), float((counts > 0).sum(axis=1).mean()))
        return shares[tensor]

    result = []
    for layer in trace.layers:
        tensors = _ifm_tensors(layer)
        if not trace.has_maps:
            result.append((0.0, 0.0))
            continue
        elements = sum(trace.tensors[tensor].elements for tensor in tensors)
        maps = sum(trace.tensors[tensor].shape[0] for tensor in tensors)
        nonzero = [present(tensor) for tensor in tensors]
        result.append((1 - sum(n for n, _ in nonzero) / elements, 1 - sum(m for _, m in nonzero) / maps))
    return result


def _ifm_tensors(layer: "Layer") -> tuple[int, ...]:
    return layer.inputs if layer.kernel is None else layer.inputs[:1]


def _trace_json(trace: "Trace") -> dict[str, Any]:
    return {
        "name": trace.name,
        "images": trace.image_count,
        "has_maps": trace.has_maps,
        "accuracy": vars(trace.accuracy) if trace.accuracy else None,
        "pruning": vars(trace.pruning) if trace.pruning else None,
        "provenance": dict(trace.provenance),
        "layers": [
            {
                "name": layer.name,
                "operator": layer.operator,
                "ifm": list(layer.ifm),
                "ofm": list(layer.ofm),
                "kernel": None if layer.kernel is None else list(layer.kernel),
                "groups": layer.groups,
                "fused": list(layer.fused),
                "macs": layer.macs,
                "ifm_zero_share": elements if trace.has_maps else None,
                "ifm_zero_map_share": maps if trace.has_maps else None,
            }
            for layer, (elements, maps) in zip(trace.layers, zero_shares(trace), strict=True)
        ],
    }


def _print_head(trace: "Trace") -> None:
    from rich.table import Table

    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(overflow="fold")
    rows.add_row("trace", printable(trace.name))
    rows.add_row("layers", f"{len(trace.layers)}, {macs_text(sum(layer.macs for layer in trace.layers))} per image")
    images = f"{trace.image_count} images" if trace.has_maps else "none: shapes only, everything counts as non-zero"
    rows.add_row("zero-maps", images)
    if trace.accuracy:
        rows.add_row("accuracy", accuracy_text(trace.accuracy))
    if trace.pruning:
        rows.add_row("pruning", _pruning_text(trace))
    for key, value in _flat(trace.provenance):
        rows.add_row(printable(key), printable(value))
    console().print(rows)


def accuracy_text(accuracy: "Accuracy") -> str:
    """What was measured: `top-1 58.2 %, top-5 80.6 % of 1000 images`."""
    parts = [
        f"{name} {percent_text(value)}"
        for name, value in (("top-1", accuracy.top1), ("top-5", accuracy.top5))
        if value is not None
    ]
    if accuracy.agreement is not None:
        parts.append(f"same class as the unpruned network {percent_text(accuracy.agreement)}")
    return f"{', '.join(parts) or 'not measured'} of {accuracy.images} images"


def _pruning_text(trace: "Trace") -> str:
    pruning = trace.pruning
    assert pruning is not None
    epsilon = (
        f"{len(pruning.epsilon)} epsilons" if isinstance(pruning.epsilon, dict) else f"epsilon {pruning.epsilon:g}"
    )
    relative = " × mean channel maximum" if pruning.relative else ""
    piece = "tile " + "×".join(map(str, pruning.tile)) if pruning.tile else pruning.granularity.replace("_", " ")
    means = ", means for flagged maps" if pruning.means else ""
    return f"recorded with {epsilon}{relative} per {piece} ({pruning.side} side, rule {pruning.rule}{means})"


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as (key, text) pairs; the keys of a nested mapping follow its own."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key} ")
        elif value not in (None, [], ""):
            pairs.append((f"{prefix}{key}".replace("_", " "), str(value)))
    return pairs


def _print_layers(trace: "Trace") -> None:
    """One line per layer; on a narrow terminal two, with the operator below the name and the OFM below the IFM."""
    out = console()
    narrow = out.width < _WIDE

    def laid_out(name: str, operator: str, ifm: str, ofm: str, *others: str) -> tuple[str, ...]:
        if narrow:
            return f"{name}\n  {operator}", f"{ifm}\n{ofm}", *others
        return name, operator, ifm, ofm, *others

    zeros = ("zeros", "zero maps") if trace.has_maps else ()
    headings = laid_out("layer", "operator", "IFM", "OFM", "kernel", "MACs", *zeros)
    rows = table(headings[: 1 if narrow else 2], headings[1 if narrow else 2 :])
    for layer, shares in zip(trace.layers, zero_shares(trace), strict=True):
        kernel = "" if layer.kernel is None else shape_text(layer.kernel)
        macs = macs_text(layer.macs) if layer.macs else ""
        shown = [percent_text(share) for share in shares] if trace.has_maps else []
        shapes = shape_text(layer.ifm), shape_text(layer.ofm)
        rows.add_row(*laid_out(printable(layer.name), layer.operator, *shapes, kernel, macs, *shown))
    out.print()
    print_table(out, rows)
    if trace.has_maps:
        out.print("\nzeros: share of the IFM's elements; zero maps: share of its feature maps; means over the images")
