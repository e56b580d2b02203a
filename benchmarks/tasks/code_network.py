"""Sizes of all feature maps of a built-in network under every codec of zeros. Arguments: network, density, turns.

Zeros are drawn at random, so many in every tensor. Prints JSON: the least CPU seconds over the turns of each codec for
one image, unpacking of maps not included, raw over stored bits, and the number of elements.
"""

import json
import sys
import time

import simulator
from simulator.compression import codec_names, codec_of
from simulator.machine.feature_map import StoredFeatureMap


def main() -> None:
    network, density, turns = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    shapes = simulator.network_trace(network)
    densities = {layer.name: (density, density) for layer in shapes.layers if layer.operator != "concat"}
    trace = shapes.with_densities(densities)
    maps = [trace.nonzero(tensor, 0)[None] for tensor in range(len(trace.tensors))]
    elements = sum(nonzero.size for nonzero in maps)
    seconds: dict[str, float] = {}
    ratios: dict[str, float] = {}
    for codec in codec_names():
        if codec == "raw" or codec_of(codec).needs_values:
            continue
        for _ in range(turns):
            start = time.process_time()
            bits = sum(int(StoredFeatureMap(m.shape, 16, codec, m, None).unit_sizes.bits.sum()) for m in maps)
            spent = time.process_time() - start
            seconds[codec] = min(spent, seconds.get(codec, spent))
            ratios[codec] = elements * 16 / bits
    print(json.dumps({"seconds": seconds, "ratios": ratios, "elements": elements}))


if __name__ == "__main__":
    main()
