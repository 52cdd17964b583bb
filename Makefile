# Two commands matter: `make demo` and `make test`. Each prepares .venv by itself; options go through ARGS.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
SIZES  ?= small
comma  := ,
STAMP  := $(VENV)/.ready
# The stamp carries the lock's hash: a second `make` does nothing, a changed lock rebuilds.
LOCKED := $(shell cat requirements/run.lock requirements/test.lock pyproject.toml 2>/dev/null | sha256sum | cut -c1-16)

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage lint bench lock clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)-$(LOCKED) $(VENV)/.catalogues ## prepare .venv from the hashed lock

$(STAMP)-$(LOCKED): requirements/run.lock requirements/test.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "Mwolo needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Preparing $(VENV) (about a minute, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check "uv>=0.9" 2>/dev/null || true
	@if [ -x $(BIN)/uv ]; then \
	  VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements/test.lock; \
	else \
	  $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.lock; \
	fi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f $(STAMP)-* && touch $@

# Of their own, because words change more often than the lock.
$(VENV)/.catalogues: $(wildcard locales/*/LC_MESSAGES/*.po) $(STAMP)-$(LOCKED)
	@$(BIN)/python -m locales.build
	@touch $@

demo: setup ## everything on one machine: make demo ARGS="--port 8123"
	@$(BIN)/mwolo demo $(ARGS)

test: setup ## everything this machine can prove; the last lines say with which real parts
	@$(BIN)/python -m tests.run $(ARGS)

coverage: setup ## the tests that run in this process, with the lines and branches they leave out
	@$(BIN)/python -m pytest -q --ignore=tests/processes --cov --cov-report=term:skip-covered $(ARGS)

lint: setup ## style, types, walls
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: setup ## every benchmark in a few minutes; SIZES=full: as docs/benchmarks.md has them, an hour or two
	@$(BIN)/python -m benchmarks.ussd_turn $(if $(filter full,$(SIZES)),,--seconds 2 --rounds 3) $(ARGS)
	@$(BIN)/python -m benchmarks.papers $(if $(filter full,$(SIZES)),,--rounds 3 --seconds 0.3)
	@$(BIN)/python -m benchmarks.billing_run $(if $(filter full,$(SIZES)),--contracts 100000 --sent 10000,--contracts 4000 --sent 500)
	@$(BIN)/python -m benchmarks.sweep --invoices $(if $(filter full,$(SIZES)),10000$(comma)100000$(comma)1000000,10000$(comma)50000)
	@$(BIN)/python -m tests.year $(if $(filter full,$(SIZES)),,--customers 60 --days 120)

lock: ## write the hashed lock files anew (names no host)
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet pyproject.toml -o requirements/run.lock
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --extra test -c requirements/run.lock pyproject.toml requirements/build.in -o requirements/test.lock

clean: ## remove the environment and the demo's data
	@rm -rf $(VENV) .demo
