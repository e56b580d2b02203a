"""Counts the cycles of all array layers of a built-in network. Arguments: scheme, network, densities of IFM and
kernels.

Zeros are drawn at random. Prints JSON: the layers, their cycles and products.
"""

import json
import sys

import numpy as np

import simulator


def main() -> None:
    scheme, network, ifm_density, kernel_density = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    random = np.random.default_rng(0)
    layers = [layer for layer in simulator.network_trace(network).layers if layer.kernel is not None]
    cycles = products = 0
    for layer in layers:
        ifm = random.random(layer.ifm, np.float32) < ifm_density
        kernel = random.random(layer.kernel, np.float32) < kernel_density
        found = simulator.sparse_cycles(scheme, ifm, kernel, layer.stride, layer.padding[:2])
        cycles, products = cycles + found["cycles"], products + found["products"]
    print(json.dumps({"layers": len(layers), "cycles": cycles, "products": products}))


if __name__ == "__main__":
    main()
