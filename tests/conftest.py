"""Every test starts from the same random state, and workers that share the machine take one core each."""

import os
import sys

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(0)
