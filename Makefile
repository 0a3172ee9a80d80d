# make demo   the whole of the paper at a small scale, from cohort to page
# make test   every check that the project has
# Both set up an environment of their own in .venv and may be repeated.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test clean

demo: $(VENV)/installed
	$(BIN)/renalseg demo -o renalseg-demo

test: $(VENV)/installed-dev
	$(BIN)/ruff check src tests examples benchmarks
	$(BIN)/ruff format --check src tests examples benchmarks
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pytest

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps nnunet  # v1: what it depends on no longer installs, its network needs none of it
	touch $@

clean:
	rm -rf $(VENV) renalseg-demo
