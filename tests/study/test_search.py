"""Searches: random and Optuna's try what the seed says, however often they are interrupted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_inputs import study_file

from simulator.study.folder import results
from simulator.study.resolved import Hardware
from simulator.study.run import planned, run_study

SPACE: dict[str, Any] = {
    "parameters": {
        "buffers.ifm.capacity": {"range": {"from": "64 KiB", "to": "120 KiB", "step": "4 KiB"}},
        "compression.feature_map": ["raw", "bitmap", "eyeriss_rlc"],
    },
    "traces": ["one.trace.safetensors"],
    "accelerators": ["systolic-256"],
}
SETTINGS = ["buffers.ifm.capacity", "compression.feature_map", "pruning"]


def tried(out: Path) -> list[tuple[object, ...]]:
    return [tuple(row) for row in results(out)[SETTINGS].itertuples(index=False)]


def test_random_designs_are_so_many_different_ones(folder: Path) -> None:
    path = study_file(folder, **SPACE, search={"method": "random", "designs": 7, "seed": 3})
    assert run_study(path, folder / "out").points == 7
    assert len(set(tried(folder / "out"))) == 7
    run_study(path, folder / "again")
    assert tried(folder / "again") == tried(folder / "out")


@pytest.mark.parametrize("method", ["nsga2", "tpe"])
def test_a_search_depends_on_its_seed_and_not_on_interruptions(folder: Path, method: str) -> None:
    pytest.importorskip("optuna")
    search = {"method": method, "designs": 14, "seed": 5, "population": 4}
    path = study_file(folder, **SPACE, search=search)
    summary = run_study(path, folder / "whole")
    assert (summary.points, summary.ran) == (14, 14)
    whole = tried(folder / "whole")
    assert len(set(whole)) == 14

    def stop_at(count: int) -> Any:
        def stop(done: int, total: int) -> None:
            assert total == 14 - before
            if done == count:
                raise KeyboardInterrupt

        return stop

    before = 0
    for count in (3, 5):
        with pytest.raises(KeyboardInterrupt):
            run_study(path, folder / "out", progress=stop_at(count))
        before += count
    assert run_study(path, folder / "out").ran == 14 - before
    assert tried(folder / "out") == whole


def test_a_search_ends_where_there_is_nothing_new_to_try(folder: Path) -> None:
    pytest.importorskip("optuna")
    parameters = {"buffers.ifm.capacity": ["64 KiB", "96 KiB"]}
    search = {"method": "nsga2", "designs": 50, "population": 4}
    summary = run_study(study_file(folder, parameters=parameters, search=search), folder / "out")
    assert (summary.points, summary.done) == (8, 8)


def test_a_search_leaves_out_what_constraints_exclude(folder: Path) -> None:
    pytest.importorskip("optuna")
    path = study_file(
        folder,
        **SPACE,
        constraints=["buffers.ifm.capacity <= 80 KiB"],
        search={"method": "tpe", "designs": 6, "population": 3},
    )
    summary = run_study(path, folder / "out")
    assert summary.points == 6
    assert summary.excluded > 0
    assert results(folder / "out")["buffers.ifm.capacity"].max() <= 80 * 1024


@pytest.mark.parametrize("method", ["nsga2", "tpe"])
def test_a_search_finds_better_designs_than_chance(folder: Path, method: str) -> None:
    """Two goals made up from the settings; the later half of what is tried beats the median of all designs in both."""
    pytest.importorskip("optuna")

    def reached(hardware: Hardware, pruning: str) -> tuple[float, float]:
        size = float(str(hardware.values["buffers.ifm.capacity"])) / 4096
        raw = hardware.values["compression.feature_map"] == "raw"
        return size + 5 * raw, 1 + (pruning == "none") + raw

    every, found = [], []
    (designs,) = planned(study_file(folder, **SPACE)).strategy.rounds()
    every = [reached(*design) for design in designs]
    search = {"method": method, "designs": 40, "seed": 1, "population": 8}
    strategy = planned(study_file(folder, **SPACE, search=search)).strategy
    for round_ in strategy.rounds():
        values = {(hardware.digest, pruning): reached(hardware, pruning) for hardware, pruning in round_}
        found += list(values.values())
        strategy.tell(values)
    assert len(found) == 40
    assert len(every) == 90
    later, usual = np.mean(found[20:], axis=0), np.mean(every, axis=0)
    assert (later < usual).all(), f"{later} against {usual}"


def test_without_optuna_the_message_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Exception, match=r"search: tpe needs Optuna: pip install 'fmapsim\[study\]'"):
        planned(study_file(folder, search={"method": "tpe", "designs": 3}))
