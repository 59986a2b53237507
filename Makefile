# Two commands matter: `make run` and `make test`. `make help` lists the rest.

PORT ?= 8080
SPEED ?= 1
STATE ?= var/demo
PYTHON ?= $(shell sh .ci/find-python 3.11 3.12 3.13)
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

SOURCES := pyproject.toml setup.py $(wildcard ext/*.pyx ext/*.pxd ext/*.h)

.PHONY: help run test test-long check bench install install-dev system clean

help:
	@echo "make run        start the demonstration on http://127.0.0.1:$(PORT) (PORT=, SPEED=, STATE=)"
	@echo "make test       run all tests (under 10 minutes)"
	@echo "make test-long  run soaks, many seeds and long backtests; figures go into build/"
	@echo "make check      ruff, mypy, cython-lint, import contracts, documentation"
	@echo "make bench      measure against peers; prints a table, writes build/bench.json"
	@echo "make clean      delete the virtual environment, builds and the demonstration's state"

run: $(VENV)/.installed
	@exec $(BIN)/ems demo --port $(PORT) --speed $(SPEED) --state $(STATE)

test: $(VENV)/.installed-dev system
	$(BIN)/pytest -m "not long" -n 3 --dist loadfile

test-long: $(VENV)/.installed-dev system
	$(BIN)/pytest -m "long or hypothesis" --hypothesis-profile long --timeout 3600 \
		--durations 20 --junitxml build/test-long.xml
	@echo "Figures: build/test-long.xml (times), build/nobody-left-cold.json (rooms and feeders)"

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint ext
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/docs

bench: $(VENV)/.installed-dev
	$(BIN)/python tests/bench/run.py

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

$(BIN)/python:
	@sh .ci/need-tools "$(PYTHON)"
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=24"

$(VENV)/.installed: $(SOURCES) | $(BIN)/python
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(SOURCES) | $(BIN)/python
	$(BIN)/pip install --quiet --editable ".[dev]"
	@touch $@ $(VENV)/.installed

# What the tests need beside Python packages.
system:
	@sh .ci/system-packages

clean:
	rm -rf $(VENV) build var *.egg-info ext/*.so
