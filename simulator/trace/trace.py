"""`Trace`: the graph of a network, what its feature maps held, and how accurate it was."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.resources import shipped_folder
from simulator.trace import zero_map
from simulator.trace.densities import Densities, statistical_trace
from simulator.trace.file import SUFFIX, Arrays, FileArrays, MemoryArrays, TraceSpool
from simulator.trace.records import Accuracy, Layer, RecordedPruning, Shape, Tensor
from simulator.trace.statistical import StatisticalArrays
from simulator.trace.values import MOST_BITS, Ints, unpack_values, value_bytes


@dataclass(frozen=True, eq=False)
class Trace:
    """What a network did on `image_count` images; with 0 images it holds shapes only, or is statistical.

    layers stand in the order of execution; `Layer.inputs` and `Layer.output` index `tensors`. provenance says where the
    weights and images came from and the command that made the trace. value_bits: the width of the values that it holds
    beside the zero-maps, None where it holds none.
    """

    name: str
    layers: list[Layer]
    tensors: list[Tensor]
    image_count: int = 0
    accuracy: Accuracy | None = None
    pruning: RecordedPruning | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=lambda: MemoryArrays({}), repr=False)
    value_bits: int | None = None

    @property
    def has_maps(self) -> bool:
        """Whether there are zero-maps; without them everything counts as non-zero."""
        return self.image_count > 0 or self.statistical

    @property
    def statistical(self) -> bool:
        """Whether its zeros are drawn at random, for any number of images (`with_densities`), and not recorded."""
        return isinstance(self.arrays, StatisticalArrays)

    def with_densities(
        self, densities: Densities, kernel_densities: Mapping[str, float] | None = None, seed: int = 0
    ) -> "Trace":
        """A statistical trace of the same network: zeros drawn at random instead of recorded ones.

        densities: by layer (IFM density, OFM density), the shares of non-zeros, None where a side states none.
        kernel_densities: the share of non-zero weights by layer. Of every tensor of n elements exactly
        round(density · n) are not zero, anywhere in it; maps depend on (seed, tensor, image) alone, for any image
        number. A tensor holds what its writer states, or else what its first reader states; one that nobody states a
        density of is dense. A layer whose IFM density is another than that of the stored tensor reads a map of its
        own, as if the tensor had been stored with that. An IFM density goes for all inputs of an operator without a
        kernel, and for the left operand of a product of two activations.

        Raises InputError for a layer that the trace does not have, a density outside 0..1, a concatenation (its parts
        say what it holds), a kernel density of an operator without weights, or a negative seed.
        """
        return statistical_trace(self, densities, kernel_densities, seed)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {layer.name: index for index, layer in enumerate(self.layers)}

    def layer_index(self, name: str) -> int:
        """The position of layer `name`; raises InputError when the trace has no such layer."""
        if name not in self._index:
            near = difflib.get_close_matches(name, self._index, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise InputError(f"trace '{self.name}': no layer '{name}' among its {len(self.layers)} layers{hint}")
        return self._index[name]

    def layer(self, name: str) -> Layer:
        """The layer `name`; raises InputError when the trace has no such layer."""
        return self.layers[self.layer_index(name)]

    def check_image(self, image: int) -> None:
        """Raises InputError when the trace does not hold `image`."""
        if self.statistical and image < 0:
            raise InputError(f"trace '{self.name}': no image {image}; the first is 0")
        if not self.statistical and not 0 <= image < self.image_count:
            raise InputError(f"trace '{self.name}': no image {image}; it holds {self.image_count} (0 is the first)")

    def zeros(self, layer_name: str, image: int = 0, operand: str = "ifm") -> zero_map.Bools:
        """Where an operand of a layer is zero: booleans of shape [C, H, W], or [K, C/groups, R, S] for "kernel".

        operand is "ifm", "ofm" or "kernel"; "ifm1", "ifm2"… are the further inputs of an add or concat. Raises
        InputError for an unknown layer or operand, an image that the trace does not hold, or a trace of shapes only.
        """
        index = self.layer_index(layer_name)
        layer = self.layers[index]
        if not self.has_maps:
            raise InputError(f"trace '{self.name}' holds shapes only, no zero-maps; record it with `fmapsim extract`")
        self.check_image(image)
        if operand == "ofm":
            return ~self.nonzero(layer.output, image, layer.ofm)
        if operand == "kernel" and layer.kernel is not None:
            nonzero = self.kernel_nonzero(index, image)
            return np.zeros(layer.kernel, np.bool_) if nonzero is None else ~nonzero
        if operand == "ifm":
            return ~self.nonzero(layer.inputs[0], image, layer.ifm)
        number = operand.removeprefix("ifm")
        if operand.startswith("ifm") and number.isdecimal() and int(number) < len(layer.inputs):
            return ~self.nonzero(layer.inputs[int(number)], image)
        raise InputError(f"layer '{layer_name}' has no operand '{operand}'; expected ifm, ofm or kernel")

    def nonzero(self, tensor: int, image: int, shape: Shape | None = None) -> zero_map.Bools:
        """Where a tensor is not zero, [C, H, W]; `shape` regroups the same elements. All True without maps."""
        record = self.tensors[tensor]
        shape = shape or record.shape
        if not self.has_maps or record.zero_free:
            return np.ones(shape, np.bool_)
        if record.parts:
            return np.concatenate([self.nonzero(part, image) for part in record.parts]).reshape(shape)
        packed = self.arrays.read(f"map/{tensor}", image)
        return zero_map.unpack(packed, *record.shape[1:]).reshape(shape)

    def values(self, tensor: int, image: int) -> Ints:
        """The values of a tensor as whole numbers of `value_bits` bits, [C, H, W]; negative ones by their bits.

        Raises InputError where none were recorded.
        """
        record = self.tensors[tensor]
        if self.value_bits is None:
            raise InputError(f"trace '{self.name}' holds no values; record it with `fmapsim extract … --values BITS`")
        if record.parts:
            return np.concatenate([self.values(part, image) for part in record.parts]).reshape(record.shape)
        return unpack_values(self.arrays.read(f"values/{tensor}", image), self.value_bits).reshape(record.shape)

    def nonzeros_per_channel(self, tensor: int, image: int) -> zero_map.Counts:
        """Non-zero elements of each feature map of a tensor: shape [C]."""
        record = self.tensors[tensor]
        if not self.has_maps:
            return np.full(record.shape[0], record.shape[1] * record.shape[2], np.int64)
        if record.parts:
            return np.concatenate([self.nonzeros_per_channel(part, image) for part in record.parts])
        return self.arrays.read(f"nonzero/{tensor}", image).astype(np.int64)

    def kernel_nonzero(self, layer_index: int, image: int = 0) -> zero_map.Bools | None:
        """Where a layer's kernel is not zero: [K, C/groups, R, S], or None when no weight is (or none was recorded)."""
        layer = self.layers[layer_index]
        if layer.kernel is None:
            return None
        if layer.two_activations:
            return self.nonzero(layer.inputs[1], image).reshape(layer.kernel) if self.has_maps else None
        key = f"kernel/{layer_index}"
        if self.arrays.shape(key) is None:
            return None
        rest = layer.kernel[1:]
        flat = np.unpackbits(self.arrays.read_all(key), axis=-1, count=int(np.prod(rest)))
        return flat.view(np.bool_).reshape(layer.kernel)

    def save(self, path: str | Path) -> Path:
        """Writes the trace to `path` (the suffix is added when missing), whole or not at all; returns the path.

        Raises InputError for a statistical trace, which has no last image.
        """
        if self.statistical:
            raise InputError(f"trace '{self.name}' is statistical: save its shapes, and call with_densities again")
        path = trace_file_name(path)
        with TraceSpool(path) as spool:
            for index in range(len(self.tensors)):
                for kind in ("map", "nonzero", "max", "values"):
                    key = f"{kind}/{index}"
                    if self.arrays.shape(key) is not None:
                        spool.append(key, self.arrays.read_all(key))
            for index in range(len(self.layers)):
                if self.arrays.shape(f"kernel/{index}") is not None:
                    spool.append(f"kernel/{index}", self.arrays.read_all(f"kernel/{index}"))
            spool.finish(self.graph())
        return path

    def graph(self) -> dict[str, Any]:
        """Everything but the arrays, as JSON values."""
        return {
            "name": self.name,
            "image_count": self.image_count,
            "layers": [layer.to_json() for layer in self.layers],
            "tensors": [tensor.to_json() for tensor in self.tensors],
            "accuracy": asdict(self.accuracy) if self.accuracy else None,
            "pruning": asdict(self.pruning) if self.pruning else None,
            "provenance": dict(self.provenance),
            "value_bits": self.value_bits,
        }


