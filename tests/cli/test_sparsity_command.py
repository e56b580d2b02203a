import json
from pathlib import Path

import pandas as pd
import pytest
from cli_inputs import Run, tiny_shapes


def test_prints_and_writes_the_zeros_of_every_layer(run: Run, trace_file: Path, tmp_path: Path) -> None:
    ran = run("sparsity", trace_file, "--images", "0:2", "--tile", "2x2", "--out", tmp_path / "zeros")
    assert (ran.code, ran.err) == (0, "")
    assert "mean of 2 images" in ran.out
    assert "bitmap" in ran.out
    names = sorted(path.name for path in (tmp_path / "zeros").iterdir())
    assert names == ["channels.png", "channels.svg", "sparsity.parquet", "zeros.png", "zeros.svg"]
    table = pd.read_parquet(tmp_path / "zeros" / "sparsity.parquet")
    rows = json.loads(run("sparsity", trace_file, "--images", "0:2", "--tile", "2x2", "--json").out)
    assert [row["layer"] for row in rows] == table["layer"].tolist()
    assert [row["zero_tile"] for row in rows] == table["zero_tile"].tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tile", "4"), "--tile: found '4', expected rows x columns such as 4x4"),
        (("--tile", "0x4"), "tile 0x4: expected at least one row and one column"),
        (("--images", "9"), "no image 9"),
    ],
)
def test_mistakes_are_one_line(run: Run, trace_file: Path, arguments: tuple[str, ...], message: str) -> None:
    ran = run("sparsity", trace_file, *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_shapes_have_no_zeros(run: Run, tmp_path: Path) -> None:
    path = tiny_shapes().save(tmp_path / "shapes")
    ran = run("sparsity", path, "--out", tmp_path / "out")
    assert ran.code == 2
    assert "holds shapes only" in ran.err
    assert not (tmp_path / "out").exists()
