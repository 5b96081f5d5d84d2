# Ringback. `make help` lists what can be done; `make run` shows it working.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The tests run in two halves side by side. One more worker than there are cores for the half that may wait.
CORES := $(shell nproc 2>/dev/null || echo 2)
WORKERS ?= $(shell echo $$(( $(CORES) + 1 )))

# Where `make run` works: a file under var/, unless told otherwise:
#   make run DATABASE_URL=mysql+pymysql://user:password@host/database
DATABASE_URL ?= sqlite:///var/ringback.db
PORT ?= 8000
ARGS ?=

# What makes the example watchable: a whole life of a lead in a minute or two.
EXAMPLE := RINGBACK_DATABASE_URL='$(DATABASE_URL)' RINGBACK_PROVIDER=simulator \
	RINGBACK_SIMULATOR_RING_SECONDS=0.7 RINGBACK_SIMULATOR_TALK_SECONDS=2 RINGBACK_SIMULATOR_CALLBACK_MINUTES=0.5 \
	RINGBACK_DISPATCH_INTERVAL=0.5 RINGBACK_FOLLOW_INTERVAL=0.5 RINGBACK_POLL_EVERY=1 RINGBACK_UPKEEP_INTERVAL=2

OWN_CACHE := -o cache_dir=.pytest_cache/faults
FAILED_AGAIN := $(BIN)/python -m pytest $(OWN_CACHE) -n 1 -m faults --last-failed --last-failed-no-failures none

.DEFAULT_GOAL := help
.PHONY: help run reset test test-rules test-faults lint bench faults screenshots constraints build clean mariadb chromium

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(VENV)/.run ## Import the example leads and watch them being called by the simulator; dashboard on port 8000
	@$(BIN)/python -c 'import socket; socket.create_server(("127.0.0.1", $(PORT)))' 2>/dev/null || \
		{ echo "Port $(PORT) cannot be used (is the example running already?); choose another: make run PORT=8001" >&2; exit 1; }
	@$(EXAMPLE) $(BIN)/ringback db upgrade
	@$(EXAMPLE) $(BIN)/ringback accounts show acc-test-001 >/dev/null 2>&1 || $(EXAMPLE) $(BIN)/ringback accounts create \
		--code acc-test-001 --billing-type minutes --balance 2000 'Example account'
	@$(EXAMPLE) $(BIN)/ringback campaigns show example >/dev/null 2>&1 || $(EXAMPLE) $(BIN)/ringback campaigns create \
		--code example --account acc-test-001 --settings examples/call_settings.json \
		'Example: any hour, retries within seconds'
	@$(EXAMPLE) $(BIN)/ringback leads import examples/leads.csv --campaign example --rejects var/leads.rejects.csv
	@$(EXAMPLE) $(BIN)/ringback run --with-web --port $(PORT) $(ARGS)

reset: ## Forget what `make run` did (deletes var/)
	rm -rf var

test: $(VENV)/.dev mariadb chromium ## Run every test, on SQLite, on a private MariaDB and in a browser
ifneq ($(ARGS),)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)
else
	@echo "Two halves run side by side; each is shown when it is over, the first after some minutes ..."
	@$(MAKE) --no-print-directory -j2 --output-sync=target test-rules test-faults
endif

test-rules: # Everything but the faults, which keep real deadlines and so come first
	nice -n 5 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not faults"

test-faults: # Real processes that are killed and frozen keep real deadlines, which a busy machine may miss: what failed
	@# gets up to two more runs by itself, and must pass one. The cache is its own, because the other half writes one too.
	$(BIN)/python -m pytest $(OWN_CACHE) -n $(CORES) --dist worksteal -m faults || $(FAILED_AGAIN) || $(FAILED_AGAIN)

lint: $(VENV)/.dev ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.dev mariadb ## Measure speed as ratios, on a private MariaDB (QUICK=1: smaller sizes)
	$(BIN)/python -m benchmarks.run $(if $(QUICK),--quick) $(ARGS)

faults: $(VENV)/.dev mariadb ## Kill and freeze real daemons a thousand times and compare ledger and tables
	$(BIN)/python -m tests.faults.long_run $(ARGS)

screenshots: $(VENV)/.dev chromium ## Take the README's pictures anew, from the running example
	$(BIN)/python docs/screenshots.py

build: $(VENV)/.dev ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

constraints: $(VENV)/.dev ## Pin the versions that run and tests install
	$(BIN)/pip install pip-tools
	$(BIN)/pip-compile -q --strip-extras --no-emit-index-url --no-emit-find-links --generate-hashes --allow-unsafe \
		--extra web --extra asterisk -o constraints.txt setup.cfg
	$(BIN)/pip-compile -q --strip-extras --no-emit-index-url --no-emit-find-links --generate-hashes --allow-unsafe \
		--extra test --extra lint -o constraints-dev.txt setup.cfg

clean: ## Delete what was built
	rm -rf build dist *.egg-info scheduler.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; set PYTHON=..." >&2; exit 1; }
	@echo "Making a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV); $(MAKE) --no-print-directory venv-support && \
		$(PYTHON) -m venv $(VENV); } || { rm -rf $(VENV); $(PYTHON) -m pip install -q --user virtualenv && \
		$(PYTHON) -m virtualenv -q $(VENV); }

.PHONY: venv-support
venv-support: # Debian keeps venv in a package of its own
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; \
	else echo "Python's venv module is missing; on Debian: apt-get install python3-venv" >&2; exit 1; fi

$(VENV)/.run: $(VENV)/bin/python setup.cfg constraints.txt
	@echo "Installing what Ringback needs ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r constraints.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run constraints-dev.txt
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r constraints-dev.txt
	@touch $@

mariadb:
	@if [ -n "$$RINGBACK_TEST_MYSQL_URL" ] || PATH="$$PATH:/usr/sbin" command -v mariadbd >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing mariadb-server (the tests start a private server of their own) ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends mariadb-server >/dev/null; \
	else echo "MariaDB is not installed, so its tests are skipped; on Debian: apt-get install mariadb-server" >&2; fi

chromium:
	@if PATH="$$PATH:/usr/sbin" command -v chromium chromium-browser google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing chromium (the tests of the pages drive it) ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	else echo "Chromium is not installed, so the tests in a browser are skipped; on Debian: apt-get install chromium" >&2; fi
