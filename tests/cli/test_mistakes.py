"""Every mistake in a user's input is one line that says where it is; nothing is written, nothing is traced back."""

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_inputs import Run

from simulator.hardware.load import accelerator_path

Edit = Callable[[str], str]


@pytest.fixture
def simulate(run: Run, trace_file: Path, tmp_path: Path) -> Callable[..., str]:
    """The mistake that `fmapsim simulate` finds, after checking that it has written nothing."""

    def mistake(*options: object, trace: object = trace_file, hardware: object = "eyeriss") -> str:
        out = tmp_path / "output"
        found = run("simulate", trace, "--hardware", hardware, "--out", out, *options).mistake()
        assert not out.exists()
        return found

    return mistake


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.replace("clock:", "clok:", 1), "unknown key 'clok'"),
        (lambda text: f"{text}\nclock: 1 GHz\n", "key 'clock' stands twice"),
        (lambda text: text.replace("200 MHz", "200 MB"), "clock: expected a frequency such as '200 MHz'"),
        (lambda text: text.replace("200 MHz", "200"), "clock: expected a frequency such as '200 MHz'"),
        (lambda text: text.replace("rows: 12", "rows: -3"), "array.rows: expected more than 0, found -3"),
        (lambda text: text.replace("clock:", "\tclock:"), "not valid YAML"),
        (lambda text: "", "the file is empty"),
    ],
)
def test_accelerator_files(simulate: Callable[..., str], run: Run, tmp_path: Path, edit: Edit, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(edit(accelerator_path("eyeriss").read_text(encoding="utf-8")), encoding="utf-8")
    found = simulate(hardware=path)
    assert found.startswith(f"{path}:")
    assert message in found
    assert run("hardware", "check", path).mistake() == found


def test_a_buffer_too_small_for_any_tile(simulate: Callable[..., str]) -> None:
    found = simulate("--set", "buffers.kernel.capacity=16 B")
    assert "block[0]" in found
    assert "buffer" in found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "buffers.ifm.capcity=64 KiB"], "override 'buffers.ifm.capcity': unknown key 'capcity'"),
        (["--set", "buffers.ifm.capcity=64 KiB"], "; did you mean 'capacity'?"),
        (["--set", "buffers.ifm.size=64 KiB"], "; did you mean 'capacity'?"),
        (["--set", "clock=64 KiB"], "with overrides: clock: expected a frequency"),
        (["--set", "buffers.ifm.capacity=48 KB"], "found '48 KB'; did you mean 48 kB or 48 KiB?"),
        (["--set", "clock"], "--set: found 'clock', expected KEY=VALUE"),
        (["--images", "0:9"], "--images 0:9: no image 8; there are 3 (0 is the first)"),
        (["--images", "a"], "--images: found 'a', expected images such as"),
        (["--batch", "2"], "3 images do not divide into batches of 2"),
        (["--epsilon", "0.1"], "--epsilon belongs to --pruning dynamic"),
        (["--pruning", "dynamic", "--epsilon", "0.1"], "was recorded with epsilon 0, not epsilon 0.1"),
    ],
)
def test_options_of_simulate(simulate: Callable[..., str], options: list[str], message: str) -> None:
    assert message in simulate(*options)


def test_images_of_a_trace_without_any(simulate: Callable[..., str], shapes_file: Path) -> None:
    assert "trace 'tiny' holds shapes only" in simulate("--images", "0", trace=shapes_file)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5", "'resnet5' is no trace file, recorded trace, built-in network or topology .csv"),
        ("missing.trace.safetensors", "missing.trace.safetensors: no such trace file"),
        ("missing.csv", "missing.csv: cannot be read (No such file or directory)"),
    ],
)
def test_unknown_traces(simulate: Callable[..., str], run: Run, name: str, message: str) -> None:
    assert message in simulate(trace=name)
    assert message in run("trace", "show", name).mistake()


def test_near_names_are_suggested(simulate: Callable[..., str], run: Run) -> None:
    assert "did you mean 'eyeriss'?" in simulate(hardware="eyeris")
    assert "did you mean 'eyeriss'?" in run("hardware", "show", "eyeris").mistake()
    assert "did you mean 'resnet50'?" in simulate(trace="resnet5")


