"""What codecs make of recorded feature maps: makes the tables of docs/compression.md.

python docs/studies/compression.py [--values FOLDER]

FOLDER holds traces recorded with `--values 8` and, as the data pack has it, `alexnet_one_image_activations.npz`;
without it the table of values stays as it is.
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import simulator
from simulator.compression import codec_names, codec_of, compressed_bits
from simulator.hardware.load import load_accelerator
from simulator.trace.trace import Trace, load_trace

PAGE = Path(__file__).parent.parent / "compression.md"
NETWORKS = ("squeezenet1_0", "squeezenet1_1", "mobilenet_v1", "mobilenet_v2")
BITS = 8
OF_ZEROS = [name for name in codec_names() if name != "raw" and not codec_of(name).needs_values]
OF_VALUES = ["bitmap", "zero_run_length", "csc", "bpc", "ebpc", "huffman", "entropy"]
UNITS: dict[str, Any] = {
    "raw": "raw",
    "packed rows": {"codec": "bitmap"},
    "packed rows, no fallback": {"codec": "bitmap", "raw_fallback": False},
    "rows at home": {"codec": "bitmap", "placement": "home"},
    "lines of 128 B": {"codec": "bitmap", "unit": "line"},
    "tiles of 8×8": {"codec": "bitmap", "unit": "tile", "tile": [8, 8]},
    "tiles of 4×4": {"codec": "bitmap", "unit": "tile", "tile": [4, 4]},
}


def written_maps(trace: Trace) -> list[int]:
    """The tensors that layers write and that are stored on their own."""
    return sorted({layer.output for layer in trace.layers if not trace.tensors[layer.output].parts})


def ratio(codec: str, maps: list[npt.NDArray[Any]]) -> str:
    """Raw over stored bits of tensors that are each coded as one piece."""
    raw = sum(values.size for values in maps) * BITS
    return f"{raw / sum(compressed_bits(codec, values, BITS) for values in maps):.2f}"


def zeros_table() -> list[dict[str, str]]:
    """Zero-maps of the shipped traces, NCHW and NHWC."""
    rows = []
    for name in NETWORKS:
        trace = load_trace(name)
        every = [(tensor, image) for tensor in written_maps(trace) for image in range(trace.image_count)]
        maps = [trace.nonzero(*one) for one in every]
        zeros = 1 - sum(int(m.sum()) for m in maps) / sum(m.size for m in maps)
        for layout, axes in (("NCHW", (0, 1, 2)), ("NHWC", (1, 2, 0))):
            laid_out = [m.transpose(axes) for m in maps]
            first = {"network": name, "zeros": f"{zeros:.0%}", "order": layout}
            rows.append(first | {codec: ratio(codec, laid_out) for codec in OF_ZEROS})
    return rows


def value_tensors(folder: Path) -> Iterator[tuple[str, list[npt.NDArray[Any]]]]:
    """Networks with the values of their feature maps."""
    activations = folder / "alexnet_one_image_activations.npz"
    if activations.is_file():
        import torch

        from simulator.extract.quantise import quantised

        stored = np.load(activations)
        layers = [torch.tensor(stored[key].astype(np.float32))[None] for key in stored.files if key.endswith("_relu")]
        yield "AlexNet, conv1–conv5, one image", [quantised(maps, BITS) for maps in layers]
        signed = [torch.round(maps / maps.max() * (2 ** (BITS - 1) - 1)).long().numpy() for maps in layers]
        yield "the same, signed and rounded to zero", signed
    for path in sorted(folder.glob("*.trace.safetensors")):
        trace = load_trace(path)
        every = [(tensor, image) for tensor in written_maps(trace) for image in range(trace.image_count)]
        yield trace.name, [trace.values(*one) for one in every]
        relu = {layer.output for layer in trace.layers if any(name.startswith("relu") for name in layer.fused)}
        yield f"{trace.name}, maps behind a ReLU", [trace.values(*one) for one in every if one[0] in relu]


def values_table(folder: Path) -> list[dict[str, str]]:
    """Values of 8 bits, NCHW."""
    rows = []
    for name, maps in value_tensors(folder):
        zeros = 1 - sum(int(np.count_nonzero(m)) for m in maps) / sum(m.size for m in maps)
        rows.append({"network": name, "zeros": f"{zeros:.0%}"} | {codec: ratio(codec, maps) for codec in OF_VALUES})
    return rows


def units_table() -> list[dict[str, str]]:
    """SqueezeNet 1.1 on edge-npu, one image, 16-bit feature maps."""
    rows = []
    for name, feature_map in UNITS.items():
        wide = {"ifm": "16 bit", "kernel": "16 bit", "ofm": "16 bit", "psum": "32 bit"}
        settings = {"compression": {"feature_map": feature_map, "kernel": "raw"}, "precision": wide}
        accelerator = load_accelerator("edge-npu", settings)
        report = simulator.simulate(load_trace("squeezenet1_1"), accelerator, images=[0])
        totals = report.totals
        maps = totals["ifm_bytes"] + totals["ofm_bytes"]
        rows.append(
            {
                "unit": name,
                "values MB": f"{maps / 1e6:.2f}",
                "metadata MB": f"{totals['metadata_bytes'] / 1e6:.2f}",
                "together MB": f"{(maps + totals['metadata_bytes']) / 1e6:.2f}",
                "cycles": f"{totals['cycles'] / 1e6:.2f} million",
            }
        )
    return rows


def markdown(rows: list[dict[str, str]]) -> str:
    """A table in Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(line.values()) + " |" for line in rows)])


def main() -> None:
    """Puts the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=Path, metavar="FOLDER", help="traces with values, and AlexNet's activations")
    folder = parser.parse_args().values
    tables = {"zeros": zeros_table(), "units": units_table()}
    if folder is not None:
        tables["values"] = values_table(folder)
    page = PAGE.read_text(encoding="utf-8")
    for name, rows in tables.items():
        block = f"<!-- {name} -->\n{markdown(rows)}\n<!-- end -->"
        page = re.sub(rf"<!-- {name} -->\n.*?<!-- end -->", lambda _, block=block: block, page, flags=re.DOTALL)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
