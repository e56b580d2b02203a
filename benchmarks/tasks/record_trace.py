"""Records a network of the data folder on one image. Arguments: data folder, network, trace file to write."""

import sys
from pathlib import Path

import simulator
from simulator.extract.images import batches, open_images
from simulator.extract.weights import resolve_model


def main() -> None:
    data, network, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    model = resolve_model(str(data / "nets" / f"{network}.json"))
    small = model.input_shape[1] <= 32
    images = open_images(data / ("cifar10_test_exact.npz" if small else "imagenet_sample_1000_256.tar"), select=[1])
    simulator.extract(model.module, batches(images, model.preprocessing, 1), name=network, out=out)


if __name__ == "__main__":
    main()
