# The whole workflow. `make run` is the first thing to type; everything lands in .venv and .tracefuse.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# The stamp is newer than what it was made from, or the environment is made again.
STAMP := $(VENV)/.complete

.PHONY: help setup run test check bench soak clean

help:  ## This list.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-7s %s\n", $$1, $$2}'

setup: $(STAMP)  ## Install everything into .venv, from hashes.

$(STAMP): requirements.lock pyproject.toml ingest/sdk/pyproject.toml
	test -x $(BIN)/python || { python=$${PYTHON:-$$(deploy/fastest-python)} && "$$python" -m venv $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		-e ingest/sdk -e .
	@touch $(STAMP)

run: setup  ## Play the labelled fleet on an embedded stack, then leave it up until Ctrl-C.
	$(BIN)/tracefuse demo --keep

test: setup  ## All tests but the long ones.
	$(BIN)/python -m pytest -m "not soak"

check: setup  ## Lint, format, types, layers.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## Promised and measured figures, side by side.
	$(BIN)/python -m tests.benchmarks

soak: setup  ## The long tests.
	$(BIN)/python -m pytest -m soak

clean:  ## Remove the environment, the embedded stack's data and all caches.
	@! $(BIN)/tracefuse status --quiet 2>/dev/null || { echo "the stack is running: stop it first" >&2; exit 1; }
	rm -rf $(VENV) .tracefuse .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
