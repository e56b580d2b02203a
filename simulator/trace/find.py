"""A trace by any name that a user may give it."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.near_file import near_file

if TYPE_CHECKING:
    from simulator.trace.trace import Trace

ENDINGS = (".trace.safetensors", ".safetensors", ".csv")
"""Of the files that traces are read from."""

SHAPES = "shapes/"
"""What stands before a built-in network's name where a recorded trace has the same one."""


def find_trace(name_or_path: str) -> "Trace":
    """A trace by recorded name, file, built-in network or published budget (shapes), or SCALE-Sim topology (.csv).

    `shapes/NAME` are the shapes of a built-in network also where there is a recorded trace of that name.
    Raises InputError when it is none of these.
    """
    from simulator.trace.published import PREFIX, published_names, published_trace
    from simulator.trace.topology import trace_from_topology
    from simulator.trace.trace import load_trace, network_trace, network_trace_names, trace_names

    path = Path(name_or_path)
    if path.suffix == ".csv":
        return trace_from_topology(path)
    if path.is_file() or path.suffix == ".safetensors" or name_or_path in trace_names():
        return load_trace(name_or_path)
    if name_or_path.startswith(PREFIX):
        return published_trace(name_or_path)
    networks = network_trace_names()
    shapes = name_or_path.removeprefix(SHAPES)
    if shapes in networks:
        return network_trace(shapes)
    near = difflib.get_close_matches(name_or_path, [*trace_names(), *networks, *published_names()], n=1)
    hint = near_file(name_or_path, ENDINGS) or (f"; did you mean '{near[0]}'?" if near else "")
    raise InputError(
        f"'{name_or_path}' is no trace file, recorded trace, built-in network or topology .csv "
        f"(`fmapsim networks` lists the names){hint}"
    )
