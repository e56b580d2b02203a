"""Tiles that the accelerator file fixes: obeyed exactly, or refused."""

import difflib
import fnmatch

import numpy as np

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.mapping import NOTHING_FIXED, FixedTiles, Mapping
from simulator.mapping.dataflow import Dataflow, dataflow_of
from simulator.mapping.dataflow.row_stationary import RowStationary
from simulator.mapping.loop_nest import LoopNest
from simulator.trace.records import Layer
from simulator.trace.trace import Trace

_LOOPS = {
    "g": "groups",
    "k": "output channels per group",
    "c": "input channels per group",
    "n": "images of the batch",
    "p": "rows",
    "q": "columns",
    "m": "output channels per group",
}


def check_layer_names(trace: Trace, mapping: Mapping) -> None:
    """Raises InputError for a name or pattern of `mapping.layers` that no layer of the trace has."""
    names = [layer.name for layer in trace.layers]
    for pattern in mapping.layers:
        if pattern not in names and not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern, names, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise InputError(f"mapping.layers.{pattern}: trace '{trace.name}' has no layer of that name{hint}")


def fixed_tiles(layer: Layer, nest: LoopNest, accelerator: Accelerator) -> FixedTiles:
    """What the file fixes for a layer.

    Raises InputError that names the key when the layer's loops, its groups or the dataflow do not allow it.
    """
    pattern = accelerator.mapping.pattern_of(layer.name)
    if pattern is None:
        return NOTHING_FIXED
    fixed = accelerator.mapping.layers[pattern]
    problem = _problem(fixed, nest, dataflow_of(accelerator, nest))
    if problem is not None:
        raise InputError(f"mapping.layers.{pattern}.{problem}")
    return fixed


def described(fixed: FixedTiles) -> str:
    """The keys with their values, for messages."""
    return ", ".join(f"{key}={value}" for key, value in fixed.model_dump(exclude_none=True).items())


def _problem(fixed: FixedTiles, nest: LoopNest, dataflow: Dataflow) -> str | None:
    for key, what in _LOOPS.items():
        size, loop = getattr(fixed, key), getattr(nest, "k" if key == "m" else key)
        if size is not None and size > loop:
            return f"{key}: found {size}, expected at most the layer's {loop} {what}"
    if fixed.g is not None and fixed.g > 1:
        for key in ("k", "c"):
            size, loop = getattr(fixed, key), getattr(nest, key)
            if size not in (None, loop):
                return f"{key}: found {size}, expected {loop}: a tile of several groups (g={fixed.g}) holds them whole"
    if fixed.m is not None and fixed.m < nest.k:
        if fixed.g is not None and fixed.g > 1:
            return f"m: found {fixed.m}, expected {nest.k}: a tile of several groups (g={fixed.g}) holds them whole"
        if fixed.k is not None and fixed.m % fixed.k:
            return f"m: found {fixed.m}, expected a multiple of k={fixed.k}, or all {nest.k} output channels"
    if fixed.m is not None and fixed.k is not None and fixed.k > fixed.m:
        return f"m: found {fixed.m}, expected at least k={fixed.k}"
    if nest.unit == "array" and isinstance(dataflow, RowStationary):
        return _row_stationary_problem(fixed, nest, dataflow)
    return None


def _row_stationary_problem(fixed: FixedTiles, nest: LoopNest, dataflow: RowStationary) -> str | None:
    if fixed.order not in (None, "SKC"):
        return f"order: found {fixed.order}, expected SKC, which a row-stationary array follows"
    if fixed.q not in (None, nest.q):
        return f"q: found {fixed.q}, expected {nest.q}: a row-stationary pass takes whole rows"
    if fixed.g is not None and fixed.g > 1 and nest.k * nest.c > 1:
        return f"g: found {fixed.g}, expected 1: only depthwise groups lie side by side in a row-stationary array"
    p, k, c, one = (np.array([size or 1], np.int64) for size in (fixed.p, fixed.k, fixed.c, 1))
    sets = dataflow.sets(p, nest.r)
    if not sets[0]:
        return f"p: found {fixed.p}, expected fewer rows: not even one set of that many fits into the array"
    if not dataflow.pass_of(sets, k, c, one, nest.r, nest.s).p[0]:
        key = "k" if fixed.k is not None else "c"
        given = {name: getattr(fixed, name) for name in "kcp" if getattr(fixed, name) is not None and name != key}
        beside = "".join(f", {name}={size}" for name, size in given.items())
        return f"{key}: found {getattr(fixed, key)}{beside}, expected less: no pass of the array takes on so much"
    return None
