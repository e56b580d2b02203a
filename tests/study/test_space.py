"""Designs and points: every combination once, with a key that follows from what it depends on."""

from pathlib import Path

import pytest
from study_inputs import study_file, write_traces

from simulator.study.axes import Axis
from simulator.study.points import Point, tasks_of
from simulator.study.run import Plan, planned
from simulator.study.space import Space

AXES = (Axis("a", ({"a": 1}, {"a": 2})), Axis("b", ({"b": 1}, {"b": 2}, {"b": 3})))


def all_points(plan: Plan) -> list[Point]:
    return [one for designs in plan.strategy.rounds() for one in plan.points(designs)]


def test_every_combination_is_one_design() -> None:
    space = Space({"x": AXES, "y": AXES[1:]}, ("none", "dynamic"))
    designs = list(space.all())
    assert space.size == len(designs) == 2 * (2 * 3 + 3)
    told = {(design.accelerator, str(design.overrides), design.pruning) for design in designs}
    assert len(told) == len(designs)
    assert [space.at(design.place) for design in designs] == designs
    with pytest.raises(IndexError):
        space.design(18)


def test_random_designs_are_different_ones_and_the_seed_decides() -> None:
    space = Space({"x": AXES}, ("none",))
    first = [design.place for design in space.shuffled(1)]
    assert sorted(first) == sorted(design.place for design in space.all())
    assert first == [design.place for design in space.shuffled(1)]
    assert first != [design.place for design in space.shuffled(2)]


def test_a_space_too_large_to_list_gives_random_designs(folder: Path) -> None:
    kilobytes = {"range": {"from": "20 KiB", "to": "1019 KiB", "step": "1 KiB"}}
    parameters = {f"buffers.{name}.capacity": kilobytes for name in ("ifm", "kernel")}
    parameters["dram.bandwidth"] = {"range": {"from": "1 MB/s", "to": "1000 MB/s", "step": "1 MB/s"}}
    plan = planned(study_file(folder, parameters=parameters, search={"method": "random", "designs": 5}))
    assert plan.space.size == 2 * 1000**3
    assert len(all_points(plan)) == 10


def test_points_go_by_trace_then_by_hardware(folder: Path) -> None:
    points = all_points(planned(study_file(folder, images=["0:1", "0:2"])))
    assert len(points) == len({one.key for one in points}) == 2 * 2 * 2 * 2 * 2
    assert [one.trace.label for one in points] == ["one"] * 16 + ["two"] * 16
    assert [len(task) for task in tasks_of(points)] == [4] * 8  # both kinds of pruning on both selections of images


def keys(path: Path) -> list[str]:
    return [one.key for one in all_points(planned(path))]


def test_keys_follow_from_content_alone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = keys(study_file(folder))
    assert keys(study_file(folder, name="other", description="x", objectives=["cycles"])) == before
    sizes = ["64 KiB", "0.09375 MiB", "100 KiB"]
    grown = keys(study_file(folder, parameters={"buffers.ifm.capacity": sizes, "dram.bandwidth": ["1 GB/s", "4 GB/s"]}))
    assert set(before) < set(grown)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_traces(elsewhere, ["zero", "one", "two"])  # other zeros under the same names
    (elsewhere / "zero.trace.safetensors").unlink()
    assert not set(keys(study_file(elsewhere))) & set(before)


def test_a_changed_accelerator_file_changes_keys(folder: Path) -> None:
    from simulator.hardware.load import accelerator_path

    mine = folder / "mine.yaml"
    text = accelerator_path("eyeriss").read_text("utf-8")
    mine.write_text(text, "utf-8")
    before = keys(study_file(folder, accelerators=["mine.yaml"]))
    mine.write_text(text.replace("# [E] core clock", "# another comment"), "utf-8")
    assert keys(study_file(folder, accelerators=["mine.yaml"])) == before
    mine.write_text(text.replace("clock: 200 MHz", "clock: 250 MHz"), "utf-8")
    assert not set(keys(study_file(folder, accelerators=["mine.yaml"]))) & set(before)


def test_the_revision_is_part_of_the_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(study_file(folder))
    monkeypatch.setattr("simulator.study.points.revision", lambda: "9.9.9+0")
    assert not set(keys(study_file(folder))) & set(before)


def test_designs_that_are_the_same_run_once(folder: Path) -> None:
    same = {
        "shape": {
            "linked": {"buffers.ifm.capacity": ["64 KiB", "0.0625 MiB"], "dram.bandwidth": ["1 GB/s", "1000 MB/s"]}
        }
    }
    points = all_points(planned(study_file(folder, parameters=same)))
    assert len(points) == 4
