"""Scores channels by discriminant information. Arguments: images, channels, side, classes.

Maps are random numbers. Prints JSON: the seconds of one batch, those of all cores together, and the
information.
"""

import json
import sys
import time

import torch

from simulator.pruning.static.discriminant import discriminant_scores


def main() -> None:
    images, channels, side, classes = map(int, sys.argv[1:])
    torch.manual_seed(0)
    maps, labels = torch.randn(images, channels, side, side), torch.arange(images) % classes
    discriminant_scores(maps[:, :2], labels)  # the first call loads libraries
    start, cpu_start = time.monotonic(), time.process_time()
    information, scores = discriminant_scores(maps, labels)
    seconds, cpu_s = time.monotonic() - start, time.process_time() - cpu_start
    assert (scores >= 0).all()
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "information": information}))


if __name__ == "__main__":
    main()
