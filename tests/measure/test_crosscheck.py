"""Measured beside simulated: ranks, reductions, the split of fitted and judged, and constants that are found again."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from measured import measurement, network_run

import simulator
from simulator.errors import InputError
from simulator.hardware.load import load_accelerator
from simulator.measure.crosscheck import crosscheck, rank_correlation, reductions, shapes, simulated_layers
from simulator.measure.figure import scatter
from simulator.measure.fit import Constant, fit
from simulator.measure.schema import NetworkRun

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
    assert slower.error == pytest.approx(-2 / 3)
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


def test_constants_are_found_again_from_layers_that_were_made_with_them() -> None:
    truth = {"array.efficiency": 0.33}
    made = measurement(imitated(OTHER, truth))
    found = fit(made, "cpu-avx512", [Constant("array.efficiency", 0.4, most=1)], [OTHER])
    assert found.values == pytest.approx(truth, rel=0.02), found
    assert found.error < 0.01 < found.error_before
    assert {network for network, _, _ in found.layers} == {OTHER}


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
