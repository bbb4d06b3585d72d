# Every target does its own set-up: it installs what package-lock.json names when that is not
# what is installed, and builds when a source is newer than the last build.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

bin       := node_modules/.bin
installed := node_modules/.package-lock.json
built     := dist/.built

# An account without a home, such as nobody, has no place for npm's cache either.
npm := npm --loglevel=error --no-audit --no-fund \
         $(shell test -w "$$HOME" || echo "--cache $${TMPDIR:-/tmp}/tenantry-npm-$$(id -u)")

sources := $(shell find src codegen test extension/sql extension/upgrades extension/uninstall \
             -name node_modules -prune -o -type f \( -name '*.ts' -o -name '*.sql' \) -print \
             2>/dev/null) $(wildcard extension/build.mjs extension/*.control tsconfig.json package.json)

.PHONY: help demo rollout-demo test test-all bench build lint format install installcheck clean

help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: $(built) ## See it work on a real schema in an embedded PostgreSQL (KEEP=1 leaves it running)
	@node dist/src/cli/main.js demo $(if $(KEEP),--keep)

rollout-demo: $(built) ## See elizaOS's earlier schema isolated in steps, with the old and the new application at work
	@node dist/test/demo/rollout.js

test: $(built) ## Run every test on PostgreSQL 15 and 18 (ARGS='--project pg18 test/runtime' for a part)
	@$(bin)/vitest run $(ARGS)

test-all: export TENANTRY_TEST_ALL = 1
test-all: test ## Run every test at its full length

bench: $(built) ## Measure against the bare query and the hand-written WHERE, in one run
	@node dist/test/bench/main.js $(ARGS)

build: $(built) ## Compile to dist/ and assemble the extension's scripts

lint: $(installed) ## Check code style and types
	@$(bin)/eslint --max-warnings=-1 .
	@$(bin)/prettier --check --log-level=warn .
	@$(bin)/tsc --noEmit

format: $(installed) ## Rewrite the files in the house style
	@$(bin)/prettier --write --log-level=warn .
	@$(bin)/eslint --fix --quiet .

install: ## Install the extension's files into the PostgreSQL of pg_config (PG_CONFIG=…)
	@node extension/build.mjs
	@$(MAKE) -C extension install

installcheck: ## Try the installed extension in the running server (PGHOST, PGPORT, PGUSER …)
	@$(MAKE) -C extension installcheck

clean: ## Remove what was built
	rm -rf dist coverage .cache extension/regress/results extension/regress/regression.*
	rm -f extension/tenantry--*.sql extension/install.sql extension/uninstall.sql

# A date says little after a checkout: what is installed is compared before npm is asked.
$(installed): package-lock.json
	@node test/support/check-node.mjs
	@node test/support/check-installed.mjs || { \
	  echo 'Installing dependencies, which takes a minute …' && $(npm) ci; }
	@touch $@

$(built): $(installed) $(sources)
	@echo 'Building …'
	@node extension/build.mjs
	@$(bin)/tsc --incremental --tsBuildInfoFile dist/.tsbuildinfo
	@mkdir -p dist/extension
	@cp extension/tenantry.control extension/*.sql dist/extension/
	@chmod +x dist/src/cli/main.js
	@touch $@
