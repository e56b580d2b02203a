"""How a network's tensors will lie in memory, as far as the planner can tell from a trace."""

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.layout import lanes_of
from simulator.mapping.burst_waste import Storage, Stored
from simulator.mapping.compressed import compressed_storage
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.memory import places, tensor_layouts
from simulator.trace.records import Layer, Shape
from simulator.trace.trace import Trace


class TensorStorage:
    """Layout and expected size of every tensor of a trace."""

    def __init__(self, trace: Trace, accelerator: Accelerator) -> None:
        """Raises InputError for a layer that the layouts name in vain."""
        self._trace, self._accelerator = trace, accelerator
        self._layouts, self._homes = tensor_layouts(trace, accelerator.layout), places(trace, accelerator)
        self._written = {layer.output for layer in trace.layers}
        self._densities: dict[int, float] = {}

    def of_layer(self, layer: Layer, nest: LoopNest, writer: Layer | None = None) -> Storage:
        """How a layer's tensors lie in memory. A tensor that it sees in other rows counts as NCHW.

        writer: the layer whose OFM is stored in place of its own, where one is done on the way out.
        """
        inputs = tuple(self._stored(tensor, seen) for tensor, seen in zip(layer.inputs, nest.inputs, strict=False))
        if writer is None or writer is layer:
            return Storage(inputs, self._stored(layer.output, nest.ofm))
        return Storage(inputs, self._stored(writer.output, writer.ofm))

    def _stored(self, tensor: int, seen: Shape) -> Stored:
        whole = self._homes[tensor].whole if tensor in self._homes else tensor
        record = self._trace.tensors[tensor]
        channels = self._trace.tensors[whole].shape[0]
        lanes = lanes_of(self._layouts[tensor], channels) if record.shape[1:] == seen[1:] else 1
        from_outside = (tensor if record.source is None else record.source) not in self._written
        if from_outside or self._accelerator.compression.feature_map.codec == "raw":
            return Stored(lanes)
        return compressed_storage(self._accelerator, lanes, seen, self._density(tensor))

    def _density(self, tensor: int) -> float:
        """The share of non-zeros in the first image, or where all counts as non-zero."""
        if tensor not in self._densities:
            nonzeros = int(self._trace.nonzeros_per_channel(tensor, 0).sum())
            self._densities[tensor] = nonzeros / self._trace.tensors[tensor].elements
        return self._densities[tensor]
