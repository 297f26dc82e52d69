# dealbook: every verb a person needs. `make` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Fast, quiet and the same everywhere: no version check of pip itself, no prompt.
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input
# How many tests run at once. A file's tests stay together and in order: they share what is slow to make.
WORKERS ?= 2
# How much of the long campaigns `make soak` runs: 0.1 is a tenth.
PART ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup run test soak lint format screenshots docs bench lock clean

help: ## list these verbs
	@echo "dealbook: business performance for property agencies"; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.run ## build .venv from requirements.lock

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dealbook needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Say which one to use: make PYTHON=python3.12 setup"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed. On Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Setting up .venv from requirements.lock (about a minute, once) ..."
	@$(PIP) install --quiet --progress-bar off --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: requirements-test.lock $(VENV)/.run
	@echo "Adding what the tests need from requirements-test.lock ..."
	@$(PIP) install --quiet --progress-bar off --require-hashes -r requirements-test.lock
	@touch $@

run: setup ## set everything up, make a sample, import it, refresh, and serve it all
	@$(BIN)/dealbook up $(ARGS)

test: lint ## check the style and types, then run the whole suite (TESTS=path for a part, STORE=postgresql or both)
	@$(BIN)/python -m tests.support.install_browser
	@DEALBOOK_TEST_STORE=$(STORE) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

soak: $(VENV)/.test ## try the guarantees for hours, docs/soak.md (TESTS=path for one, PART=0.1 for a tenth, DEALBOOK_SEED=n replays)
	@DEALBOOK_SOAK=$(PART) $(BIN)/python -m pytest -s -m soak $(TESTS)

lint: $(VENV)/.test ## ruff, mypy (strict), sqlfluff
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/sqlfluff lint --disable-progress-bar --nocolor -q dbt_project

format: $(VENV)/.test ## put the code into its form
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

screenshots: $(VENV)/.test ## make the README's pictures again
	@DEALBOOK_WRITE_SCREENSHOTS=1 $(BIN)/python -m pytest -q tests/browser

docs: setup ## build the dbt docs site of the current warehouse
	@$(BIN)/dealbook docs

bench: setup ## measure refreshes and stage moves, each beside its yardstick (tables and plot in var/bench)
	@$(BIN)/dealbook bench $(ARGS)

lock: $(VENV)/.test ## pin requirements*.in again (needs uv: pip install uv)
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras requirements.in -o requirements.lock
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-strip-extras requirements-test.in -c requirements.lock -o requirements-test.lock

clean: ## remove .venv and caches; var/ (your data) stays
	@rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
