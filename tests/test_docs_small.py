"""Pages whose commands take minutes or need a cluster run here on smaller inputs; what is replaced is said at each."""

import contextlib
import importlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from docs_pages import ROOT, blocks_of

from simulator import load_accelerator
from simulator.cli import main
from simulator.hardware.load import accelerator_path
from simulator.measure.schema import read_measurement, write_measurement
from simulator.study.folder import TOOK, results

DRAM_ROWS = """sim,cfg,map,pat,op,ratio,chunk,stride,skew,load,nbytes_req,ns
dramsim3,DDR4-2400,rowmajor,rand,r,,256,,,sat,65536,4000
"""


def commands_of(page: str) -> list[list[str]]:
    return [words for block in blocks_of(ROOT / "docs" / f"{page}.md") for words in block.commands]


def test_the_page_on_memory_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader's own measurements are one row."""
    monkeypatch.chdir(tmp_path)
    Path("measurements.csv").write_text(DRAM_ROWS, encoding="utf-8")
    commands = commands_of("memory")
    assert len(commands) >= 3
    for words in commands:
        assert main(words) == 0, words


def test_sections_on_the_page_on_memory_are_valid(tmp_path: Path) -> None:
    """Each in the place of the preset's own."""
    sections = [block.text for block in blocks_of(ROOT / "docs" / "memory.md") if block.language == "yaml"]
    assert len(sections) >= 4
    preset = yaml.safe_load(accelerator_path("edge-npu").read_text(encoding="utf-8"))
    for number, text in enumerate(sections):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(preset | yaml.safe_load(text)), encoding="utf-8")
        load_accelerator(file)


def test_the_page_on_measuring_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One small network is measured, briefly, and this file is checked; without a GPU its command says that."""
    torch = pytest.importorskip("torch", reason="this page needs PyTorch")
    monkeypatch.chdir(tmp_path)
    small = {
        "resnet18": "cifar_resnet20", "mobilenet_v2": "tinynet", "budget/resnet18-di-unif": "squeezenet1_1",
        "resnet50": "tinynet", "budget/resnet50-di-unif": "cifar_resnet20", "1,8": "1", "1,16,64": "1",
        "measurements/cpu-xeon-avx512.json": "cpu.json", "measurements/nvidia-h200.json": "h200.json",
        "tinynet,squeezenet1_1,mobilenet_v1,alexnet": "tinynet",
    }  # fmt: skip
    whole = read_measurement(ROOT / "measurements" / "nvidia-h200.json")
    kept = tuple(run for run in whole.networks if (run.network, run.batch) == ("tinynet", 1))
    write_measurement(whole.model_copy(update={"networks": kept}), tmp_path / "h200.json")
    for words in commands_of("measuring"):
        arguments = [small.get(word, word) for word in words if word != "--zeros"]
        if "cuda" in arguments and not torch.cuda.is_available():
            assert main(arguments) == 2
            assert "PyTorch finds no GPU here" in capsys.readouterr().err
            continue
        brief = ["--seconds", "0.01", "--repeats", "1"] if words[0] == "measure" else []
        assert main([*arguments, *brief]) == 0, words
    shutil.copy(accelerator_path("cpu-avx512"), "mine.yaml")
    for block in blocks_of(ROOT / "docs" / "measuring.md"):
        if block.language == "python":
            exec(compile(block.text, "measuring.md", "exec"), {})
    assert "array.efficiency" in capsys.readouterr().out


def test_the_page_on_studies_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file on the page is checked as it is; what runs tries two designs on one image of one network."""
    pytest.importorskip("optuna", reason="this page's search needs Optuna")
    pytest.importorskip("distributed", reason="this page's cluster needs Dask")
    monkeypatch.chdir(tmp_path)
    shutil.copy(accelerator_path("edge-npu"), "my-npu.yaml")
    shutil.copy(ROOT / "traces" / "tinynet.trace.safetensors", "mine.trace.safetensors")
    page = blocks_of(ROOT / "docs" / "study.md")
    (file,) = (block for block in page if block.name == "study.yaml")
    study = yaml.safe_load(file.text)
    Path("study.yaml").write_text(file.text, encoding="utf-8")
    smaller = study | {"traces": ["mobilenet_v2"], "images": "0:1", "search": study["search"] | {"designs": 2}}
    ran = []
    for block in page:
        for words in block.commands:
            if "tcp://HOST:8786" in words:
                with cluster(block.text) as address:
                    elsewhere = [*words[:-1], address]
                    elsewhere[elsewhere.index("study", 3)] = "clustered"
                    assert main([*elsewhere, "--no-figures"]) == 0, words
            else:
                undrawn = ["--no-figures"] if words[:2] == ["study", "run"] else []  # `study figures` draws
                assert main([*words, *undrawn]) == 0, words
            ran.append(words[1])
            if words[1] == "points":
                Path("study.yaml").write_text(yaml.safe_dump(smaller), encoding="utf-8")
        if block.language == "python" and "results.parquet" in block.text:
            exec(compile(block.text, "study.md", "exec"), {})
    assert ran == ["points", "run", "show", "pareto", "best", "figures", "export", "run"]
    here, there = (results(tmp_path / name).drop(columns=[*TOOK]) for name in ("study", "clustered"))
    assert len(here) == 2
    pd.testing.assert_frame_equal(here, there)


