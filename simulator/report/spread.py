"""How far images differ: mean, percentiles and worst of what each batch cost, by layer and for the network.

Zeros depend on the image, so with skipping, compression or dynamic pruning so does the cost; an architect sizes for the
tail. A batch is one image unless the simulation said otherwise.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

NETWORK = "(network)"
"""The `layer` of the rows that stand for the whole network."""

SPREAD_OF = ("dram_bytes", "cycles", "energy_pj", "macs_performed")
PERCENTILES = {"p5": 5, "p50": 50, "p95": 95}


def spread_columns(
    layers: Sequence[str], batches: Sequence[str], per_batch: Sequence[dict[str, Any]]
) -> dict[str, npt.NDArray[Any] | list[str]]:
    """One row per layer and quantity, the network's first: layer, quantity, mean, p5, p50, p95, worst, worst_images.

    batches names the images of each batch; per_batch holds the columns of its layers. Percentiles are interpolated
    between the nearest two batches. worst is the most; worst_images are those of the first batch that reaches it.
    """
    names: list[str] = []
    quantities: list[str] = []
    blocks = []
    for quantity in SPREAD_OF:
        by_layer = np.array([np.asarray(columns[quantity], np.float64) for columns in per_batch])
        blocks.append(np.column_stack([by_layer.sum(axis=1), by_layer]))
        names += [NETWORK, *layers]
        quantities += [quantity] * (1 + len(layers))
    values = np.concatenate(blocks, axis=1)
    if len(batches) == 1:
        percentiles = values.repeat(len(PERCENTILES), axis=0)
    else:
        percentiles = np.percentile(values, list(PERCENTILES.values()), axis=0)
    worst = values.argmax(axis=0)
    return {
        "layer": names,
        "quantity": quantities,
        "mean": values.mean(axis=0),
        **dict(zip(PERCENTILES, percentiles, strict=True)),
        "worst": values.max(axis=0),
        "worst_images": [batches[batch] for batch in worst],
    }
