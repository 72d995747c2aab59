# The commands of a developer's day. Each sets up .venv by itself; PYTHON=... picks another interpreter than
# the newest that runs, VENV=... another folder, so `make check PYTHON=python3.13 VENV=.venv-3.13` tries the other stack.

VENV ?= .venv
PYTHON ?=
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

# Two workers, because two cores are what CI has; a module stays together, because its tests share their hosts.
WORKERS ?= 2
SPREAD := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# What needs no Docker engine and starts no Ansible: seconds, not minutes.
FAST := tests/unit tests/packaging $(wildcard tests/test_*.py)

# What can differ between Python 3.11 with its ansible-core and newer ones.
STACK := $(FAST) tests/ansible tests/apart tests/stream tests/hosts/test_loop.py tests/hosts/test_kinds.py

.PHONY: help check test stack demo bench bed lint clean
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' $(MAKEFILE_LIST)

check: lint  ## the fast half: style, types and unit tests; no Docker, no Ansible
	$(PYTEST) -q $(SPREAD) $(FAST)

test: lint bed  ## everything, on real hosts too; installs and starts a Docker engine where it may
	$(PYTEST) $(SPREAD)

stack: lint bed  ## what another Python and its ansible-core can break: PYTHON=python3.13 VENV=.venv-3.13
	$(PYTEST) $(SPREAD) $(STACK)

demo: $(VENV)/installed  ## the main job on three local hosts in .demo/, without root or Docker
	$(BIN)/reconciler demo

bench: bed  ## what a sweep costs, beside the tools that people use today; forty minutes
	$(BIN)/python -m tests.bench --plot .cache/bench/performance.svg

# What real hosts need: an engine, and the image they are made of.
bed: $(VENV)/installed-test
	$(BIN)/python -m tests.bed.engine
	$(BIN)/python -m tests.bed.image

lint: $(VENV)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:  ## remove what these commands made; a Docker engine that was started stays up
	rm -rf $(VENV) .demo .cache build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# Made again whenever the dependencies or their pins change.
$(VENV)/installed: pyproject.toml constraints.txt
	@PYTHON="$(PYTHON)" .ci/venv $(VENV) .
	@touch $@

$(VENV)/installed-test: pyproject.toml constraints.txt
	@PYTHON="$(PYTHON)" .ci/venv $(VENV) '.[test]'
	@touch $@ $(VENV)/installed
