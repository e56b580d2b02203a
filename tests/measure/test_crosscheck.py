"""Measured beside simulated: ranks, reductions, the split of fitted and judged, and constants that are found again."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from measured import measurement, network_run, spread

import simulator
from simulator.errors import InputError
from simulator.hardware.load import load_accelerator
from simulator.measure.crosscheck import (
    crosscheck,
    precision_overrides,
    rank_correlation,
    reductions,
    shapes,
    simulated_layers,
)
from simulator.measure.figure import scatter
from simulator.measure.fit import Constant, fit
from simulator.measure.schema import Ceiling, NetworkRun

NETWORK, OTHER = "cifar_resnet20", "alexnet"


def imitated(network: str, changes: dict[str, object], factor: float = 1.0) -> NetworkRun:
    """A run whose times are the simulator's own on a changed device."""
    times = simulated_layers(network_run(network, 1, {}), "cpu-avx512", changes)
    operators = dict(zip(times["layer"], factor * times["simulated_us"], strict=True))
    return network_run(network, sum(operators.values()), operators)


def test_ranks_of_ties_are_their_mean() -> None:
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 2, 3], [1, 3, 2, 4]) == pytest.approx(
        np.corrcoef([1, 2.5, 2.5, 4], [1, 3, 2, 4])[0, 1]
    )
    assert np.isnan(rank_correlation([1, 2], [1, 2]))
    assert np.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))


def test_the_simulators_own_times_agree_with_it() -> None:
    found = crosscheck(measurement(imitated(NETWORK, {}), imitated(OTHER, {}, 3.0)), "cpu-avx512", fitted=[NETWORK])
    own, slower = found.networks.itertuples()
    assert own.error == pytest.approx(0, abs=1e-5)
    assert own.rank_correlation == pytest.approx(1)
    assert slower.error == pytest.approx(-2 / 3, abs=1e-5)
    assert list(found.judged["network"]) == [OTHER]
    assert set(found.far["network"]) == {OTHER}
    assert set(found.layers.loc[found.layers["fitted"], "network"]) == {NETWORK}
    assert len(scatter(found, "imagined").axes[0].collections) > 2


def test_reductions_are_of_the_network_that_was_pruned() -> None:
    times = [
        ("resnet18", 200, 100),
        ("budget/resnet18-di-unif", 150, 80),
        ("budget/resnet18-dcp", 50, 90),
        ("vgg16", 9, 9),
    ]
    columns = ["network", "measured_us", "simulated_us", "batch", "precision"]
    table = pd.DataFrame([(*row, 1, "fp32") for row in times], columns=columns)
    found = reductions(table)
    assert list(found["measured_percent"]) == [25.0, 75.0]
    assert list(found["simulated_percent"]) == pytest.approx([20.0, 10.0])
    assert list(found["points"]) == pytest.approx([-5.0, -65.0])
    assert reductions(table[table["network"] != "resnet18"]).empty


def test_a_graph_is_checked_with_the_operators_of_its_eager_run() -> None:
    eager = imitated(NETWORK, {})
    graph = eager.model_copy(update={"variant": "graph", "operators": (), "latency_us": spread(7e5)})
    found = crosscheck(measurement(eager, graph), "cpu-avx512", variant="graph")
    assert found.networks["measured_us"].tolist() == [7e5]
    assert found.networks["rank_correlation"].tolist() == pytest.approx([1.0])


def test_runs_are_chosen_by_precision() -> None:
    runs = imitated(NETWORK, {}), imitated(NETWORK, {}).model_copy(update={"precision": "bf16"})
    found = crosscheck(measurement(*runs), "cpu-avx512", precision="bf16")
    assert found.networks["precision"].tolist() == ["bf16"]
    with pytest.raises(InputError, match="no run at tf32; those that it holds: fp32, bf16"):
        crosscheck(measurement(*runs), "cpu-avx512", precision="tf32")


def test_dram_bytes_that_were_counted_stand_beside_those_simulated() -> None:
    run = imitated(NETWORK, {})
    counted = [item.model_copy(update={"dram_bytes": place}) for place, item in enumerate(run.operators)]
    with_counters = run.model_copy(update={"operators": tuple(counted), "dram_bytes": 12345, "batch": 2})
    found = crosscheck(measurement(run, with_counters), "cpu-avx512")
    plain, beside = found.networks.itertuples()
    assert np.isnan(plain.measured_dram_bytes)
    assert beside.measured_dram_bytes == 12345
    totals = simulator.simulate(shapes(NETWORK), "cpu-avx512", batch=2, overrides=precision_overrides("fp32")).totals
    assert beside.simulated_dram_bytes == totals["dram_bytes"] > 0
    layers = found.layers[found.layers["batch"] == 2]
    assert layers["measured_dram_bytes"].tolist() == list(range(len(counted)))
    assert layers["simulated_dram_bytes"].sum() == totals["dram_bytes"]
    assert found.layers.loc[found.layers["batch"] == 1, "measured_dram_bytes"].isna().all()


