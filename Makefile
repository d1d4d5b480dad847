# edgekit: `make build` runs the headline command, `make test` checks everything. Both work from a clean clone.
# Steps leave stamps in .venv, so that the second run does only what changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CHECKED := --no-deps --only-binary :all: --require-hashes
SOURCES := edgekit tests
# Most tests leave one of two cores idle. The tests of a file share what they built, and stay together.
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder --durations 40 --durations-min 5

# Tests start hundreds of processes: none compiles again what another has, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help build test test-all faults lint format dist lock licences vendor outlines picture clean clean-all fuzz fuzz-cpp mutants

help: ## list what make can do
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

build: $(VENV)/.edgekit ## the headline command: a trained Inception-v4 to INT8 for this machine's CPU
	$(BIN)/edgekit build --model inception_v4 --target cpu

test: lint ## ruff, mypy, import layers and the quick tests
	$(BIN)/python -m pytest $(IN_TWO) -m 'not slow and not network'

test-all: lint ## the same with the slow tests, and those that fetch from the package index
	$(BIN)/python -m pytest $(IN_TWO)

faults: $(VENV)/.dev ## kill builds, fill their disks, spoil their stores: docs/reliability.md
	$(BIN)/python -m pytest tests/integration/test_faults.py

fuzz: $(VENV)/.dev ## hostile files of every kind that is read, for ten minutes: docs/reliability.md
	$(BIN)/python tests/fuzz/run.py --seconds 600 --least 10000
	@$(MAKE) --no-print-directory fuzz-cpp

FUZZ_SECONDS ?= 40

fuzz-cpp: $(VENV)/.dev ## fuzz the C++ library, FUZZ_SECONDS for each of seven targets (needs clang): docs/reliability.md
	PYTHONPATH=tests $(BIN)/python tests/fuzz/cpp/run.py $(FUZZ_SECONDS)

mutants: $(VENV)/.dev ## change what decides bit by bit, and see what its tests do not notice: docs/reliability.md
	$(BIN)/mutmut run --max-children 2
	$(BIN)/mutmut results

lint: $(VENV)/.dev ## ruff, mypy and the import layers
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## let ruff format and fix the code
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

dist: $(VENV)/.dev ## the wheel and the source archive, in dist/: the same bytes wherever they are built
	$(BIN)/python -m hatchling build --directory dist

lock: ## make the locks again from pyproject.toml (needs uv); UPGRADE=--upgrade takes the newest versions
	.lock/update.sh $(UPGRADE)

licences: $(VENV)/.dev ## list the licences of the packages in the locks: docs/licences.md
	$(BIN)/python .lock/licences.py

vendor: ## make the report page's plotting script again from npm, and check its hash (needs Node.js)
	$(PYTHON) .vendor/update.py

outlines: $(VENV)/.dev ## write the graphs of the registry's networks without weights again, in edgekit/models/outlines/
	$(BIN)/python .vendor/outlines.py

BUNDLE ?= build/inception_v4-cpu

picture: $(VENV)/.dev ## draw docs/report.png again, from the report of BUNDLE (needs Chromium)
	$(BIN)/python .vendor/picture.py $(BUNDLE) docs/report.png

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
# What has no hash in the locks comes last, and finds what it needs in place: .lock/README.md.
$(VENV)/.cpu: .lock/cpu.txt .lock/torch.txt $(VENV)/.made
	$(PIP) install $(CHECKED) -r .lock/cpu.txt
	$(PIP) install -r .lock/torch.txt
	touch $@

$(VENV)/.edgekit: pyproject.toml $(VENV)/.cpu
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: .lock/dev.txt $(VENV)/.edgekit
	$(PIP) install $(CHECKED) -r .lock/dev.txt
	touch $@