def test_a_file_that_lies_there_is_suggested(
    simulate: Callable[..., str], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the user's own comes before a name that ships, however near that is."""
    monkeypatch.chdir(tmp_path)
    for name in ("shapenet.trace.safetensors", "lenet.csv", "mynpu.yaml", "eyeris.yml", "sweep.yaml"):
        (tmp_path / name).touch()
    for given, meant in (("shapenet", "shapenet.trace.safetensors"), ("lenet", "lenet.csv")):
        assert simulate(trace=given).endswith(f"; did you mean {meant}, which lies there?")
        assert run("trace", "show", given).mistake().endswith(f"; did you mean {meant}, which lies there?")
    for given, meant in (("mynpu", "mynpu.yaml"), ("mynpu.yml", "mynpu.yaml"), ("eyeris", "eyeris.yml")):
        assert simulate(hardware=given).endswith(f"; did you mean {meant}, which lies there?")
    missing = "No such file or directory"
    for command in (("study", "points"), ("study", "run", "--out", "study")):
        for given in ("sweep.yml", "sweep"):
            found = run(*command, given).mistake()
            assert found == f"{given}: cannot be read ({missing}); did you mean sweep.yaml, which lies there?"
    assert run("study", "points", "other.yml").mistake() == f"other.yml: cannot be read ({missing})"


def test_truncated_and_foreign_traces(simulate: Callable[..., str], trace_file: Path, tmp_path: Path) -> None:
    whole = trace_file.read_bytes()
    path = tmp_path / "bad.trace.safetensors"
    for content, kind in (
        (whole[: len(whole) // 2], "a safetensors file that is damaged or cut off"),
        (whole[:5], "a file of another kind"),
        (b"", "an empty file"),
        (b"\x80\x04K\x01.", "a file of another kind"),
        (b"PK\x03\x04" + bytes(100), "a file of another kind"),
        ("image\tlabel\nä.jpg\t7\n".encode(), "a text file"),
    ):
        path.write_bytes(content)
        assert simulate(trace=path) == (
            f"{path}: not a trace, or truncated: found {kind}, expected a file NAME.trace.safetensors as "
            "`fmapsim extract` writes it"
        )


def test_a_trace_of_a_newer_format(simulate: Callable[..., str], trace_file: Path, tmp_path: Path) -> None:
    content = trace_file.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"]["fmapsim_trace"] = "2"
    encoded = json.dumps(header).encode()
    path = tmp_path / "newer.trace.safetensors"
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + content[8 + size :])
    assert "trace format 2, expected 1" in simulate(trace=path)


def test_a_topology_names_its_line(simulate: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "net.csv"
    path.write_text("Layer,H,W,R,S,C,K,Strides,\nconv1,8,8,3,3,x,4,1,\n", encoding="utf-8")
    assert simulate(trace=path).startswith(f"{path}:2: column 6 (channels): found 'x'")


def test_an_output_folder_that_cannot_be(run: Run, trace_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    out = tmp_path / "file" / "out"
    found = run("simulate", trace_file, "--hardware", "eyeriss", "--out", out).mistake()
    assert found == f"{out}: cannot be written (Not a directory)"
    found = run("simulate", trace_file, "--hardware", "eyeriss", "--out", tmp_path / "file").mistake()
    assert "cannot be written" in found


def test_a_baseline_folder_that_cannot_be(run: Run, trace_file: Path, tmp_path: Path) -> None:
    common = ("simulate", trace_file, "--hardware", "eyeriss", "--out", tmp_path, "--no-figures")
    run(*common)
    (tmp_path / "baseline").write_text("in the way", encoding="utf-8")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    found = run(*common, "--pruning", "dynamic").mistake()
    assert found.startswith(f"{tmp_path / 'baseline'}: cannot be written")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_of_other_things_is_left_alone(run: Run, trace_file: Path, tmp_path: Path) -> None:
    """Photos and a user's own accelerator file are no report; a study's folder is none either, and the other way."""
    for name in ("accelerator.yaml", "a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_text("mine", encoding="utf-8")
    study = tmp_path.parent / f"{tmp_path.name}.yaml"
    for command in (("simulate", trace_file, "--hardware", "eyeriss"), ("study", "run", study)):
        found = run(*command, "--out", tmp_path).mistake()
        assert found.startswith(f"--out {tmp_path}: holds other files (a.jpg, accelerator.yaml, b.jpg and 1 more)")
    assert {path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"mine"}
    assert len(list(tmp_path.iterdir())) == 4


def test_reports_that_are_none(run: Run, trace_file: Path, tmp_path: Path) -> None:
    run("simulate", trace_file, "--hardware", "eyeriss", "--out", tmp_path / "a", "--no-figures")
    (tmp_path / "b").mkdir()
    compare = ("compare", tmp_path / "a")
    assert "compare needs two or more report folders, found 1" in run(*compare).mistake()
    assert "a: given twice" in run(*compare, tmp_path / "a").mistake()
    assert "not a report folder (report.json is missing)" in run(*compare, tmp_path / "b").mistake()
    (tmp_path / "b" / "report.json").write_text("{", encoding="utf-8")
    assert "damaged report" in run(*compare, tmp_path / "b").mistake()
    run("simulate", trace_file, "--hardware", "scnn", "--out", tmp_path / "b", "--no-figures")
    for quantity in ("bytes", "operator", "tiling", "layer"):
        found = run(*compare, tmp_path / "b", "--layers", "--quantity", quantity).mistake()
        assert f"--quantity: found '{quantity}', expected one of dram_bytes, cycles, energy_pj, " in found
        assert "layers.parquet (docs/reading-reports.md)" in found
        assert len(found) < 250
    (tmp_path / "b" / "layers.parquet").write_bytes(b"PAR1")
    assert "damaged report" in run(*compare, tmp_path / "b").mistake()


@pytest.mark.parametrize("command", [["extract", "resnet18", "--images", "x", "--out", "y"], ["demo"]])
def test_without_torch_one_line_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run(*command).mistake().endswith("needs PyTorch: pip install 'fmapsim[torch]'")