MYNET = """
from torch import nn


class MyNet(nn.Module):
    input_shape = (3, 16, 16)
    num_classes = 10

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.inner = nn.Conv2d(16, 32, 3, padding=1)
        self.outer = nn.Conv2d(32, 16, 3, padding=1)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = self.stem(x).relu()
        x = (x + self.outer(self.inner(x).relu())).relu()
        return self.head(x.mean(dim=(2, 3)))


def build():
    return MyNet()
"""


def test_what_the_readme_does_with_ones_own_network_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth as many images are selected as there, of a hundred small ones; the page's small study of this network."""
    torch = pytest.importorskip("torch", reason="recording needs PyTorch")
    image = pytest.importorskip("PIL.Image", reason="recording needs Pillow")
    pytest.importorskip("torch_pruning", reason="pruning needs Torch-Pruning")
    from safetensors.torch import save_file

    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mynet", raising=False)
    Path("mynet.py").write_text(MYNET, encoding="utf-8")
    (file,) = (block for block in blocks_of(ROOT / "docs" / "study.md") if block.name == "mynet-study.yaml")
    study = yaml.safe_load(file.text) | {"traces": ["mynet.trace.safetensors"]}
    Path("mynet-study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    Path("photos").mkdir()
    random = np.random.default_rng(0)
    rows = ["file\tclass_index"]
    for number in range(100):
        image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(f"photos/{number:03d}.png")
        rows.append(f"{number:03d}.png\t{number % 10}")
    Path("labels.tsv").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    torch.manual_seed(0)
    save_file(importlib.import_module("mynet").build().state_dict(), "mynet.safetensors")
    fewer = {"0:500": "0:50", "500:1000": "50:100"}
    commands = [words for block in blocks_of(ROOT / "README.md") for words in block.commands]
    own = [words for words in commands if "mynet" in " ".join(words)]
    assert {words[0] for words in own} >= {"extract", "simulate", "calibrate", "prune", "study"}
    for words in own:
        arguments = [fewer.get(word, word) for word in words]
        quick = ["--images", "0:2"] if words[0] == "simulate" else []
        undrawn = ["--no-figures"] if words[0] == "simulate" or words[:2] == ["study", "run"] else []
        assert main([*arguments, *quick, *undrawn]) == 0, words


def test_the_study_of_architectures_is_one_that_can_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Its file is checked and its points are counted; running them takes a quarter of an hour."""
    [words] = commands_of("studies/architecture")
    file = ROOT / words[words.index("run") + 1]
    assert main(["study", "points", str(file)]) == 0
    assert "2,160 points" in " ".join(capsys.readouterr().out.split())


@contextlib.contextmanager
def cluster(text: str) -> Iterator[str]:
    """The scheduler and the workers of a block, on this machine, at a free port, one worker in place of many."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    lines = [line.split("#")[0].split() for line in text.splitlines() if line.strip().startswith("dask ")]
    assert [line[1] for line in lines] == ["scheduler", "worker"]
    processes = []
    try:
        for line in lines:
            here = [word.replace("HOST", "127.0.0.1").replace("8786", port) for word in line[1:]]
            if "--nworkers" in here:
                here[here.index("--nworkers") + 1] = "1"
            command = [str(Path(sys.executable).with_name("dask")), *here, "--no-dashboard"]
            quiet = subprocess.DEVNULL
            processes.append(subprocess.Popen(command, stdout=quiet, stderr=quiet))
            time.sleep(0.1)
        yield f"tcp://127.0.0.1:{port}"
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
