"""Every shipped accelerator loads, has the chip's published size, and says where each of its numbers comes from."""

import re
from pathlib import Path

import pytest

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.dram_device import device_names, load_device
from simulator.hardware.load import load_accelerator, preset_names
from simulator.resources import shipped_folder

FOLDER = shipped_folder("hwconfigs")
PRESETS = preset_names()
DRAMS = sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in (FOLDER / "dram").rglob("*.yaml"))

MACS_PER_CYCLE = {
    "bit-fusion": 512,
    "brick-skipping": 2048,
    "cnvlutin": 4096,
    "cpu-avx512": 32,
    "edge-npu": 2048,
    "eie": 64,
    "eyeriss": 168,
    "eyeriss-v2": 192,
    **{f"nvdla-{macs}": macs for macs in (32, 64, 128, 256, 512, 1024, 2048)},
    "nvidia-h200": 135168,
    "nvidia-h200-fp32": 16896,
    "nvidia-h200-tf32": 135168,
    "nvidia-p100": 3584,
    "scale-sim-12x14-ws": 168,
    "scale-sim-256-ws": 65536,
    "scale-sim-32-is": 1024,
    "scale-sim-32-os": 1024,
    "scale-sim-32-ws": 1024,
    "scnn": 1024,
    "sigma": 16384,
    "sparse-tensor-core": 1024,
    "systolic-256": 65536,
    "tpu-v3": 32768,
    "zigzag-tpu-like": 1024,
}

KEY = re.compile(r"^(?P<indent> *)(?P<key>[\w-]+):(?P<value>.*)$")


def preset_text(name: str) -> str:
    return (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def uncommented_numbers(text: str) -> list[str]:
    """Lines with a number that neither they nor the line that opens their section explain in a comment."""
    found: list[str] = []
    sections: list[tuple[int, bool]] = []  # indentation and "has a comment" of every section around the line
    for line in text.splitlines():
        content, hash_sign, comment = line.partition("#")
        if not content.strip():
            continue
        match = KEY.match(content.rstrip())
        indent = len(content) - len(content.lstrip())
        sections = [section for section in sections if section[0] < indent]
        explained = bool(hash_sign and comment.strip())
        key, value = (match["key"], match["value"]) if match else ("", content)
        if key not in ("name", "description") and re.search(r"\d", value):
            in_explained_section = bool(sections) and sections[-1][1]
            if not explained and not in_explained_section:
                found.append(line)
        if match and not value.strip():
            sections.append((indent, explained))
    return found


@pytest.mark.parametrize("name", PRESETS)
def test_preset_loads_under_its_own_name(name: str) -> None:
    accelerator = load_accelerator(name)
    assert accelerator.name == name
    assert accelerator.description


@pytest.mark.parametrize("name", PRESETS)
def test_preset_has_the_published_number_of_multipliers(name: str) -> None:
    assert load_accelerator(name).array.macs == MACS_PER_CYCLE[name]


@pytest.mark.parametrize("name", [*PRESETS, *DRAMS])
def test_every_number_of_a_preset_has_a_source_in_a_comment(name: str) -> None:
    assert uncommented_numbers(preset_text(name)) == []


@pytest.mark.parametrize("name", [*PRESETS, *DRAMS])
def test_every_source_tag_of_a_preset_is_explained_at_its_top(name: str) -> None:
    text = preset_text(name)
    head = text[: text.index("\nname:")]
    used = set(re.findall(r"# .*?\[([A-Z]+[0-9]*)\]", text[len(head) :]))
    assert used <= set(re.findall(r"\[([A-Z]+[0-9]*)\]", head))


def test_the_comment_rule_itself() -> None:
    text = "clock: 1 GHz\narray: # [X]\n  rows: 4\ndram:\n  burst: 64 B # [Y]\n  row: 1 KiB\n  name: DDR4\nname: a-1\n"
    assert uncommented_numbers(text) == ["clock: 1 GHz", "  row: 1 KiB"]


def test_eyeriss_is_the_published_chip() -> None:
    eyeriss = load_accelerator("eyeriss")
    assert eyeriss.clock == 200e6
    assert (eyeriss.array.rows, eyeriss.array.columns) == (12, 14)
    assert eyeriss.buffers.ifm.capacity == 25 * 512 * 8
    assert eyeriss.buffers.home("ofm") == "ifm"
    assert eyeriss.buffers.kernel.capacity == 2 * 512 * 8
    assert eyeriss.dram.bandwidth == 60e6 * 8
    assert (eyeriss.array.zeros.ifm, eyeriss.array.zeros.kernel) == ("gate", "none")
    assert (eyeriss.array.dataflow, eyeriss.array.keeps_kernels) == ("row_stationary", True)
    assert eyeriss.buffers.ifm.copies == eyeriss.buffers.kernel.copies == 1
    assert eyeriss.dram.energy == pytest.approx(512 / 8)
    assert eyeriss.buffers.ifm.read_energy == pytest.approx(49.2 / 8)


def test_nvdla_is_the_published_configuration() -> None:
    nvdla = load_accelerator("nvdla-2048")
    assert (nvdla.clock, nvdla.dram.bandwidth) == (1e9, 20e9)
    assert nvdla.buffers.ifm.capacity == 16 * 512 * 64
    assert nvdla.buffers.home("kernel") == "ifm"
    assert nvdla.precision.ifm == nvdla.precision.kernel == 8


def test_scnn_is_the_published_design() -> None:
    scnn = load_accelerator("scnn")
    assert (scnn.array.rows * scnn.array.columns, scnn.array.macs_per_pe) == (64, 16)
    assert scnn.buffers.ifm.capacity == 64 * 10 * 1024
    assert scnn.array.skipping is not None
    assert scnn.array.skipping.kind == "cartesian_product"
    assert (scnn.precision.ifm, scnn.precision.psum) == (16, 24)


def test_edge_npu_does_four_tera_operations_per_second() -> None:
    edge = load_accelerator("edge-npu")
    assert 2 * edge.array.macs * edge.clock == pytest.approx(4e12, rel=0.03)
    assert sum(edge.buffers.of(o).capacity or 0 for o in ("ifm", "kernel", "ofm")) == 2**20


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("scale-sim")])
def test_scale_sim_presets_are_strict_and_never_wait_for_memory(name: str) -> None:
    accelerator = load_accelerator(name)
    assert accelerator.array.timing == "strict"
    assert accelerator.array.dataflow.startswith({"ws": "weight", "os": "output", "is": "input"}[name[-2:]])
    bytes_per_cycle = accelerator.dram.bandwidth / accelerator.clock
    operands_per_cycle = 3 * accelerator.array.macs * 4
    assert bytes_per_cycle > operands_per_cycle
    assert accelerator.dram.row_miss == 0


