# Darkroom's verbs.  `make` alone lists them.

PYTHON ?= python3
PYTEST_ARGS ?=

# of `make chaos`; without a SEED it draws one, and says which
MINUTES ?= 15
JOBS ?= 5000
SEED ?=
REPORT ?= chaos-report.json

# of `make fuzz`
CASES ?= 20000

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo vendors up test test-fast chaos fuzz check compare format clean

help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv and install Darkroom into it, at the versions of constraints.txt

demo: $(INSTALLED) ## run eight prompts through the whole stack and write a contact sheet to demo-output/
	@$(BIN)/python -m cli.demo

vendors: $(INSTALLED) ## run the eight prompts at each of the four vendors, simulated here, and compare the bills
	@$(BIN)/python -m cli.demo_vendors

up: $(INSTALLED) ## run the whole stack in the foreground; Ctrl-C drains and stops it
	@$(BIN)/darkroom up

test: $(INSTALLED) ## run the whole suite, acceptance included (PYTEST_ARGS="-k retry -x")
	@# Hundreds of processes are started: what they import is compiled once, whatever the machine is set to.
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 3 --dist loadgroup $(PYTEST_ARGS)

test-fast: $(INSTALLED) ## run the suite without the acceptance tests
	$(BIN)/pytest -n 2 -m "not (acceptance or gpu or live or benchmark)" $(PYTEST_ARGS)

chaos: $(INSTALLED) ## break everything for MINUTES=15 while JOBS=5000 run, then compare the books (SEED=7 again)
	$(BIN)/pytest -n 0 tests/acceptance/chaos --minutes $(MINUTES) --jobs $(JOBS) $(if $(SEED),--seed $(SEED)) \
		--report $(REPORT) $(PYTEST_ARGS)

fuzz: $(INSTALLED) ## send CASES=20000 requests made from the OpenAPI document, fitting and broken ones
	$(BIN)/pytest -n 0 -s tests/api/test_openapi.py --cases $(CASES) $(PYTEST_ARGS)

check: $(INSTALLED) ## format, lint, types, architecture and migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest --quiet $(wildcard tests/test_*.py tests/migrations)

compare: $(INSTALLED) ## measure Darkroom beside Celery, Procrastinate, Dramatiq and RQ (RUNS=5 JOBS=5000)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[peers]'
	$(BIN)/python -m benchmarks.compare --runs $(or $(RUNS),5) --jobs $(or $(JOBS),5000)

format: $(INSTALLED) ## format the code and mend what the linter can mend by itself
	$(BIN)/ruff check --fix --quiet --exit-zero .
	$(BIN)/ruff format .

clean: ## remove .venv and every cache; keeps demo-output/, .env and all data
	rm -rf $(VENV) *.egg-info build dist .coverage .mypy_cache .pytest_cache .ruff_cache
	find . -type d -name __pycache__ -prune -exec rm -rf {} +

# The stamp is younger than what it was installed from, or it is made anew.  A .venv that is already
# there is kept, whatever Python it was made with: `make clean` first to change it.
$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/pip || { $(PYTHON) -c '$(REQUIRE_PYTHON)' && $(PYTHON) -m venv $(VENV); }
	@echo "Installing Darkroom into $(VENV) (a minute, the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps blackforest
	@touch $@

define REQUIRE_PYTHON
import sys; sys.exit(sys.version_info < (3, 11) and "Darkroom needs Python 3.11 or newer, and $(PYTHON) is " \
+ sys.version.split()[0] + ": name another one with `make PYTHON=python3.12`.")
endef
