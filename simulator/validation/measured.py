"""A CPU core: what was measured on it beside what is simulated (`measurements/`, `fmapsim crosscheck`)."""

from collections.abc import Iterator

from simulator.measure.crosscheck import CrossCheck, crosscheck
from simulator.measure.schema import Measurement, read_measurement
from simulator.resources import shipped_folder
from simulator.validation.crosschecked import rows_of
from simulator.validation.row import Reference, Row

FILE, HARDWARE = "cpu-xeon-avx512.json", "cpu-avx512"

FITTED = ("tinynet", "squeezenet1_1", "mobilenet_v1", "alexnet")
"""The networks to whose layers the constants of the preset were fitted; the others are judged."""

REFERENCE = Reference(
    name="CPU core",
    source=f"`measurements/{FILE}`: one core of a Xeon with AVX-512, eager PyTorch, FP32, random weights, batch 1 and "
    "8; the least of the readings, as the machine is virtual and shared",
    setting=f"preset `{HARDWARE}`; four constants fitted to the layers of {', '.join(FITTED)}, and the other networks "
    "judged; latency of whole networks within 20 %, rank correlation of their layers 0.9 and more, reductions within 8 "
    "points",
    explanation="VGG-16, batch 1: three readings of the whole network, all disturbed; the least times of its operators "
    "add up to 382 ms, and the repeated session reads 397 ms. Activations in place and sums run faster than the one "
    "rate of element-wise work, and layers beyond a factor of two are short: these, batch norms of small maps, whose "
    "set-up is not modelled, and thin 1×1 convolutions, whose launch is shorter than the one of other convolutions "
    "that stands for all",
)


def checked(batches: tuple[int, ...] = (1, 8), networks: tuple[str, ...] = ()) -> CrossCheck:
    """The cross-check of the committed measurement at these batches; of some networks where they are named."""
    measurement = read_measurement(shipped_folder("measurements") / FILE)
    kept = [run for run in measurement.networks if run.batch in batches and (not networks or run.network in networks)]
    part: Measurement = measurement.model_copy(update={"networks": tuple(kept)})
    measured = {run.network for run in kept}
    return crosscheck(part, HARDWARE, fitted=[name for name in FITTED if name in measured], statistic="least")


def rows() -> Iterator[Row]:
    """Judged networks with their tolerance, fitted ones for information; then ranks and reductions."""
    yield from rows_of(checked(), REFERENCE.name)
