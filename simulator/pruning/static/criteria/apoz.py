"""APoZ: channels that are mostly zero matter least. Hu et al., "Network Trimming", arXiv 1607.03250.

The zeros come from a recorded trace of the same network where one is given, and else from a run on the images.
"""

import numpy as np

from simulator.errors import InputError
from simulator.pruning.static.criteria.criterion import Criterion, Floats, Scores, Scoring
from simulator.pruning.static.criteria.observe import mean_over_images
from simulator.pruning.static.groups import ChannelGroup
from simulator.trace.trace import Trace


def _score(scoring: Scoring) -> Scores:
    if scoring.trace is not None:
        return {group.name: _recorded(scoring.trace, group) for group in scoring.prunable}
    return mean_over_images(scoring, "apoz", lambda maps: (maps != 0).double().mean(dim=(2, 3, 4)))


def _recorded(trace: Trace, group: ChannelGroup) -> Floats:
    if not trace.has_maps or trace.statistical:
        raise InputError(f"criterion apoz: trace '{trace.name}' holds no recorded zero-maps")
    member = group.consumers[0]
    layer = trace.layer(member.layer)
    tensor = layer.inputs[0]
    channels, height, width = trace.tensors[tensor].shape
    counts = np.mean([trace.nonzeros_per_channel(tensor, image) for image in range(trace.image_count)], axis=0)
    numbers = member.channels
    if channels != layer.ifm[0]:  # a flatten in between: the consumer counts elements
        numbers = numbers // (layer.ifm[0] // channels)
    if numbers.max() >= channels:
        raise InputError(
            f"criterion apoz: layer '{member.layer}' reads {channels} channels in trace '{trace.name}', "
            f"expected at least {numbers.max() + 1}; is it another network's?"
        )
    density: Floats = counts[numbers].mean(axis=1) / (height * width)
    return density


CRITERION = Criterion(
    "apoz",
    "share of non-zeros in the map that the next layer reads (1 - APoZ)",
    "Hu et al. (Network Trimming), 2016",
    _score,
    needs="images",
    comparable=True,
)
