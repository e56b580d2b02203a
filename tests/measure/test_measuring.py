"""A network is measured on the CPU, whole and operator by operator, and its operators carry the names of the trace."""

import pytest
import torch
from torch import nn

from simulator.errors import InputError
from simulator.extract.networks.registry import network_spec
from simulator.extract.tracer import trace_graph
from simulator.extract.views import EXAMPLES
from simulator.measure.crosscheck import crosscheck, shapes
from simulator.measure.devices import machine
from simulator.measure.nsight import Counters
from simulator.measure.operators import matched, operator_places
from simulator.measure.run import Request, measure
from simulator.measure.workloads import build, prepared
from simulator.trace.unfold import unfolded


def test_a_network_is_measured_and_checked_from_end_to_end() -> None:
    found = measure(Request(["cifar_resnet20"], batches=(1, 2), threads=1, seconds=0.02, repeats=2, warm_up=1), "x")
    layers = unfolded(shapes("cifar_resnet20")).layers
    for run in found.networks:
        assert run.macs == run.batch * sum(layer.macs for layer in layers)
        named = [operator.name for operator in run.operators if not operator.name.startswith("other/")]
        assert named == [layer.name for layer in layers]
        assert 0 < run.latency_us.least <= run.latency_us.median
    assert {item.name for item in found.ceilings} >= {"copy_bandwidth", "matrix_rate", "launch"}

    checked = crosscheck(found, "cpu-avx512")
    assert len(checked.layers) == 2 * len(layers)
    other = {operator.name for run in found.networks for operator in run.operators} - set(checked.layers["layer"])
    assert other <= {"other/empty", "other/constant_pad_nd"}, other


def test_timing_changes_nothing_and_leaves_views_out() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.fc = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8 * 36, 5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.fc(torch.relu(self.norm(self.conv(images))).flatten(1))

    graph = trace_graph(Net().eval(), torch.zeros(EXAMPLES, 3, 8, 8), "net")
    named = [(func.overloadpacket.__name__, name) for func, name in operator_places(graph)]
    assert [name for _, name in named if name] == ["conv", "conv/batch_norm", "conv/relu", "fc"], named


def test_published_structures_are_cut_out_of_their_networks() -> None:
    model, shape = build("budget/resnet18-di-unif")
    workload = prepared(model, shape, batch=1, precision="fp32", variant="channels_last", device="cpu")
    assert model.get_submodule("layer1.0.conv1").weight.shape[0] == 32
    assert workload.images.is_contiguous(memory_format=torch.channels_last)
    assert workload.run().shape == (1, network_spec("resnet18").num_classes)


def test_counted_bytes_go_to_operators_by_their_number() -> None:
    counters = {"cifar_resnet20": Counters(30, {0: 10, 1: 20})}
    request = Request(["cifar_resnet20"], threads=1, seconds=0.01, repeats=1, warm_up=1, counters=counters)
    [run] = measure(request, "x").networks
    assert run.dram_bytes == 30
    # the second operator of a run is the memory that its first batch norm sets aside
    assert [(operator.name, operator.dram_bytes) for operator in run.operators[:3]] == [
        ("conv1", 10),
        ("other/empty", 20),
        ("conv1/batch_norm", None),
    ]


def test_operators_that_only_gpus_run_have_the_place_of_the_hosts() -> None:
    aten = torch.ops.aten
    places = [
        (aten.convolution.default, "conv"),
        (aten.native_batch_norm.default, "conv/batch_norm"),
        (aten.relu.default, "conv/relu"),
    ]
    ran = [aten.convolution.default, aten.cudnn_batch_norm.default, aten.relu.default]
    assert [place.name for place in matched(places, ran)] == ["conv", "conv/batch_norm", "conv/relu"]
    assert matched(places, ran)[1].operator == "cudnn_batch_norm"
    assert matched(places, [aten.constant_pad_nd.default])[0].name == "other/constant_pad_nd"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"precisions": ("tf32",)}, "precision tf32 on device cpu: expected one of fp32, bf16"),
        ({"batches": (0,)}, "batch: found 0"),
        ({"batches": (2, 2)}, "batch given twice in 2, 2"),
        ({"networks": ["budget/resnet50-weights-di"]}, "quantised weights"),
        ({"networks": ["resnet19"]}, "resnet19"),
        ({"variants": ("graph",)}, "variant graph on device cpu"),
        ({"counters": {"tinynet": Counters(1, {})}, "batches": (1, 2)}, "counters are of one run"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: dict[str, object], message: str) -> None:
    settings = {"networks": ["tinynet"], "threads": 1, "seconds": 0.001, "repeats": 1, **arguments}
    with pytest.raises(InputError, match=message):
        measure(Request(**settings), "x")  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_named() -> None:
    with pytest.raises(InputError, match="PyTorch finds no GPU here"):
        machine("cuda")
