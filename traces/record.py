"""Makes the traces that ship with fmapsim again.

    python traces/record.py --shapes          the shapes of every built-in network, into traces/shapes/
    python traces/record.py --data FOLDER     the recorded traces, from FOLDER/nets/*.json and FOLDER's images

Each recorded trace holds the zero-maps of four images (numbers 1, 11, 21 and 31) and, in its provenance, the command
that made it. The networks are permissively licensed; traces/README.md names their sources.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from simulator.extract.extract import extract_shapes
from simulator.extract.networks.registry import network_names, network_spec
from simulator.trace.file import SUFFIX
from simulator.trace.trace import Trace
from simulator.trace.transformer import BERT, bert_trace

HERE = Path(__file__).resolve().parent
NETWORKS = {
    "squeezenet1_0": "squeezenet1.0_dc",
    "squeezenet1_1": "squeezenet1.1",
    "mobilenet_v1": "mobilenet_v1",
    "mobilenet_v2": "mobilenet_v2",
    "tinynet": "tinydarknet",
}
IMAGES = "1:40:10"


def record_shapes() -> None:
    """Shapes of every built-in network, without weights."""
    import torch

    for name in network_names():
        spec = network_spec(name)
        with torch.device("meta"):
            model = spec.build()
        _save_shapes(extract_shapes(model, spec.input_shape, name=name))
    for name in BERT:
        _save_shapes(bert_trace(name))


def _save_shapes(trace: Trace) -> None:
    path = trace.save(HERE / "shapes" / f"{trace.name}{SUFFIX}")
    print(f"{path.stat().st_size / 1e3:8.1f} kB  {path.relative_to(HERE)}")


def record_networks(data: Path) -> None:
    """Zero-maps of real networks on real images, with the command line that a user would type."""
    for name, source in NETWORKS.items():
        out = HERE / f"{name}{SUFFIX}"
        command = ["fmapsim", "extract", str(data / "nets" / f"{source}.json"), "--name", name, "--out", str(out)]
        command += ["--images", str(data / "imagenet_sample_1000_256.tar")]
        command += ["--labels", str(data / "imagenet_sample_1000_labels.tsv"), "--select", IMAGES]
        subprocess.run([str(Path(sys.executable).with_name("fmapsim")), *command[1:]], check=True)
        print(f"{out.stat().st_size / 1e3:8.1f} kB  {out.name}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", action="store_true", help="record the shapes of the built-in networks")
    parser.add_argument("--data", type=Path, help="folder with nets/ and the images")
    options = parser.parse_args()
    if not options.shapes and options.data is None:
        parser.error("nothing to do: give --shapes, --data FOLDER, or both")
    if options.shapes:
        record_shapes()
    if options.data is not None:
        record_networks(options.data)


if __name__ == "__main__":
    main()
