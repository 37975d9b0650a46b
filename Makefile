# Needs Python 3.12 or 3.13 and make; everything else is installed into .venv on first use.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench
FIND_PYTHON = for p in python3.12 python3.13 python3 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' 2>/dev/null && { echo "$$p"; break; }; done

.PHONY: help install demo test test-fast test-random check bench lint types imports clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## create .venv and install the project, if not done yet

$(STAMP): pyproject.toml constraints.txt
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then echo "rl-intraday needs Python 3.12 or 3.13, none found on PATH" >&2; exit 2; fi; \
	echo "Creating $(VENV) with $$("$$python" --version) and installing rl-intraday (a few minutes, once) ..."; \
	"$$python" -m venv $(VENV) && $(BIN)/python -m pip install --quiet --upgrade pip \
	&& $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]' && touch $@

demo: $(STAMP) ## the whole path on synthetic data: catalog, training, backtest, report
	@echo "Running the demo (no key, no network, under three minutes) ..."
	@$(BIN)/rl-intraday demo

test: $(STAMP) ## every test
	@echo "Running every test ..."
	@$(BIN)/python -m pytest -n auto --dist loadgroup

test-fast: $(STAMP) ## only the fast tests
	@echo "Running the fast tests ..."
	@$(BIN)/python -m pytest -n auto --dist loadgroup -m "not slow"

test-random: $(STAMP) ## the property tests with new random examples, to find what the fixed ones do not
	@echo "Running the property tests with new random examples ..."
	@$(BIN)/python -m pytest -n auto --dist loadgroup -m hypothesis --hypothesis-profile random

lint: $(STAMP)
	@echo "Checking style (ruff) ..."
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(STAMP)
	@echo "Checking types (mypy) ..."
	@$(BIN)/mypy

imports: $(STAMP)
	@echo "Checking import rules (import-linter) ..."
	@$(BIN)/lint-imports

check: lint types imports test ## style, types, import rules and every test, as CI does

$(BENCH_STAMP): $(STAMP)
	@echo "Installing the packages that the benchmarks compare with ..."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]' && touch $@

bench: $(BENCH_STAMP) ## every benchmark, as one JSON object each
	@echo "Running the benchmarks ..."
	@$(BIN)/python -m benchmarks all --json
