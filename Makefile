.DEFAULT_GOAL := help
.PHONY: help demo test setup lint sanity unit integration coverage interop faults bench bench-wal soak guides docs molecule molecule-all lab-up lab-down engine clean distclean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## three hosts, from bare to a replicated cluster with verified backups
	@scripts/demo

test: ## set everything up, lint, run the walk-through on hosts of its own, run all tests
	@scripts/test

setup: ## what `make test` needs: Debian packages, .venv, collections, the hosts' image
	@scripts/setup test

lint: ## ruff, mypy, yamllint, ansible-lint, shellcheck
	@scripts/lint

sanity: ## ansible-test sanity, antsibull-docs and -changelog, the collection built and installed, the oldest ansible-core
	@scripts/sanity
	@scripts/sanity pythons
	@scripts/sanity newest
	@scripts/sanity oldest

unit: ## the tests that need nothing but Python
	@scripts/pytest tests/unit

integration: ## the tests against a local PostgreSQL server and sshd
	@scripts/pytest tests/integration

coverage: ## the lines of the engine that unit and integration tests run: 95 of 100 at least
	@scripts/coverage

interop: ## everything against stock pgBackRest, on this machine and on hosts of its own
	@scripts/interop

faults: ## what breaks lines, disks and servers on purpose, the slow ones, too
	@scripts/pytest tests/faults --ignore=tests/faults/test_soak.py

soak: ## ten minutes of load in the lab of the demo, while the repository's host dies at random
	@scripts/pytest tests/faults/test_soak.py -s

guides: ## every line of the guides typed, AWX played, the report in a browser: some twenty minutes
	@scripts/guides

docs: ## write docs/reference and the roles' README.md from specifications and tables
	@.venv/bin/python scripts/docs.py
	@.venv/bin/python scripts/role_docs.py

bench: ## how fast, in turns with stock pgBackRest, on the hosts of the demo (BENCH="--rtt 95")
	@scripts/bench $(BENCH)

bench-wal: ## how fast WAL gets there and back, in turns with stock pgBackRest, in a host of the demo
	@scripts/bench-wal $(BENCH)

molecule: ## one story on hosts of its own (SCENARIO=default LAB_SUITE=trixie; molecule/ has more)
	@scripts/molecule test --scenario-name $(or $(SCENARIO),default)

molecule-all: ## all of them, one after the other: about forty minutes
	@scripts/molecule all

lab-up: ## boot the hosts of the demo, and nothing more
	@tests/lab/lab up
	@tests/lab/lab status

lab-down: ## remove the hosts of the demo
	@tests/lab/lab down

engine: ## the host command and its libraries on this machine: make engine PREFIX=DIR
	@scripts/engine "$(PREFIX)"

clean: ## remove hosts, networks and generated files; says which caches stay
	@scripts/clean

distclean: ## remove the caches as well
	@scripts/clean caches