def test_a_loaded_accelerator_comes_back_as_it_is() -> None:
    accelerator = load_accelerator("eyeriss")
    assert load_accelerator(accelerator) is accelerator


def test_a_file_and_a_preset_of_the_same_content_are_equal(tmp_path: Path) -> None:
    copy = tmp_path / "mine.yaml"
    copy.write_text(preset_text("scnn"), encoding="utf-8")
    loaded = load_accelerator(copy)
    assert isinstance(loaded, Accelerator)
    assert loaded == load_accelerator("scnn")
    assert hash(loaded) == hash(load_accelerator("scnn"))


@pytest.mark.parametrize("name", DRAMS)
def test_a_dram_loads_under_its_own_name(name: str) -> None:
    device = load_device(FOLDER / f"{name}.yaml")
    assert device.name == Path(name).name
    assert device.description


def test_drams_are_no_accelerators() -> None:
    assert not set(device_names()) & set(PRESETS)
    assert len(device_names()) == 10


@pytest.mark.parametrize(
    ("name", "gigabytes_per_second"),
    [
        ("DDR3-1600", 12.8),
        ("DDR4-2400", 19.2),
        ("DDR4-3200", 25.6),
        ("LPDDR4-3200", 12.8),
        ("LPDDR5-6400", 25.6),
        ("GDDR6-14000", 56),
        ("HBM2-2000", 256),
        ("HBM2-2400", 307.2),
        ("HBM2E-3200", 409.6),
        ("HBM3-6400", 819.2),
    ],
)
def test_a_dram_has_the_peak_bandwidth_of_its_name(name: str, gigabytes_per_second: float) -> None:
    assert load_device(name).bandwidth / 1e9 == pytest.approx(gigabytes_per_second, rel=0.004)


@pytest.mark.parametrize(
    ("name", "sequential", "random"), [("DDR4-2400", 11.1, 21.7), ("DDR3-1600", 11.5, 24.9), ("HBM2-2000", 2.0, 3.4)]
)
def test_energy_adds_up_to_the_figures_that_it_comes_from(name: str, sequential: float, random: float) -> None:
    """pJ/bit at the bandwidths that DRAMsim3 reached; its rows of DDR3 and HBM2 are twice as long and cost as much."""
    device = load_device(name)
    energy, organisation = device.energy, device.organisation
    gigabytes = {"DDR4-2400": (18.3, 11.1), "DDR3-1600": (12.2, 6.07), "HBM2-2000": (237.4, 61.3)}[name]
    per_microsecond = 1e6 / (device.timing.tREFI * device.timing.clock) * organisation.pseudo_channels
    milliwatts = organisation.channels * (energy.background + energy.refresh * per_microsecond * 1e-3)
    for expected, bits, rate in zip((sequential, random), (8 * organisation.row, 512), gigabytes, strict=True):
        found = energy.read / 8 + energy.activate / bits + milliwatts / (8 * rate)
        assert found == pytest.approx(expected, rel=0.04), f"{found:.2f} pJ/bit"