def test_what_reading_a_gpus_operators_adds_is_taken_off() -> None:
    run = network_run(NETWORK, 100, {"conv1": 12, "conv1/batch_norm": 2})
    plain = measurement(run)
    launches = [
        Ceiling(name=name, value=value, unit="s", latency_us=spread(1))
        for name, value in (("own_launch", 4e-6), ("replay", 1e-6))
    ]
    marked = plain.model_copy(update={"ceilings": (*plain.ceilings, *launches)})
    times = [crosscheck(each, "cpu-avx512").layers["measured_us"].tolist() for each in (plain, marked)]
    assert times == [[12, 2], [pytest.approx(9), pytest.approx(0.2)]]  # a tenth of a reading stays


def test_constants_are_found_again_from_layers_that_were_made_with_them() -> None:
    truth = {"array.efficiency": 0.33}
    made = measurement(imitated(OTHER, truth))
    found = fit(made, "cpu-avx512", [Constant("array.efficiency", 0.4, most=1)], [OTHER])
    assert found.values == pytest.approx(truth, rel=0.02), found
    assert found.error < 0.01 < found.error_before
    assert {network for network, _, _ in found.runs} == {OTHER}


def test_a_robust_fit_is_not_pulled_by_a_few_layers() -> None:
    made = imitated(OTHER, {"array.efficiency": 0.33})
    odd = [o.model_copy(update={"latency_us": spread(20 * o.latency_us.median)}) for o in made.operators[:2]]
    made = made.model_copy(update={"operators": (*odd, *made.operators[2:])})
    constants = [Constant("array.efficiency", 0.4, most=1)]
    plain, robust = (
        fit(measurement(made), "cpu-avx512", constants, [OTHER], robust=robust).values["array.efficiency"]
        for robust in (False, True)
    )
    assert robust == pytest.approx(0.33, rel=0.03)
    assert plain < 0.9 * robust


def test_a_constant_may_stand_in_the_files_of_several_precisions() -> None:
    """Twice the share of a core's units at BF16 that it has at FP32, and no time of its own at FP32."""
    scales = {"fp32": 1.0, "bf16": 2.0}
    constants = [
        Constant("array.efficiency", 0.2, most=1, scales=scales),  # type: ignore[arg-type]
        Constant("layer_overhead", 50.0, unit="us", scales={"bf16": 1.0}),
    ]
    single = imitated(OTHER, {"array.efficiency": 0.3})
    half = network_run(OTHER, 1, {}).model_copy(update={"precision": "bf16"})
    times = simulated_layers(half, "cpu-avx512", {"array.efficiency": 0.6, "layer_overhead": "80 us"})
    operators = network_run(OTHER, 1, dict(zip(times["layer"], times["simulated_us"], strict=True))).operators
    half = half.model_copy(update={"operators": operators})
    hardware = {"fp32": "cpu-avx512", "bf16": "cpu-avx512"}
    found = fit(measurement(single, half), hardware, constants, [OTHER], by_time=True)  # type: ignore[arg-type]
    assert found.values == pytest.approx({"array.efficiency": 0.3, "layer_overhead": 80.0}, rel=0.03), found
    assert {precision for _, _, precision in found.runs} == {"fp32", "bf16"}


def test_few_constants_and_only_measured_layers_are_fitted() -> None:
    made = measurement(imitated(NETWORK, {}))
    with pytest.raises(InputError, match="5 constants to fit, expected 1 to 4"):
        fit(made, "cpu-avx512", [Constant(f"k{number}", 1) for number in range(5)], [NETWORK])
    with pytest.raises(InputError, match="no layers of 'resnet18'"):
        fit(made, "cpu-avx512", [Constant("array.efficiency", 1)], ["resnet18"])
    with pytest.raises(InputError, match="'resnet18' was not measured"):
        crosscheck(made, "cpu-avx512", fitted=["resnet18"])
    with pytest.raises(InputError, match="no run of variant compile; those that it holds: eager"):
        crosscheck(made, "cpu-avx512", variant="compile")


def test_runs_are_simulated_at_their_precision() -> None:
    run = network_run(OTHER, 1, {})
    half = simulated_layers(run.model_copy(update={"precision": "bf16"}), "nvidia-p100")["simulated_us"].sum()
    full = simulated_layers(run, "nvidia-p100")["simulated_us"].sum()
    assert half < full


def test_zeros_do_not_speed_a_dense_device_up() -> None:
    trace = shapes("cifar_resnet20")
    whole = {layer.name: (0.5, 0.5) for layer in trace.layers if layer.kernel}
    plain = load_accelerator("cpu-avx512", {"post_processing.apart": False})
    dense, sparse = (
        simulator.simulate(each, plain, images=images).totals
        for each, images in ((trace, None), (trace.with_densities(whole), [0]))
    )
    assert sparse["cycles"] == dense["cycles"]
    assert sparse["macs_effectual"] < dense["macs_effectual"]
    skipping = simulator.simulate(trace.with_densities(whole), "eyeriss-v2", images=[0]).totals["cycles"]
    assert skipping < simulator.simulate(trace, "eyeriss-v2").totals["cycles"]


def test_checking_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from simulator.measure.crosscheck import crosscheck\nfrom simulator.measure.fit import fit\n"
        "from simulator.measure.schema import read_measurement\nfrom simulator.measure.figure import scatter"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
