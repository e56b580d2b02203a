"""One epsilon for all layers, as the 2018 paper swept it, on real networks and images: makes epsilon-layers.csv and
epsilon-networks.csv, which notebooks/01-dynamic-runtime-pruning.ipynb draws.

python docs/studies/epsilon_sweep.py --data FOLDER [--images N] [--networks NAME ...]

FOLDER holds nets/*.json with their weights, imagenet_sample_1000_256.tar with its labels, and cifar10_test_jpeg.npz. A
network that is in the tables already keeps its rows unless it is named.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import simulator
from simulator.extract.extract import extract
from simulator.extract.images import batches, open_images
from simulator.extract.weights import LoadedModel, resolve_model
from simulator.machine.pruning import DynamicPruning
from simulator.trace.trace import Trace

HERE = Path(__file__).parent
LAYERS, NETWORKS = HERE / "epsilon-layers.csv", HERE / "epsilon-networks.csv"
EPSILONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Those of the paper, in units of the activations."""
NAMES = (
    "cifar_alexnet",
    "cifar_vgg16",
    "squeezenet1.1",
    "mobilenet_v1",
    "mobilenet_v2",
    "resnet18_pqf",
    "resnet50_pqf",
    "tinydarknet",
)
HARDWARE = "eyeriss"
SIMULATED = 2
"""Images that are simulated with each epsilon."""
BATCH = 25


def swept(data: Path, name: str, images: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows by layer and rows by epsilon of one network."""
    model = resolve_model(str(data / "nets" / f"{name}.json"))
    layers, networks = [], []
    for epsilon in EPSILONS:
        trace = recorded(data, model, epsilon, images)
        layers += [{"network": name, "epsilon": epsilon, **row} for row in layer_rows(trace)]
        networks.append({"network": name, "epsilon": epsilon, **network_row(trace)})
        print({key: value for key, value in networks[-1].items() if key != "provenance"}, flush=True)
    return layers, networks


def recorded(data: Path, model: LoadedModel, epsilon: float, count: int) -> Trace:
    """The network on so many images with dynamic pruning per feature map on the OFM's side. They lie evenly over all
    that there are: photographs are sorted by class."""
    small = model.input_shape[1] <= 32
    labels = None if small else data / "imagenet_sample_1000_labels.tsv"
    images = open_images(data / ("cifar10_test_jpeg.npz" if small else "imagenet_sample_1000_256.tar"), labels)
    chosen = images.subset(list(range(0, len(images), max(1, len(images) // count)))[:count])
    loaded = batches(chosen, model.preprocessing, BATCH)
    return extract(model.module, loaded, name=model.name, labels=loaded.labels, epsilon=epsilon)


def layer_rows(trace: Trace) -> list[dict[str, Any]]:
    """Of every layer with MACs what it writes, as means over the images: elements, zeros and flagged feature maps."""
    rows = []
    for layer in trace.layers:
        if layer.kernel is None:
            continue
        counts = np.stack([trace.nonzeros_per_channel(layer.output, image) for image in range(trace.image_count)])
        channels, height, width = trace.tensors[layer.output].shape
        rows.append(
            {
                "layer": layer.name,
                "operator": layer.operator,
                "ofm_elements": layer.ofm_elements,
                "ifm_elements": layer.ifm_elements,
                "kernel_elements": layer.kernel_elements,
                "zero_elements": float(channels * height * width - counts.sum(axis=1).mean()),
                "zero_maps": float((counts == 0).sum(axis=1).mean()),
                "zero_map_elements": float((counts == 0).sum(axis=1).mean() * height * width),
                "maps": channels,
            }
        )
    return rows


def network_row(trace: Trace) -> dict[str, Any]:
    """Accuracy over all images, and what a few of them cost on the accelerator with and without flags."""
    assert trace.accuracy is not None
    images = list(range(SIMULATED))
    dense, pruned = (
        simulator.simulate(trace, HARDWARE, images=images, pruning=pruning).totals
        for pruning in (None, DynamicPruning())
    )
    shown = ("dram_bytes", "ifm_bytes", "kernel_bytes", "ofm_bytes", "metadata_bytes", "cycles", "energy_pj")
    return {
        "images": trace.accuracy.images,
        "top1": trace.accuracy.top1,
        "agreement": trace.accuracy.agreement,
        **{f"unflagged_{name}": dense[name] for name in shown},
        **{name: pruned[name] for name in shown},
    }


def main() -> None:
    """Sweeps every network and writes both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--networks", nargs="*", default=[])
    given = parser.parse_args()
    tables = [pd.read_csv(path) if path.exists() else pd.DataFrame({"network": []}) for path in (LAYERS, NETWORKS)]
    for name in given.networks or [name for name in NAMES if name not in set(tables[1]["network"])]:
        found = swept(given.data, name, given.images)
        for number, (path, rows) in enumerate(zip((LAYERS, NETWORKS), found, strict=True)):
            kept = tables[number][tables[number]["network"] != name]
            tables[number] = pd.concat([kept, pd.DataFrame(rows)], ignore_index=True)
            tables[number].to_csv(path, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
