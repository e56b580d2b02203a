"""`fmapsim measure` and `fmapsim crosscheck`: what they write and print, and which mistakes they name."""

import json
from pathlib import Path

import pytest

from simulator.cli import main
from simulator.measure.schema import (
    Ceiling,
    Device,
    Measurement,
    NetworkRun,
    OperatorTime,
    Spread,
    read_measurement,
    write_measurement,
)


def test_a_network_is_measured_into_a_file_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = tmp_path / "m.json", tmp_path / "check"
    arguments = ["cifar_resnet20", "--threads", "1", "--seconds", "0.01", "--repeats", "1", "--out", str(file)]
    assert main(["measure", *arguments]) == 0
    assert "cifar_resnet20" in capsys.readouterr().out
    found = read_measurement(file)
    assert found.command == "fmapsim measure cifar_resnet20 --out m.json --threads 1 --seconds 0.01 --repeats 1"

    check = ["crosscheck", str(file), "--hardware", "cpu-avx512", "--statistic", "least"]
    assert main([*check, "--fitted", "cifar_resnet20", "--out", str(folder), "--json"]) == 0
    names = {path.name for path in folder.iterdir()}
    assert names == {"layers.csv", "networks.csv", "reductions.csv", "layers.png", "layers.svg"}
    [network] = json.loads(capsys.readouterr().out)["networks"]
    assert network["measured_us"] == found.networks[0].latency_us.least


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch", "1,x"], "--batch 1,x: 'x' is no whole number"),
        (["--precision", "fp8"], "--precision fp8: expected fp32, tf32, fp16, bf16, found 'fp8'"),
        (["--counters", "resnet18"], "--counters resnet18: expected NETWORK=FILE"),
        (["--counters", "resnet18=a.csv"], "--counters resnet18: that network is not measured"),
    ],
)
def test_mistakes_in_what_to_measure_are_named(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", "tinynet", "--out", str(tmp_path / "m.json"), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_mistakes_in_what_to_check_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    once = Spread.of([1.0])
    run = NetworkRun(
        network="alexnet",
        batch=1,
        precision="fp32",
        variant="eager",
        weights="random",
        macs=1,
        warm_up=0,
        latency_us=once,
        operators=(OperatorTime(name="classifier.1", operator="addmm", latency_us=once),),
    )
    made = Measurement(
        fmapsim="0",
        taken="never",
        command="none",
        device=Device(kind="cpu", name="imagined"),
        ceilings=(Ceiling(name="launch", value=1, unit="s", latency_us=once),),
        networks=(run,),
    )
    write_measurement(made, tmp_path / "m.json")
    for arguments, message in (
        (["--fitted", "vgg16"], "'vgg16' was not measured"),
        (["--fitted", "alexnet,alexnet"], "a network is given twice"),
        (["--variant", "compile"], "no run of variant compile"),
    ):
        assert main(["crosscheck", str(tmp_path / "m.json"), "--hardware", "cpu-avx512", *arguments]) == 2
        assert message in capsys.readouterr().err
