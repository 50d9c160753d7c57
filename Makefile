# `make` alone prints this help.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Whatever the caller's shell says, the suite and the demo keep to the machine's cores.
export TOKENIZERS_PARALLELISM := false
# The suite runs in three processes, for tests often wait for other processes to start; each takes tests
# from the others when it has none left.
IN_PARALLEL := --numprocesses 3 --dist worksteal

.PHONY: help install demo cluster-demo test test-all check format serve bench browser openapi screenshots lock clean

help:  ## Print this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "evomerge needs Python 3.11 or newer; set PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@echo "Installing torch (the build that your package index gives for the version in constraints.txt) ..."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	@echo "Installing evomerge and its tools ..."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable ".[worker,nevergrad,postgres,qd]"
	@touch $@

install: $(VENV)/.installed  ## Create .venv and install everything into it

demo: install  ## Evolve merges of real tiny models and export the winner (2 minutes)
	@$(BIN)/python -m examples.demo

cluster-demo: install  ## Kill a controller, a raylet, a worker, Postgres and Ray's head under an experiment (5 minutes)
	@$(BIN)/python -m examples.cluster_demo

test: install browser  ## Run the tests
	@$(BIN)/python -m pytest $(IN_PARALLEL)

test-all: install browser  ## Run the tests, the slow ones too
	@$(BIN)/python -m pytest $(IN_PARALLEL) -m "slow or not slow"

check: install  ## Formatting, lint, types, layers, migrations, documents
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python scripts/check_tree.py
	@$(BIN)/python -m scripts.check_manifests

format: install  ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

serve: install  ## Serve the API and the dashboard on http://127.0.0.1:8000
	@$(BIN)/evomerge serve

bench: install  ## Run the benchmarks in their quick form
	@$(BIN)/python -m benchmarks.candidate --quick
	@$(BIN)/python -m benchmarks.merge --quick

browser:  ## Find or install the browser that the dashboard's tests drive
	@bash scripts/install_browser.sh $(BIN)/python

screenshots: install browser  ## Renew docs/images from a running service: NAME=demo URL=http://127.0.0.1:8000
	@$(BIN)/python scripts/take_screenshots.py $(or $(URL),http://127.0.0.1:8000) $(or $(NAME),demo) docs/images

openapi: install  ## Write docs/openapi.json anew, after a change of the REST interface
	@$(BIN)/python -m scripts.write_openapi

lock: install  ## Resolve pyproject.toml into constraints.txt; LOCK=--upgrade takes the newest versions
	@$(BIN)/python scripts/write_constraints.py $(LOCK)

clean:  ## Remove the environment and everything that was made
	rm -rf $(VENV) evomerge-runs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
