# make demo   the whole of the paper at a small scale, from cohort to page
# make test   every check of the project; long runs are sampled
# make soak   the tests with long runs whole: kills, corpora of broken files, the demo
# All set up an environment of their own in .venv and may be repeated.

PYTHON ?= python3
VENV := .venv
PYTHON_FILES := src tests examples benchmarks web hatch_build.py
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

# What tests start: a browser, an archive, a DICOM checker; npm brings the viewer. Without them these tests skip.
SYSTEM := chromium curl dicom3tools fonts-liberation jq openssl orthanc orthanc-dicomweb $(shell command -v npm >/dev/null || echo npm)

.PHONY: demo test soak system clean

demo: $(VENV)/installed
	$(BIN)/renalseg demo -o renalseg-demo

test: system $(VENV)/installed-dev
	$(BIN)/ruff check $(PYTHON_FILES)
	$(BIN)/ruff format --check $(PYTHON_FILES)
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile

soak: system $(VENV)/installed-dev
	RENALSEG_SOAK=1 $(BIN)/python -m pytest

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps nnunet  # v1: what it depends on no longer installs, its network needs none of it
	touch $@

system:
	@dpkg -s $(SYSTEM) >/dev/null 2>&1 || { \
	  test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get -qq update && \
	  DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $(SYSTEM) >/dev/null; \
	} || echo "not installed, their tests skip: $(SYSTEM)"

clean:
	rm -rf $(VENV) renalseg-demo
