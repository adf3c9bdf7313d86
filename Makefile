# The commands of the house. `make` alone lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
UV ?= .tools/uv
export UV_PYTHON_PREFERENCE ?= only-system
export UV_PYTHON ?= $(PYTHON)
# A checkout and uv's cache are often on different file systems; copying is then what happens anyway.
export UV_LINK_MODE ?= copy
# What was compiled once is kept, whatever this machine's habit: each child of the tests would compile it anew.
export PYTHONDONTWRITEBYTECODE :=
BIN := .venv/bin

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

up: .venv/ready ## the whole product on an embedded T-Developer: runs the daily tier, shows the verdicts, keeps the UI up
	@$(BIN)/python -m sandbox.up

test: .venv/ready ## every check and every test
	@$(MAKE) --no-print-directory --jobs=2 --output-sync lint compiled-tests
	@$(BIN)/python -m pytest -n 4 --dist loadgroup --no-loadscope-reorder

compiled-tests: .venv/ready # beside the checks, by one process, instead of by each of the tests' workers at once
	@$(BIN)/python -m pytest --collect-only -qq > /dev/null || true

lint: lint-style lint-types lint-imports lint-sql ## style, types, import law, SQL

lint-style: .venv/ready
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

lint-types: .venv/ready
	@$(BIN)/mypy

lint-imports: .venv/ready
	@$(BIN)/lint-imports

lint-sql: .venv/ready
	@$(BIN)/sqlfluff lint --disable-progress-bar include/sql

test-deps: ## what Debian must provide for some tests (needs root)
	@[ -e /etc/postgresql-common/createcluster.conf ] || { mkdir -p /etc/postgresql-common && \
	  echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf; }
	@apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
	  chromium docker-compose logrotate openssh-client openssh-server pebble postgresql postgresql-contrib redis-server ripgrep zstd

faults: .venv/ready ## all moments of all faults (long)
	@$(BIN)/python -m pytest -m faults -n 4 --dist loadgroup --no-loadscope-reorder

bench: .venv/ready ## speed, as ratios
	@$(BIN)/python -m benchmarks

break: .venv/ready ## break the running sandbox: make break WHAT=stall_evolution
	@$(BIN)/python -m sandbox break $(WHAT)

mend: .venv/ready ## undo every break
	@$(BIN)/python -m sandbox mend

screenshots: .venv/ready ## take the README's picture (needs chromium)
	@$(BIN)/python -m sandbox.screenshots

compose-env: .venv/ready ## secrets and settings for docker-compose
	@$(BIN)/python -m sandbox.compose_env

wheel: .venv/ready ## build the wheel into dist/
	@$(UV) build --wheel -q

clean: ## remove what the commands made
	@rm -rf .venv .tools .run dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.tools/uv:
	@$(PYTHON) .ci/get_uv.py .tools

.venv/ready: pyproject.toml uv.lock | $(if $(filter .tools/uv,$(UV)),.tools/uv)
	@$(UV) sync --locked -q
	@touch $@

.PHONY: help up test lint lint-style lint-types lint-imports lint-sql compiled-tests test-deps faults bench break mend screenshots compose-env wheel clean