def trace_file_name(path: str | Path) -> Path:
    """`path` with the trace suffix, added when missing."""
    path = Path(path)
    return path if path.name.endswith(".safetensors") else path.with_name(path.name + SUFFIX)


def trace_names() -> list[str]:
    """Names of the recorded traces that ship with fmapsim, sorted."""
    return sorted(path.name.removesuffix(SUFFIX) for path in shipped_folder("traces").glob(f"*{SUFFIX}"))


def network_trace_names() -> list[str]:
    """Names of the networks whose shapes ship with fmapsim, sorted."""
    folder = shipped_folder("traces") / "shapes"
    return sorted(path.relative_to(folder).as_posix().removesuffix(SUFFIX) for path in folder.rglob(f"*{SUFFIX}"))


def load_trace(name_or_path: str | Path) -> Trace:
    """The recorded trace of that name, or the one in a file.

    Raises InputError when there is none, or the file is truncated, foreign, damaged or of another format version.
    """
    path = Path(name_or_path)
    if path.is_file() or path.name.endswith(".safetensors"):
        return _read(path)
    shipped = shipped_folder("traces") / f"{name_or_path}{SUFFIX}"
    if shipped.is_file():
        return _read(shipped)
    near = difflib.get_close_matches(str(name_or_path), trace_names(), n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise InputError(
        f"trace '{name_or_path}' is neither a file nor a recorded trace (recorded: {', '.join(trace_names())}){hint}"
    )


def network_trace(name: str) -> Trace:
    """The shapes of a known network, without zero-maps: "resnet50", "paper/mobilenet", "bert_base" (on 64 tokens).

    Raises InputError for an unknown name.
    """
    path = shipped_folder("traces") / "shapes" / f"{name}{SUFFIX}"
    if name not in network_trace_names():
        near = difflib.get_close_matches(name, network_trace_names(), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise InputError(f"unknown network '{name}' (known: {', '.join(network_trace_names())}){hint}")
    return _read(path)


def _read(path: Path) -> Trace:
    arrays = FileArrays(path)
    graph = arrays.graph()
    try:
        trace = Trace(
            name=str(graph["name"]),
            layers=[Layer.from_json(layer) for layer in graph["layers"]],
            tensors=[Tensor.from_json(tensor) for tensor in graph["tensors"]],
            image_count=int(graph["image_count"]),
            accuracy=Accuracy(**graph["accuracy"]) if graph["accuracy"] else None,
            pruning=RecordedPruning.from_json(graph["pruning"]) if graph["pruning"] else None,
            provenance=graph["provenance"],
            arrays=arrays,
            value_bits=graph.get("value_bits"),
        )
        problem = _first_inconsistency(trace)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        raise InputError(f"{path}: damaged trace ({problem})")
    return trace


def _first_inconsistency(trace: Trace) -> str | None:
    count, value_bits = len(trace.tensors), trace.value_bits
    if value_bits is not None and not (isinstance(value_bits, int) and 2 <= value_bits <= MOST_BITS):
        return f"its values have {value_bits} bits"
    for index, tensor in enumerate(trace.tensors):
        if not _is_shape(tensor.shape, 3):
            return f"tensor {index} has shape {tensor.shape}"
        if any(not 0 <= part < index for part in tensor.parts):
            return f"tensor {index} names part {tensor.parts} that does not precede it"
        channels, height, width = tensor.shape
        if trace.has_maps and not tensor.parts:
            expected: dict[str, tuple[int, ...]] = {
                f"nonzero/{index}": (trace.image_count, channels),
                f"max/{index}": (trace.image_count, channels),
            }
            if not tensor.zero_free:
                expected[f"map/{index}"] = (trace.image_count, channels, -(-height * width // 8))
            if value_bits is not None:
                size = height * width * value_bytes(value_bits)
                expected[f"values/{index}"] = (trace.image_count, channels, size)
            for key, shape in expected.items():
                if trace.arrays.shape(key) != shape:
                    return f"array {key} has shape {trace.arrays.shape(key)}, expected {shape}"
    for index, layer in enumerate(trace.layers):
        if not (_is_shape(layer.ifm, 3) and _is_shape(layer.ofm, 3)):
            return f"layer '{layer.name}' has shapes {layer.ifm} and {layer.ofm}"
        if layer.kernel is not None and not _is_shape(layer.kernel, 4):
            return f"layer '{layer.name}' has kernel {layer.kernel}"
        if layer.kernel_bits and not _are_widths(layer.kernel_bits, layer.kernel):
            return f"layer '{layer.name}' has kernel {layer.kernel} and {len(layer.kernel_bits)} bit widths"
        if not all(0 <= tensor < count for tensor in (*layer.inputs, layer.output)):
            return f"layer '{layer.name}' names tensors {(*layer.inputs, layer.output)} of {count}"
        if not layer.inputs:
            return f"layer '{layer.name}' has no input"
        if trace.tensors[layer.output].elements != layer.ofm_elements:
            return f"layer '{layer.name}' writes {layer.ofm} into {trace.tensors[layer.output].shape}"
        if layer.kernel is not None and trace.tensors[layer.inputs[0]].elements != layer.ifm_elements:
            return f"layer '{layer.name}' reads {layer.ifm} from {trace.tensors[layer.inputs[0]].shape}"
        stored = trace.arrays.shape(f"kernel/{index}")
        if stored is not None and layer.kernel is not None:
            outputs, *rest = layer.kernel
            if stored != (outputs, -(-int(np.prod(rest)) // 8)):
                return f"array kernel/{index} has shape {stored}, layer '{layer.name}' has kernel {layer.kernel}"
    if len({layer.name for layer in trace.layers}) != len(trace.layers):
        return "two layers share a name"
    return None


def _are_widths(bits: Sequence[Any], kernel: tuple[int, ...] | None) -> bool:
    return kernel is not None and len(bits) == kernel[0] and all(isinstance(b, int) and 1 <= b <= 32 for b in bits)


def _is_shape(value: Sequence[Any], length: int) -> bool:
    return len(value) == length and all(isinstance(size, int) and size > 0 for size in value)
