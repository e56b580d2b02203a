"""`extract`: its arguments, the accuracy it measures, and what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn

import simulator.extract
from simulator.errors import InputError
from simulator.extract.extract import extract, extract_shapes
from simulator.extract.networks.registry import network_spec
from simulator.trace.records import Accuracy

torch.set_num_threads(1)

MACS = {
    "alexnet": 0.714e9,
    "vgg16": 15.47e9,
    "resnet18": 1.814e9,
    "resnet50": 4.089e9,
    "mobilenet_v2": 0.3008e9,
    "squeezenet1_1": 0.349e9,
}


@pytest.mark.parametrize("name", MACS)
def test_macs_of_well_known_networks(name):
    spec = network_spec(name)
    with torch.device("meta"):
        model = spec.build()
    trace = extract_shapes(model, spec.input_shape, name=name)
    assert sum(layer.macs for layer in trace.layers) == pytest.approx(MACS[name], rel=2e-3)
    assert trace.provenance["unrecognised_operators"] == []
    assert trace.image_count == 0


class Chosen(nn.Module):
    """A classifier that says what each image's first pixels say: the logits are the image's first row."""

    def __init__(self, wrap=lambda logits: logits) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, x):
        return self.wrap(torch.relu(x[:, 0, 0, :]))


def images_of(rankings: list[list[int]], classes: int) -> torch.Tensor:
    """Images whose logits rank the given classes first, in order."""
    images = torch.zeros(len(rankings), 1, 2, classes)
    for image, ranking in zip(images, rankings, strict=True):
        for place, label in enumerate(ranking):
            image[0, 0, label] = 10.0 - place
    return images


RANKINGS = [[3, 1, 2, 0, 4, 5], [1, 0, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("wrap", [lambda y: y, lambda y: (y, y + 1), lambda y: {"aux": -y, "logits": y}, lambda y: [y]])
def test_top1_and_top5(wrap):
    """Labels at rank 1, 2, 6 and 5: one of four right at once, three among the first five."""
    images, labels = images_of(RANKINGS, 7), [3, 0, 0, 4]
    for batches in (images, list(images.split(3)), iter(images.split(1))):
        trace = extract(Chosen(wrap), batches, name="net", labels=np.array(labels))
        assert trace.accuracy == Accuracy(4, top1=0.25, top5=0.75)


def test_top5_needs_five_classes():
    trace = extract(Chosen(), images_of([[1], [2]], 4), name="net", labels=[1, 0])
    assert trace.accuracy == Accuracy(2, top1=0.5)


def test_without_labels_or_pruning_there_is_no_accuracy():
    assert extract(Chosen(), images_of(RANKINGS, 7), name="net").accuracy is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([3, 0, 0], "labels: 3 for more than 3 images"),
        ([3, 0, 0, 4, 1], "labels: 5 for 4 images"),
        ([3, 0, 0, 7], r"labels: class 7, expected 0 to 6 \(the network has 7 outputs\)"),
        ([3, -1, 0, 4], "labels: class -1"),
        ([0.5, 1, 2, 3], r"labels: float64 of shape \[4\]"),
        ([[1, 2], [3, 4]], r"labels: int64 of shape \[2, 2\]"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, labels, message):
    with pytest.raises(InputError, match=message):
        extract(Chosen(), images_of(RANKINGS, 7).split(2), name="net", labels=labels, out=tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_labels_of_a_network_that_classifies_positions():
    with pytest.raises(InputError, match=r"not \[N, classes\], so it has no accuracy; record without labels"):
        extract(Chosen(lambda y: y[:, :, None].expand(-1, -1, 3)), images_of(RANKINGS, 7), name="net", labels=[0] * 4)


def test_labels_without_logits():
    with pytest.raises(InputError, match=r"not \[N, classes\], so it has no accuracy"):
        extract(Chosen(lambda y: y.argmax(1)), images_of(RANKINGS, 7), name="net", labels=[0] * 4)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "batches: no images"),
        ([(torch.ones(1, 3, 4, 4), torch.ones(1))], "item 0 is a tuple, expected a tensor"),
        ([torch.ones(1, 3, 4, 4), torch.ones(0, 3, 4, 4)], r"item 1 has shape \[0, 3, 4, 4\]"),
        (torch.ones(0, 3, 4, 4), "item 0 has shape"),
    ],
)
def test_batches_that_are_no_images(tmp_path, batches, message):
    with pytest.raises(InputError, match=message):
        extract(nn.Conv2d(3, 2, 1), batches, name="net", out=tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("batches", "total"),
    [
        (torch.ones(20, 3, 4, 4), 20),
        ([torch.ones(16, 3, 4, 4), torch.ones(4, 3, 4, 4)], 20),
        (iter([torch.ones(16, 3, 4, 4), torch.ones(4, 3, 4, 4)]), 0),
    ],
)
def test_progress_counts_images(batches, total):
    calls = []
    extract(nn.Conv2d(3, 2, 1), batches, name="net", progress=lambda *call: calls.append(call))
    assert calls == [(16, total), (20, total)]


def test_images_of_another_type_are_converted():
    trace = extract(nn.Conv2d(3, 2, 1), torch.ones(2, 3, 4, 4, dtype=torch.float64), name="net")
    assert trace.image_count == 2


def test_provenance_is_kept(tmp_path):
    trace = extract(
        nn.Conv2d(3, 2, 1), torch.ones(2, 3, 4, 4), name="net", provenance={"weights": "random"}, out=tmp_path / "net"
    )
    assert trace.name == "net"
    assert trace.provenance == {"weights": "random", "torch": str(torch.__version__), "unrecognised_operators": []}


def test_a_folder_that_cannot_be_written_is_reported_before_the_run(tmp_path):
    (tmp_path / "file").write_text("")
    model = nn.Conv2d(3, 2, 1)
    model.register_forward_pre_hook(lambda *_: pytest.fail("the network ran"))
    with pytest.raises(InputError, match="cannot be written"):
        extract(model, torch.ones(2, 3, 4, 4), name="net", out=tmp_path / "file" / "net")


def test_the_package_itself_can_be_called():
    trace = simulator.extract(nn.Conv2d(3, 2, 1), torch.ones(2, 3, 4, 4), name="net")  # type: ignore[operator]
    assert trace.image_count == 2
