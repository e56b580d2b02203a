"""The how-to pages do what they say: every command runs, or where it needs what a user brings, is one that exists."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from docs_pages import ROOT, Block, blocks_of, changed
from typer.main import get_command

from simulator.cli import app, main

HOW_TO = ("own-network", "own-accelerator", "reading-reports", "limits", "coming-from")
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "traces" / "README.md"])


def parse(words: list[str]) -> None:
    """Fails where a command or one of its options does not exist."""
    command, rest = get_command(app), list(words)
    while hasattr(command, "commands"):
        if rest[0] not in command.commands:  # `fmapsim dram STANDARD` is short for `fmapsim dram run STANDARD`
            assert "run" in command.commands, f"no command {rest[0]}"
            rest = ["run", *rest]
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context("fmapsim", rest)


def needed(block: Block, folder: Path) -> None:
    """Makes what a block says that a reader has."""
    if block.need == "torch":
        pytest.importorskip("torch", reason="this page needs PyTorch")
    if block.need == "photos" and not (folder / "photos").exists():
        image = pytest.importorskip("PIL.Image", reason="this page needs Pillow")
        pytest.importorskip("torch", reason="this page needs PyTorch")
        random = np.random.default_rng(0)
        (folder / "photos").mkdir()
        for number in range(2):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
        (folder / "labels.tsv").write_text("file\tclass_index\n0.png\t0\n1.png\t1\n", encoding="utf-8")


@pytest.mark.parametrize("name", HOW_TO)
def test_a_how_to_page_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are written, then its commands and its Python run in one folder, from top to bottom."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    ran = 0
    for block in blocks_of(ROOT / "docs" / f"{name}.md"):
        needed(block, tmp_path)
        if block.name:
            (tmp_path / block.name).write_text(block.text, encoding="utf-8")
            importlib.invalidate_caches()
            sys.modules.pop(Path(block.name).stem, None)
        elif block.language == "python":
            exec(compile(block.text, f"{name}.md", "exec"), {})
        for words in block.commands:
            if block.mark == "parsed":
                parse(words)
                continue
            assert main(words) == 0, words
            ran += 1
    assert ran > 0


def stand_in(folder: Path, name: str) -> None:
    """A small node list of that name, with weights: two 3×3 layers of which the inner one can be pruned."""
    from safetensors.torch import save_file

    torch = pytest.importorskip("torch", reason="these pages need PyTorch")
    sizes = {"stem": (3, 8, 3), "inner": (8, 8, 3), "outer": (8, 8, 1), "fc": (8, 5, 1)}
    reads = {"stem": "data", "inner": "stem", "outer": "inner", "fc": "gap"}
    layers = {
        layer: {
            "name": layer, "op": "conv", "in": [reads[layer]], "in_ch": inputs, "out_ch": outputs, "k": [side, side],
            "stride": [1, 1], "pad": [side // 2] * 4, "groups": 1, "act": "none" if layer == "fc" else "relu",
        }
        for layer, (inputs, outputs, side) in sizes.items()
    }  # fmt: skip
    nodes = [
        {"name": "data", "op": "input", "in": []},
        layers["stem"],
        layers["inner"],
        layers["outer"],
        {"name": "sum", "op": "add", "in": ["outer", "stem"], "act": "relu"},
        {"name": "gap", "op": "gap", "in": ["sum"]},
        layers["fc"],
    ]
    description = {
        "name": name, "input": [3, 16, 16], "channel_order": "RGB", "mean": [100] * 3, "scale": [0.02] * 3,
        "num_classes": 5, "nodes": nodes,
    }  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(description), encoding="utf-8")
    generator = torch.Generator().manual_seed(0)
    state = {}
    for layer, (inputs, outputs, side) in sizes.items():
        state[f"{layer}.weight"] = torch.randn(outputs, inputs, side, side, generator=generator) / 4
        state[f"{layer}.bias"] = torch.randn(outputs, generator=generator) / 4
    save_file(state, folder / f"{name}.safetensors")


@pytest.mark.parametrize(
    ("page", "network", "count"),
    [("dynamic-pruning", "mobilenet_v2", 100), ("static-pruning", "cifar_resnet20", 200)],
)
def test_a_page_on_pruning_runs(
    page: str, network: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a small network and a tenth as many small images in the places of those that the page names."""

    def tenth(word: str) -> str:
        return (
            re.sub(r"\d+", lambda number: str(int(number[0]) // 10), word) if re.fullmatch(r"\d+:\d+", word) else word
        )

    monkeypatch.chdir(tmp_path)
    stand_in(tmp_path, network)
    pixels = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(count) % 5
    np.savez(tmp_path / "cifar10.npz", images=pixels, labels=labels)
    for block in blocks_of(ROOT / "docs" / f"{page}.md"):
        for words in block.commands:
            # The folder of photographs becomes one file of them, which brings its classes along.
            arguments = [word for word in words if word not in ("--labels", "labels.tsv")]
            assert main(["cifar10.npz" if word == "photos" else tenth(word) for word in arguments]) == 0, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_a_page_exist(page: Path) -> None:
    for block in blocks_of(page):
        for words in block.commands:
            print(words)
            parse(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_exists(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", text):
        if target.startswith("http"):
            continue
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.M)
            anchors = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in anchors, f"{target}#{anchor}"


def test_what_the_page_on_extending_adds_works(tmp_path: Path) -> None:
    """The package is copied, changed as the page says, and its scripts run on the copy."""
    shutil.copytree(ROOT / "simulator", tmp_path / "simulator", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("hwconfigs", "traces"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    scripts = []
    for block in blocks_of(ROOT / "docs" / "extending.md"):
        file = tmp_path / block.name
        if block.language == "diff":
            file.write_text(changed(file.read_text(encoding="utf-8"), block.text), encoding="utf-8")
        elif block.name == "run":
            needed(block, tmp_path)
            scripts.append(block.text)
        elif block.name:
            assert not file.exists(), block.name
            file.write_text(block.text, encoding="utf-8")
    assert len(scripts) == 3
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(scripts)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_a_change_that_does_not_fit_is_found() -> None:
    assert changed("a\nb\nc", " a\n-b\n+B") == "a\nB\nc"
    with pytest.raises(AssertionError, match="found 0 times"):
        changed("a\nb", "-c\n+d")
