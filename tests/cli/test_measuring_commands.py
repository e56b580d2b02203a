"""`fmapsim measure` and `fmapsim crosscheck`: what they write and print, and which mistakes they name."""

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from simulator.cli import main
from simulator.commands.provenance import command_line
from simulator.measure.schema import (
    Ceiling,
    Device,
    Measurement,
    NetworkRun,
    OperatorTime,
    Precision,
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


def a_measurement(*precisions: Precision) -> Measurement:
    """Of a network of which one operator was read, with its DRAM bytes at the first precision."""
    once = Spread.of([1.0])
    runs = [
        NetworkRun(
            network="alexnet",
            batch=1,
            precision=precision,
            variant="eager",
            weights="random",
            macs=1,
            warm_up=0,
            latency_us=once,
            dram_bytes=2_000_000 if precision == precisions[0] else None,
            operators=(OperatorTime(name="classifier.1", operator="addmm", latency_us=once),),
        )
        for precision in precisions
    ]
    return Measurement(
        fmapsim="0",
        taken="never",
        command="none",
        device=Device(kind="cpu", name="imagined"),
        ceilings=(Ceiling(name="launch", value=1, unit="s", latency_us=once),),
        networks=tuple(runs),
    )


def test_what_a_check_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several precisions on one preset are said, counted DRAM bytes shown, and JSON is JSON."""
    check = ["crosscheck", str(tmp_path / "m.json"), "--hardware", "cpu-avx512"]
    for precisions, several in ((("fp32", "bf16"), True), (("fp32",), False)):
        write_measurement(a_measurement(*precisions), tmp_path / "m.json")
        assert main(check) == 0
        text = capsys.readouterr().out
        assert ("runs at fp32, bf16, all simulated on cpu-avx512" in text) is several
        assert "measured DRAM MB" in text
        assert re.search(r"alexnet +fp32 +1 +2\.0 +[1-9]", text), text
    assert main([*check, "--json"]) == 0
    [network] = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["networks"]
    assert network["rank_correlation"] is None
    assert network["measured_dram_bytes"] == 2_000_000


def test_the_recorded_command_names_no_folders(tmp_path: Path) -> None:
    def command(context: typer.Context, counters: list[str] | None = None, out: Path | None = None) -> None:
        assert command_line(context, ("counters", "out")) == "say --counters a=c.csv --counters b=d.csv --out m.json"

    counted = [f"--counters=a={tmp_path / 'c.csv'}", "--counters=b=d.csv"]
    app = typer.Typer(add_completion=False)
    app.command("say")(command)
    found = CliRunner().invoke(app, [*counted, f"--out={tmp_path / 'm.json'}"], prog_name="say")
    assert found.exception is None, found.exception


def test_mistakes_in_what_to_check_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_measurement(a_measurement("fp32"), tmp_path / "m.json")
    for arguments, message in (
        (["--fitted", "vgg16"], "'vgg16' was not measured"),
        (["--fitted", "alexnet,alexnet"], "a network is given twice"),
        (["--variant", "compile"], "no run of variant compile"),
    ):
        assert main(["crosscheck", str(tmp_path / "m.json"), "--hardware", "cpu-avx512", *arguments]) == 2
        assert message in capsys.readouterr().err
