"""SCALE-Sim's AlexNet topology, and the compute cycles that SCALE-Sim 3.0.0 prints for it. Data alone, no imports."""

ALEXNET_CSV = """Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
Conv1, 224, 224, 11, 11, 3, 96, 4,
Conv2, 27, 27, 5, 5, 96, 256, 1,
Conv3, 13, 13, 3, 3, 256, 384, 1,
Conv4, 13, 13, 3, 3, 384, 384, 1,
Conv5, 13, 13, 3, 3, 384, 256, 1,
"""

COMPUTE_CYCLES = {
    "scale-sim-32-ws": [112_283, 373_799, 185_759, 278_639, 185_759],
    "scale-sim-256-ws": [7_581, 12_949, 15_965, 24_835, 12_417],
    "scale-sim-32-os": [121_124],
    "scale-sim-32-is": [216_599],
    "scale-sim-12x14-ws": [664_236],
}
