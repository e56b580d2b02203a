"""`sparse_cycles`: what a scheme does with one layer, from the maps of its operands."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from simulator.errors import InputError
from simulator.hardware.array import Array
from simulator.hardware.load import accelerator_path
from simulator.hardware.yaml_file import read_yaml
from simulator.mapping.dataflow.sparse.base import Convolution, Scheme
from simulator.mapping.dataflow.sparse.losses import LOSSES
from simulator.mapping.dataflow.sparse.registry import ALONE, CHIPS, PRESETS, SCHEMES, scheme_of
from simulator.validated import validated

_SIZES = ("rows", "columns", "macs_per_pe")


def sparse_cycles(
    scheme: str,
    ifm_nonzero: npt.ArrayLike,
    kernel_nonzero: npt.ArrayLike,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    **parameters: int,
) -> Mapping[str, int]:
    """Cycles of one convolution on an array that skips zeros, and where each multiplier was meanwhile.

    scheme: "cartesian_product" ("scnn"), "activation_lanes" ("cnvlutin"), "nonzero_pairs" ("eyeriss_v2"),
    "activation_broadcast" ("eie"), "packed_kernels" ("sigma"), "structured_kernels" ("structured") or "channel_bricks"
    ("bricks"). ifm_nonzero [C, H, W] and kernel_nonzero [K, C, R, S] are true where an operand is not zero; a kernel of
    C/G channels belongs to G groups. stride and padding go for rows and columns, or are (rows, columns).
    parameters: the array's `rows`, `columns` and `macs_per_pe` and the keys of the scheme's `skipping` section in an
    accelerator file, by default those of the preset that ships with it, but a single PE for "nonzero_pairs", whose
    rule was published for one.

    Returns `cycles`; `dense_cycles`, those of the same layer without a zero (for "activation_lanes" on the array that
    it was built from, which takes a brick a cycle); `multipliers`; `products` (of two non-zeros that belong to an
    output); all losses of `LOSSES`, in multipliers times cycles; and what else the scheme notes. Always, exactly,

        cycles · multipliers = products + ineffectual + fragmentation + bank_conflicts + imbalance + halo + outside
                               + metadata + load

    Raises InputError for an unknown scheme or parameter and for maps whose shapes do not fit together.
    """
    found = _scheme(scheme, tuple(sorted(parameters.items())))
    ifm, kernel = np.asarray(ifm_nonzero, np.bool_), np.asarray(kernel_nonzero, np.bool_)
    groups = _groups(ifm, kernel)
    outputs, channels = kernel.shape[0] // groups, kernel.shape[1]
    above, left = _pair(padding, "padding", 0)
    convolution = Convolution(_pair(stride, "stride", 1), padding=(above, left))
    window = np.pad(ifm, ((0, 0), (above, above), (left, left))).reshape(
        groups, channels, ifm.shape[1] + 2 * above, ifm.shape[2] + 2 * left
    )
    kernels = kernel.reshape(groups, outputs, *kernel.shape[1:])
    if 0 in convolution.outputs(window, kernels):
        raise InputError(f"kernel {kernel.shape} is larger than the feature map {ifm.shape} with padding {padding}")
    cost = found.cost(window, kernels, convolution)
    full = np.pad(np.ones_like(ifm), ((0, 0), (above, above), (left, left))).reshape(window.shape)
    return {
        "cycles": cost.cycles,
        "dense_cycles": found.dense_cycles(full, kernels, convolution),
        "multipliers": cost.multipliers,
        "products": cost.products,
        **{name: cost.losses.get(name, 0) for name in LOSSES},
        **cost.notes,
    }


def _pair(value: int | tuple[int, int], name: str, least: int) -> tuple[int, int]:
    rows, columns = value if isinstance(value, tuple) else (value, value)
    if min(rows, columns) < least:
        raise InputError(f"{name}: found {value}, expected {least} or more")
    return rows, columns


def _groups(ifm: npt.NDArray[np.bool_], kernel: npt.NDArray[np.bool_]) -> int:
    if ifm.ndim != 3 or kernel.ndim != 4 or 0 in ifm.shape + kernel.shape:
        raise InputError(f"expected maps [C, H, W] and [K, C, R, S], found {ifm.shape} and {kernel.shape}")
    groups, rest = divmod(ifm.shape[0], kernel.shape[1])
    if rest or groups == 0 or kernel.shape[0] % groups:
        raise InputError(f"kernel {kernel.shape} does not fit a feature map of {ifm.shape[0]} channels")
    return int(groups)


@cache
def _preset(name: str) -> Mapping[str, Any]:
    """The `array` section of a preset."""
    section: Mapping[str, Any] = read_yaml(accelerator_path(name)).data["array"]
    return section


@cache
def _scheme(name: str, parameters: tuple[tuple[str, int], ...]) -> Scheme:
    kind = CHIPS.get(name, name)
    if kind not in SCHEMES:
        raise InputError(f"unknown scheme '{name}' (known: {', '.join((*SCHEMES, *CHIPS))})")
    preset = _preset(PRESETS[kind])
    array, keys = {**preset, **ALONE.get(kind, {})}, dict(preset["skipping"])
    known = {*keys, *_SIZES} - {"kind"}
    for key, value in parameters:
        if key not in known:
            raise InputError(f"scheme '{name}': unknown parameter '{key}' (known: {', '.join(sorted(known))})")
        (array if key in _SIZES else keys)[key] = value
    if kind == "cartesian_product" and "macs_per_pe" not in dict(parameters):
        array["macs_per_pe"] = keys["activations"] * keys["weights"]
    try:
        return scheme_of(validated(Array, {**array, "skipping": keys}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"scheme '{name}': {where}{': ' if where else ''}{first['msg']}") from None
