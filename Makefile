# make demo   on a fresh machine: installs what serving needs and runs `customai deploy 2-5`
# make test   the whole gate: lint, types, tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait more than they work, so one worker more than most machines have cores to spare.
WORKERS ?= 3
# Bytecode is compiled once, so that every later start is quick.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test fast lint docs benchmarks peers azurite clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile | head -2

demo: $(VENV)/.serve
	@$(BIN)/customai deploy 2-5
	@echo
	@$(BIN)/customai score 2-5 paths/2-5/samples/7.png
	@echo
	@echo "The command is $(BIN)/customai: try it, or put it on your path with: . $(BIN)/activate"

test: lint .checkov/bin/checkov
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# The same without what builds, installs or trains: under two minutes.
fast: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.dev
	$(BIN)/python -m docs.generate

benchmarks: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# The servers that benchmarks.scoring --peers measures ours beside, in .peers: gigabytes.
peers: $(VENV)/.dev
	$(BIN)/python -m benchmarks.peers

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "customai needs Python 3.10 or later; this is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[serve]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.serve

# Reads the ARM templates that `customai export` writes; in an environment of its own, for it wants other versions.
.checkov/bin/checkov:
	$(PYTHON) -m venv .checkov
	.checkov/bin/python -m pip install --quiet --disable-pip-version-check 'checkov>=3.2,<4'

# Blob storage on this machine: Microsoft's emulator, from npm, on port 10000, until Ctrl-C. Its data are in .azurite.
azurite: .azurite/node_modules
	@echo "export AZURE_STORAGE_CONNECTION_STRING='DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;'"
	.azurite/node_modules/.bin/azurite-blob --location .azurite/data --skipApiVersionCheck --disableTelemetry

.azurite/node_modules:
	@command -v npm > /dev/null || { echo "Azurite needs npm: https://nodejs.org"; exit 1; }
	npm install --no-audit --no-fund --prefix .azurite azurite@3

clean:
	rm -rf $(VENV) .checkov build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
