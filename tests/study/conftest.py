"""The folder that studies of these tests lie in."""

from pathlib import Path

import pytest
from study_inputs import write_traces


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the traces `one` and `two`."""
    write_traces(tmp_path)
    return tmp_path
