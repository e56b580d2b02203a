"""The feature maps of one batch of images: zeros, what dynamic pruning keeps, and how they lie in DRAM."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.compression import UnitSizes
from simulator.hardware.accelerator import Accelerator
from simulator.machine.codec_needs import codes_values
from simulator.machine.comparators import Comparisons, compared_elements
from simulator.machine.feature_map import StoredFeatureMap
from simulator.machine.home_units import StorageUnit
from simulator.machine.memory_map import MemoryMap
from simulator.machine.pruning import flag_bits, kept_elements
from simulator.machine.residence import Residence
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.memory import places, tensor_layouts
from simulator.mapping.schedule import LayerSchedule
from simulator.trace.records import Layer, Shape
from simulator.trace.trace import Trace

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """One tensor of the batch as [N, C, H, W] maps; None where everything counts.

    kept is [N, C, 1, 1] when the pruning unit flags whole feature maps. values: whole numbers, None where the codec
    does not look at them. known_sizes: what of them has been coded, see `StoredFeatureMap`.
    """

    nonzero: Bools | None
    kept: Bools | None
    values: Ints | None = None
    known_sizes: dict[Any, UnitSizes] = field(default_factory=dict)


class Batch:
    """All tensors of a trace for a batch of images, unpacked when a layer needs them and dropped after the last one."""

    def __init__(
        self,
        trace: Trace,
        accelerator: Accelerator,
        images: Sequence[int],
        batch: int,
        *,
        pruned: bool,
        beside: "Batch | None" = None,
    ) -> None:
        """`images` is empty for a trace of shapes only, and then `batch` says how many there are.

        beside: another batch whose tensors are in memory at the same time.
        """
        self.trace = trace
        self.accelerator = accelerator
        self.images = list(images)
        self.size = len(self.images) or batch
        self.pruned = pruned
        self._produced = {layer.output for layer in trace.layers}
        self._last_use = {tensor: index for index, layer in enumerate(trace.layers) for tensor in layer.inputs}
        self.residence = Residence()
        self._maps: dict[int, FeatureMaps] = {}
        self._layouts = tensor_layouts(trace, accelerator.layout)
        self._places = places(trace, accelerator)
        self._unit = _unit(accelerator)
        self._codes_values = codes_values(trace, accelerator)
        self.memory: MemoryMap = MemoryMap(accelerator, self._places, None if beside is None else beside.memory)

    def repeated(self, frames: int) -> "Batch":
        """The same images so many times, one batch after another."""
        images, size = self.images * frames, self.size * frames
        batch = Batch(self.trace, self.accelerator, images, size, pruned=self.pruned, beside=self)
        batch.residence = self.residence
        return batch

    def maps(self, tensor: int) -> FeatureMaps:
        """The maps of a tensor."""
        if tensor not in self._maps:
            nonzero = kept = None
            if self.images and not self._zero_free(tensor):
                nonzero = np.stack([self.trace.nonzero(tensor, image) for image in self.images])
            if nonzero is not None and self.pruned:
                kept = np.stack([kept_elements(self.accelerator.pruning, image) for image in nonzero])
            values = None
            if self._codes_values and not self.in_memory_from_outside(tensor):
                values = np.stack([self.trace.values(tensor, image) for image in self.images])
            self._maps[tensor] = FeatureMaps(nonzero, None if kept is None or kept.all() else kept, values)
        return self._maps[tensor]

    def release(self, layer_index: int) -> None:
        """Drops every tensor that no layer after `layer_index` reads."""
        for tensor in [tensor for tensor in self._maps if self._last_use.get(tensor, -1) <= layer_index]:
            del self._maps[tensor]

    def forget(self, tensor: int) -> None:
        """Drops a tensor until somebody asks for it again."""
        self._maps.pop(tensor, None)

    def _zero_free(self, tensor: int) -> bool:
        record = self.trace.tensors[tensor]
        if record.parts:
            return all(self._zero_free(part) for part in record.parts)
        return record.zero_free

    def in_memory_from_outside(self, tensor: int) -> bool:
        """True for the network's own inputs."""
        return self._own(tensor) not in self._produced

    def flagged(self, tensor: int) -> bool:
        """Whether flags of this tensor lie in DRAM: the pruning unit saw its feature maps as somebody's OFM.

        A permutation of an OFM has other feature maps than those that were flagged; a copy that the recording pruned on
        the way into a layer has the same ones.
        """
        record, recorded = self.trace.tensors[tensor], self.trace.pruning
        if not self.pruned or self.accelerator.pruning.side != "ofm":
            return False
        if record.source is not None:
            same_shape = self.trace.tensors[record.source].shape == record.shape
            if not (same_shape and recorded is not None and recorded.side == "ifm"):
                return False
        return not self.in_memory_from_outside(tensor)

    def flag_bytes(self, tensor: int) -> int:
        """Bytes of a tensor's flags in DRAM for the whole batch, 0 when it has none or stays on chip."""
        if not self.flagged(tensor) or self.stays(tensor):
            return 0
        return self.size * -(-flag_bits(self.accelerator.pruning, *self.trace.tensors[tensor].shape) // 8)

    def flagged_elements(self, tensor: int) -> int:
        """Elements of a tensor that dynamic pruning has flagged, in the whole batch."""
        kept = self.maps(tensor).kept
        if kept is None:
            return 0
        elements = self.size * math.prod(self.trace.tensors[tensor].shape)
        return (kept.size - int(np.count_nonzero(kept))) * (elements // kept.size)

    def stored(self, tensor: int, shape: Shape, images: int) -> StoredFeatureMap:
        """A tensor as its producer laid it out in DRAM, seen by a layer as `images` times (C, H, W) of `shape`.

        Where the images count as groups, they lie behind each other like channels.
        """
        stored = self.unplaced(tensor, shape, images)
        if self.stays(tensor):
            return dataclasses.replace(stored, on_chip=True)
        region = self.memory.tensor(self._own(tensor), stored)
        return stored if region is None else dataclasses.replace(stored, region=region)

    def stays(self, tensor: int) -> bool:
        """Whether a tensor stays on chip."""
        return self._own(tensor) in self.residence.tensors

    def unplaced(self, tensor: int, shape: Shape, images: int) -> StoredFeatureMap:
        """The same without a place in DRAM."""
        maps = self.maps(tensor)
        how = self.accelerator.compression.feature_map
        raw = self.in_memory_from_outside(tensor) or how.codec == "raw"
        own = self.trace.tensors[tensor].shape
        return StoredFeatureMap(
            shape=(self.size, *own),
            bits=self.accelerator.precision.ifm,
            codec="raw" if raw else how.codec,
            nonzero=None if raw else maps.nonzero,
            kept=maps.kept if self.flagged(tensor) else None,
            view=None if (self.size, own) == (images, shape) else shape,
            layout=self._layouts[tensor],
            part=self._part(tensor),
            unit=self._unit,
            values=maps.values,
            known_sizes=maps.known_sizes,
        )

    def _own(self, tensor: int) -> int:
        """The tensor that is in memory where `tensor` is a copy or permutation of it that was never stored itself."""
        source = self.trace.tensors[tensor].source
        return tensor if source is None else source

    def _part(self, tensor: int) -> tuple[int, int] | None:
        """Where a tensor lies among the channels of a concatenation: its first channel, and all channels of that.

        None for a tensor of its own, also in NCHW, where a part is whole planes that follow each other.
        """
        record = self.trace.tensors[tensor]
        if record.source is not None and self.trace.tensors[record.source].shape == record.shape:
            tensor = record.source
        place = self._places.get(tensor)
        if place is None or self._layouts[tensor] == "NCHW":
            return None
        return place.first_channel, self.trace.tensors[place.whole].shape[0]

    def _seen(self, tensor: int, shape: Shape, images: int) -> Bools | None:
        """What pruning keeps of a tensor, for a layer that sees the same elements as another (C, H, W) (a flatten)."""
        kept = self.maps(tensor).kept
        own = self.trace.tensors[tensor].shape
        if kept is None or (own == shape and images == self.size):
            return kept
        full = np.broadcast_to(kept, (self.size, *own)).reshape(images, *shape)
        whole_maps = kept.shape[2:] == (1, 1)
        return np.asarray(full.any(axis=(2, 3), keepdims=True)) if whole_maps else full

    def kept_channels(self, schedule: LayerSchedule, layer: Layer) -> Bools | None:
        """Input channels that dynamic pruning leaves to the array: [N, G·C, 1, 1] or [N, G·C, H, W]; None for all."""
        tensor, nest = layer.inputs[0], schedule.nest
        if not self.pruned or (self.accelerator.pruning.side == "ofm" and not self.flagged(tensor)):
            return None
        return self._seen(tensor, nest.inputs[0], nest.n)

    def active_channels(self, schedule: LayerSchedule, layer: Layer) -> Bools | None:
        """Input channels left for each tile of positions: [G·C, position tiles]; None for all."""
        kept = self.kept_channels(schedule, layer)
        if kept is None:
            return None
        nest, tiles = schedule.nest, schedule.position_tiles
        image, row, column = schedule.position_index(np.arange(tiles, dtype=np.int64))
        by_image = np.logical_or.reduceat(kept, schedule.images.start, axis=0)
        if kept.shape[2:] == (1, 1):
            return np.ascontiguousarray(by_image[image, :, 0, 0].T)
        first_row, last_row = nest.input_rows(schedule.rows.start[row], schedule.rows.stop[row])
        first_column, last_column = nest.input_columns(schedule.columns.start[column], schedule.columns.stop[column])
        active = np.empty((nest.g * nest.c, tiles), np.bool_)
        for tile in range(tiles):
            box = by_image[image[tile], :, first_row[tile] : last_row[tile], first_column[tile] : last_column[tile]]
            active[:, tile] = box.any(axis=(1, 2))
        return active

    def kernel(self, layer_index: int) -> Bools | None:
        """Where a layer's kernel is not zero, [G·K, C, R, S]; the images' kernels in a row for two activations."""
        if not self.trace.layers[layer_index].two_activations:
            return self.trace.kernel_nonzero(layer_index)
        maps = [self.trace.kernel_nonzero(layer_index, image) for image in self.images]
        present = [image for image in maps if image is not None]
        return np.concatenate(present) if present else None

    def comparisons(self, layer: Layer, loaded_elements: int) -> Comparisons:
        """What the pruning unit does: with what a layer writes (side `ofm`), or what an array layer loads (`ifm`).

        What is loaded several times is compared as often. Counting holds every element against epsilon, a mean one
        value per map.
        """
        unit = self.accelerator.pruning
        if not self.pruned or (unit.side == "ifm" and layer.kernel is None):
            return Comparisons()
        tensor = layer.output if unit.side == "ofm" else layer.inputs[0]
        nonzero, record = self.maps(tensor).nonzero, self.trace.tensors[tensor]
        times = 1 if unit.side == "ofm" else -(-loaded_elements // (self.size * record.elements))
        elements, maps = self.size * record.elements, self.size * record.shape[0]
        if unit.rule == "count":
            return Comparisons(elements * times, elements * times)
        if unit.rule == "mean":
            return Comparisons(maps * times, elements * times)
        # Without a map the first element of each feature map is above epsilon already.
        once = maps if nonzero is None else sum(compared_elements(unit, image) for image in nonzero)
        return Comparisons(times * once)

    def _means(self, layer: Layer) -> dict[int, Bools]:
        """By input of a layer that was recorded with means: which channels have one other than zero."""
        recorded = self.trace.pruning
        if not self.pruned or recorded is None or not recorded.means:
            return {}
        if recorded.side == "ifm":
            found = {layer.inputs[0]: recorded.means.get(layer.name)}
        else:
            writers = {one.output: one.name for one in self.trace.layers}
            found = {tensor: recorded.means.get(writers.get(tensor, "")) for tensor in layer.inputs}
        return {tensor: np.asarray(means) != 0 for tensor, means in found.items() if means is not None}

    def table_bytes(self, layer: Layer) -> list[int]:
        """Bytes of the pruning unit's tables that a layer reads from DRAM: thresholds, and means of its inputs."""
        unit, bits = self.accelerator.pruning, self.accelerator.precision.ofm
        if not self.pruned or not self.images:
            return []
        compared = layer.output if unit.side == "ofm" else layer.inputs[0]
        channels = [self.trace.tensors[compared].shape[0]] if unit.thresholds == "channel" else []
        if unit.replacement == "mean":
            channels += [len(means) for means in self._means(layer).values()]
        return [-(-count * bits // 8) for count in channels]

    def with_replaced(self, layer: Layer, nest: LoopNest, active: Bools | None) -> Bools | None:
        """`active_channels` with those whose flagged maps stand for a mean: their kernel slices are needed too."""
        means = self._means(layer).get(layer.inputs[0])
        if active is None or means is None:
            return active
        own, seen = self.trace.tensors[layer.inputs[0]].shape, nest.inputs[0]
        full = np.broadcast_to(means[:, None, None], own)
        images = seen[0] * seen[1] * seen[2] // full.size
        replaced = np.asarray(np.tile(full.reshape(-1), images).reshape(seen).any(axis=(1, 2)))
        return np.asarray(active | replaced.reshape(-1, 1))


def _unit(accelerator: Accelerator) -> StorageUnit:
    """What compressed feature maps are cut into."""
    how = accelerator.compression.feature_map
    rows, columns = how.tile or (1, 1)
    return StorageUnit(how.unit, how.at_home, rows, columns, how.line_bytes, accelerator.dram.burst, how.raw_fallback)
