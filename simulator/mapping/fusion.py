"""Which layers of the vector unit are done to an array layer's OFM on its way out."""

from dataclasses import dataclass

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.post_processing import POOLING
from simulator.mapping.memory import in_place_concatenations
from simulator.trace.records import Layer
from simulator.trace.trace import Trace


@dataclass(frozen=True)
class Stage:
    """A vector layer that follows an array layer on the way out.

    layer: its index in the trace; arriving: which of its inputs comes from there. The others are read from memory.
    """

    layer: int
    arriving: int

    def others(self, layer: Layer) -> tuple[int, ...]:
        """The tensors that `layer`, the stage's, reads from memory."""
        return tuple(tensor for index, tensor in enumerate(layer.inputs) if index != self.arriving)


def fused_stages(trace: Trace, accelerator: Accelerator) -> dict[int, tuple[Stage, ...]]:
    """The stages behind each array layer that has any, in order, by its index.

    A layer joins when the file lists its operator, nobody else reads the feature map that it gets, it sees that as it
    was made, and all else that it reads has been made before the array layer begins. Of two array layers that feed an
    add, the later one takes it.
    """
    if not accelerator.post_processing.fused:
        return {}
    reads = _reads(trace)
    made_by = {layer.output: index for index, layer in enumerate(trace.layers)}
    free = in_place_concatenations(trace, accelerator)
    runs_in = list(range(len(trace.layers)))
    stages: dict[int, tuple[Stage, ...]] = {}

    def ready(tensor: int) -> int:
        """The layer in which a tensor is made, −1 for those from outside."""
        source = trace.tensors[tensor].source
        maker = made_by.get(tensor if source is None else source)
        if maker is None:
            return -1
        return max(map(ready, trace.layers[maker].inputs)) if maker in free else runs_in[maker]

    for index, layer in enumerate(trace.layers):
        if layer.kernel is not None or not accelerator.post_processing.fuses(layer.operator):
            continue
        for arriving, tensor in enumerate(layer.inputs):
            maker, stage = made_by.get(tensor), Stage(index, arriving)
            if maker is None or reads[tensor] != 1 or not _sees_it_as_made(trace, trace.layers[maker], layer, arriving):
                continue
            host = runs_in[maker]
            if trace.layers[host].kernel is not None and all(ready(other) < host for other in stage.others(layer)):
                stages[host] = (*stages.get(host, ()), stage)
                runs_in[index] = host
                break
    return stages


def _reads(trace: Trace) -> list[int]:
    """How often layers read each tensor, or a copy or permutation of it."""
    reads = [0] * len(trace.tensors)
    for layer in trace.layers:
        for tensor in layer.inputs:
            source = trace.tensors[tensor].source
            reads[tensor if source is None else source] += 1
    return reads


def _sees_it_as_made(trace: Trace, maker: Layer, layer: Layer, arriving: int) -> bool:
    """Whether what arrives keeps its channels, and its rows and columns unless it is pooled."""
    shape = trace.tensors[maker.output].shape
    seen = layer.ifm if arriving == 0 else shape
    kept = layer.ofm[0] == shape[0] if layer.operator in POOLING else layer.ofm == shape
    return maker.ofm == shape == seen and kept and trace.tensors[layer.output].shape == layer.ofm
