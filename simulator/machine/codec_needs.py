"""What codecs need to know of the tensors that they code."""

from simulator.compression import codec_names, codec_of
from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.trace.trace import Trace


def check_codecs(trace: Trace, accelerator: Accelerator) -> None:
    """Raises InputError where a codec looks at values that the trace does not hold."""
    maps, kernels = accelerator.compression.feature_map.codec, accelerator.compression.kernel.codec
    if codec_of(kernels).needs_values:
        enough = ", ".join(name for name in codec_names() if not codec_of(name).needs_values)
        raise InputError(
            f"compression.kernel: codec '{kernels}' codes values, and of kernels a trace holds only where they are "
            f"zero; expected one of {enough}"
        )
    bits = accelerator.precision.ofm
    if codec_of(maps).needs_values and trace.value_bits is None:
        raise InputError(
            f"compression.feature_map: codec '{maps}' codes values, and trace '{trace.name}' holds only where they are "
            f"zero; record it with `fmapsim extract … --values {bits}`"
        )
    if codec_of(maps).needs_values and trace.value_bits != bits:
        raise InputError(
            f"compression.feature_map: codec '{maps}' codes values of precision.ofm ({bits} bit), and trace "
            f"'{trace.name}' holds values of {trace.value_bits} bits; expected equal widths"
        )


def codes_values(trace: Trace, accelerator: Accelerator) -> bool:
    """Whether the codec of feature maps looks at their values, which the trace holds. Entropy is of zeros without."""
    codec = codec_of(accelerator.compression.feature_map.codec)
    return (codec.needs_values or codec.takes_values) and trace.value_bits == accelerator.precision.ofm
