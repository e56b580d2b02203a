"""How large a pruning unit is, from the areas of its parts."""

from simulator.hardware.accelerator import Accelerator
from simulator.machine.pruning import flag_bits
from simulator.trace.trace import Trace


def pruning_unit_area(trace: Trace, accelerator: Accelerator) -> float | None:
    """Square micrometres of the pruning unit that a network needs, None where the file gives no areas.

    Its comparators (one per lane of the post-processing unit where their number is not given), beside each an
    accumulator where the rule adds up, and on chip the flags of the feature map with most of them, twice (those that
    are read and those that are written), and a word per channel for each table. Wires and control are not counted.
    """
    unit = accelerator.pruning
    if unit.area is None:
        return None
    lanes = unit.comparators or accelerator.post_processing.lanes
    logic = lanes * (unit.area.comparator + (unit.area.accumulator if unit.rule != "all" else 0.0))
    flags = max((flag_bits(unit, *tensor.shape) for tensor in trace.tensors), default=0)
    channels = max((tensor.shape[0] for tensor in trace.tensors), default=0)
    tables = (unit.thresholds == "channel") + (unit.replacement == "mean")
    bits = 2 * flags + tables * channels * accelerator.precision.ofm
    return logic + bits * unit.area.bit
