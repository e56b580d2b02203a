"""Small traces and accelerators for tests, made from random numbers."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.load import load_accelerator
from simulator.trace import zero_map
from simulator.trace.file import MemoryArrays
from simulator.trace.records import Layer
from simulator.trace.shapes import trace_from_layers
from simulator.trace.trace import Trace


def with_random_maps(
    shapes: Trace,
    rng: np.random.Generator,
    *,
    images: int = 1,
    density: float = 0.6,
    empty_maps: float = 0.2,
    kernel_density: float | None = None,
) -> Trace:
    """A trace of shapes with random zero-maps; `empty_maps` is the share of feature maps that are zero throughout."""
    arrays: dict[str, np.ndarray] = {}
    for index, tensor in enumerate(shapes.tensors):
        if tensor.parts:
            continue
        nonzero = rng.random((images, *tensor.shape)) < density
        nonzero &= (rng.random((images, tensor.shape[0])) >= empty_maps)[..., None, None]
        arrays[f"map/{index}"] = zero_map.pack(nonzero)
        arrays[f"nonzero/{index}"] = zero_map.nonzeros(arrays[f"map/{index}"]).astype(np.uint32)
        arrays[f"max/{index}"] = nonzero.any(axis=(2, 3)).astype(np.float32)
    if kernel_density is not None:
        for index, layer in enumerate(shapes.layers):
            if layer.kernel is not None and not layer.two_activations:
                kernel = rng.random((layer.kernel[0], layer.kernel_elements // layer.kernel[0])) < kernel_density
                arrays[f"kernel/{index}"] = np.packbits(kernel, axis=-1)
    return dataclasses.replace(shapes, image_count=images, arrays=MemoryArrays(arrays))


def chain(*layers: Layer) -> Trace:
    """A network of layers that follow each other."""
    return trace_from_layers("chain", list(layers))


def small_accelerator(**overrides: object) -> Accelerator:
    """The edge-npu preset with small round figures: 64 B bursts, 1 KiB rows, 16-bit operands, raw storage.

    Overrides are written with __ for dots.
    """
    values: dict[str, object] = {
        "clock": "1 GHz",
        "array": {"rows": 4, "columns": 4, "dataflow": "spatial", "unroll": {"rows": ["K"], "columns": ["C"]}},
        "buffers": {
            "ifm": {"capacity": "4 KiB"},
            "kernel": {"capacity": "4 KiB"},
            "ofm": {"capacity": "4 KiB"},
        },
        "dram": {
            "name": "test",
            "bandwidth": "1 GB/s",
            "burst": "64 B",
            "row": "1 KiB",
            "row_miss": "10 ns",
            "energy": "1 pJ/bit",
        },
        "compression": {"feature_map": "raw", "kernel": "raw"},
        "precision": {"ifm": "16 bit", "kernel": "16 bit", "ofm": "16 bit", "psum": "32 bit"},
        "pruning": {"comparators": 64},
        "energy": {"mac": "1 pJ", "mac_gated": "0.1 pJ", "compare": "0.01 pJ"},
    }
    values.update({key.replace("__", "."): value for key, value in overrides.items()})
    return load_accelerator("edge-npu", values)


def padded(nonzero: np.ndarray, padding: Sequence[int]) -> np.ndarray:
    """A [C, H, W] map with padding (top, left, bottom, right) of zeros."""
    top, left, bottom, right = padding
    return np.pad(nonzero, ((0, 0), (top, bottom), (left, right)))
