# `make demo` and `make test` set up everything they need in .venv.
PYTHON ?= python3
BIN := .venv/bin
CLIENTS := $(patsubst tests/clients/%.txt,.clients/%/installed,$(wildcard tests/clients/*.txt))
CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ...")'

.PHONY: demo test check all unit lowest clients lint style types format bench soak long clean
.DEFAULT_GOAL := help

# Tests start hundreds of processes: the code is compiled once, not by each of them.
unexport PYTHONDONTWRITEBYTECODE

# They have files synced thousands of times: in memory, where 8 GB of it are free, none waits for a disk.
MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 8000000 { print "/dev/shm" }')
test check lowest: export PYTEST_DEBUG_TEMPROOT ?= $(MEMORY)

help:
	@echo "make demo     the main job, offline on the simulator"
	@echo "make check    lint, types and the tests that start no process and are done at once"
	@echo "make test     lint, types and all tests"
	@echo "make bench    all benchmarks, each a ratio within one run"
	@echo "make clients  the public clients, each in an environment of its own, that some tests need"
	@echo "make soak     24 simulated hours of collecting under a full plan of faults, and their report"
	@echo "make long     longer runs of what the tests do briefly"

.venv/installed: pyproject.toml
	$(CHECK_PYTHON)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

demo: .venv/installed
	$(BIN)/scrapy demo

# The types are checked beside the tests: one process does that, for half a minute where it has no cache.
test: .venv/installed style
	$(MAKE) --no-print-directory --jobs 2 types all

check: .venv/installed style
	$(MAKE) --no-print-directory --jobs 2 types unit

# Four workers also on two processors: whole runs wait more than they work.
all: .venv/installed
	$(BIN)/pytest -n 4 --dist loadscope --no-loadscope-reorder --cov --cov-report=term --cov-fail-under=85 --durations=20

# Three workers for two processors: these tests seldom wait, and each worker has all to import.
unit: .venv/installed
	HYPOTHESIS_PROFILE=dev $(BIN)/pytest -m unit -n 3 --dist loadscope --no-loadscope-reorder

# The lowest versions that pyproject.toml allows.
lowest:
	$(PYTHON) -m venv .lowest
	.lowest/bin/python -m tests.package.lowest_versions > .lowest/constraints.txt
	.lowest/bin/pip install --quiet --editable '.[test]' --constraint .lowest/constraints.txt
	.lowest/bin/pytest -m unit -n 2

lint: style types

style: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/installed .clients/cryptofeed/installed
	for name in $$($(BIN)/python -m benchmarks | cut -d' ' -f1); do $(BIN)/python -m benchmarks $$name --json || true; done

# 24 simulated hours under faults; SOAK_HOURS, SOAK_KILLS, SOAK_SPEED, SOAK_ASSETS, SOAK_DIR change it.
soak: .venv/installed
	$(BIN)/pytest -m soak -s tests/e2e/test_soak.py

long: .venv/installed
	$(BIN)/pytest -m soak --deselect tests/e2e/test_soak.py

clients: $(CLIENTS)

# Each by itself: they want other versions of what is installed for us. Little of each is imported, so only that
# is compiled.
vpath %.txt tests/clients benchmarks
.clients/%/installed: %.txt | .venv/installed
	$(CHECK_PYTHON)
	rm -rf $(@D)
	$(PYTHON) -m venv --without-pip $(@D)
	$(BIN)/pip --python $(@D) install --quiet --no-compile --requirement $<
	cp $< $@

clean:
	rm -rf .venv .clients .lowest build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
