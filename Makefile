# Two commands for a fresh machine that has Python 3.11 or later and make: `make demo` and `make test`.
# Each makes the virtual environment .venv when it is missing, with the versions that constraints.txt pins.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint check traces benchmarks wheel clean

demo: $(READY)
	$(BIN)/fmapsim demo --out demo-output

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist worksteal --nbmake tests notebooks

lint: $(READY)
	$(BIN)/ruff format simulator tests benchmarks
	$(BIN)/ruff check --fix .

traces: $(READY)
	$(BIN)/python traces/record.py

benchmarks: $(READY)
	$(BIN)/python -m benchmarks

wheel: $(READY)
	$(BIN)/python -m build --wheel

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "fmapsim needs Python 3.11 or later; say which one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --disable-pip-version-check --quiet -e '.[torch,study,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis
