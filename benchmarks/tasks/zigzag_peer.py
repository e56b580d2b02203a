"""Runs ZigZag, in its own virtual environment, on a network and an accelerator that its package ships.

Arguments: network, accelerator (also the mapping's name), folder for what it writes, and how many of the network's
operators to take from its start (all if left out). Every setting is ZigZag's default but for the progress bar, which
would be drawn for each mapping. Prints JSON: cycles, energy in pJ, the lpf_limit of its search, how many layers it
evaluated, and the CPU seconds that followed its imports.
"""

import inspect
import json
import sys
import time
from importlib.resources import files

import onnx
from zigzag.api import get_hardware_performance_zigzag


def main() -> None:
    start = time.process_time()
    network, accelerator, out = sys.argv[1:4]
    inputs = files("zigzag") / "inputs"
    workload = str(inputs / "workload" / f"{network}.onnx")
    if len(sys.argv) > 4:
        workload = onnx.load(workload, load_external_data=False)
        del workload.graph.node[int(sys.argv[4]) :]
    energy, cycles, evaluations = get_hardware_performance_zigzag(
        workload,
        str(inputs / "hardware" / f"{accelerator}.yaml"),
        str(inputs / "mapping" / f"{accelerator}.yaml"),
        dump_folder=out,
        loma_show_progress_bar=False,
    )
    found = {
        "cycles": cycles,
        "energy_pj": energy,
        "lpf_limit": inspect.signature(get_hardware_performance_zigzag).parameters["lpf_limit"].default,
        "layers": len(evaluations[0][1]),
        "work_s": time.process_time() - start,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
