"""`fmapsim networks`: what there is to simulate without recording anything first."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.commands.quantities import macs_text, percent_text, scaled, shape_text
from simulator.commands.terminal import console, print_json, print_table, printable, table

if TYPE_CHECKING:
    from simulator.trace.trace import Trace

_COUNT = ("", "k", "M", "G")


def networks(
    published: Annotated[
        bool, typer.Option("--published", help="List pruned networks of published tables instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List built-in networks and recorded traces.

    Each name can be given to `fmapsim simulate`. A recorded trace knows which values were zero on real images; a
    built-in network alone is simulated dense. A name that is in both tables means the recorded trace. `fmapsim
    extract` records a trace of a built-in network with weights and images of your own.

    With --published, the rows of a published comparison of pruned networks, whose shapes can be simulated too: their
    numbers as published and as their structure has them here.

    \b
    Examples:
      fmapsim networks
      fmapsim networks --published
    """
    if published:
        _print_published(as_json)
        return
    from simulator.trace.trace import load_trace, network_trace, network_trace_names, trace_names

    built_in = [(name, network_trace(name)) for name in network_trace_names()]
    recorded = [(name, load_trace(name)) for name in trace_names()]
    if as_json:
        print_json(
            {
                "networks": [_network_json(name, trace) for name, trace in built_in],
                "traces": [recorded_json(name, trace) for name, trace in recorded],
            }
        )
        return
    out = console()
    if built_in:
        rows = table(["built-in network"], ["input", "layers", "MACs", "weights"])
        for name, trace in built_in:
            found = _network_json(name, trace)
            rows.add_row(
                name,
                shape_text(found["input"]),
                str(found["layers"]),
                macs_text(found["macs"]),
                scaled(found["weights"], _COUNT),
            )
        print_table(out, rows)
    else:
        out.print("No built-in networks ship with this installation.")
    out.print()
    print_recorded(recorded)


def _print_published(as_json: bool) -> None:
    from simulator.trace.published import PREFIX, published_budgets, published_trace

    rows = [
        {
            "name": f"{PREFIX}{name}",
            "method": row.method,
            "published": {key: getattr(row, key) for key in ("macs", "params", "top1", "top5", "size_mib")},
            "mean_bits": row.mean_bits,
            "counts": list(row.counts),
            "fidelity": row.fidelity,
            **{key: _network_json(name, published_trace(name))[key] for key in ("macs", "weights")},
        }
        for name, row in published_budgets().items()
    ]
    if as_json:
        print_json({"published": rows})
        return
    listed = table(
        ["published budget", "method", "structure"], ["MACs published", "here", "params published", "weights here"]
    )
    for row in rows:
        params = row["published"]["params"]
        listed.add_row(
            row["name"],
            row["method"].partition(" (")[0],
            row["fidelity"],
            macs_text(int(row["published"]["macs"])),
            macs_text(row["macs"]),
            "-" if params is None else scaled(params, _COUNT),
            scaled(row["weights"], _COUNT),
        )
    print_table(console(), listed)


def _network_json(name: str, trace: "Trace") -> dict[str, Any]:
    return {
        "name": name,
        "input": list(trace.tensors[trace.layers[0].inputs[0]].shape),
        "layers": len(trace.layers),
        "macs": sum(layer.macs for layer in trace.layers),
        "weights": sum(layer.kernel_elements for layer in trace.layers if not layer.two_activations),
    }


def recorded_json(name: str, trace: "Trace") -> dict[str, Any]:
    """A recorded trace in a few values."""
    return {
        "name": name,
        "layers": len(trace.layers),
        "macs": sum(layer.macs for layer in trace.layers),
        "images": trace.image_count,
        "accuracy": vars(trace.accuracy) if trace.accuracy else None,
        "epsilon": trace.pruning.epsilon if trace.pruning else 0.0,
        "epsilon_is_relative": trace.pruning is not None and trace.pruning.relative,
    }


def print_recorded(recorded: "list[tuple[str, Trace]]") -> None:
    """The table of the recorded traces that ship."""
    out = console()
    if not recorded:
        out.print("No recorded traces ship with this installation.")
        return
    rows = table(["recorded trace"], ["images", "layers", "MACs", "epsilon", "top-1"])
    for name, trace in recorded:
        top1 = trace.accuracy.top1 if trace.accuracy else None
        found = recorded_json(name, trace)
        epsilon = found["epsilon"]
        rows.add_row(
            printable(name),
            str(trace.image_count),
            str(found["layers"]),
            macs_text(found["macs"]),
            (f"{epsilon:g}" if isinstance(epsilon, int | float) else "by layer")
            + (", relative" if found["epsilon_is_relative"] else ""),
            "-" if top1 is None else percent_text(top1),
        )
    print_table(out, rows)
