# edgekit: `make build` runs the headline command, `make test` checks everything. Both work from a clean clone.
# Steps leave stamps in .venv, so that the second run does only what changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := edgekit tests

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help build test test-all lint format lock vendor clean clean-all

help: ## list what make can do
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

build: $(VENV)/.edgekit ## the headline command: a trained Inception-v4 to INT8 for this machine's CPU
	$(BIN)/edgekit build --model inception_v4 --target cpu

test: lint ## ruff, mypy, import layers and the quick tests
	$(BIN)/python -m pytest -m 'not slow and not network'

test-all: lint ## the same with the slow tests, and those that fetch from the package index
	$(BIN)/python -m pytest

lint: $(VENV)/.dev ## ruff, mypy and the import layers
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## let ruff format and fix the code
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

lock: ## make the locks again from pyproject.toml (needs uv)
	.lock/update.sh

vendor: ## make the report page's plotting script again from npm, and check its hash (needs Node.js)
	$(PYTHON) .vendor/update.py

clean: ## remove builds and caches of the tools; the virtual environment stays
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean ## the same with the virtual environment
	rm -rf $(VENV)

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 10) <= sys.version_info[:2] < (3, 14) else "edgekit needs Python 3.10 to 3.13; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	touch $@

# A pip that was interrupted leaves no stamp, and starts over.
$(VENV)/.cpu: .lock/cpu.txt $(VENV)/.made
	$(PIP) install -r .lock/cpu.txt
	touch $@

$(VENV)/.edgekit: pyproject.toml $(VENV)/.cpu
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: .lock/dev.txt $(VENV)/.edgekit
	$(PIP) install -r .lock/dev.txt
	touch $@
