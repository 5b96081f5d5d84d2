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

# The database server of the tests: the system's MariaDB, or `make test SERVER=mysql` or SERVER=mariadb-11.8.
SERVER ?= mariadb

# What makes the example watchable: a whole life of a lead in a minute or two.
EXAMPLE := RINGBACK_DATABASE_URL='$(DATABASE_URL)' RINGBACK_PROVIDER=simulator \
	RINGBACK_SIMULATOR_RING_SECONDS=0.7 RINGBACK_SIMULATOR_TALK_SECONDS=2 RINGBACK_SIMULATOR_CALLBACK_MINUTES=0.5 \
	RINGBACK_DISPATCH_INTERVAL=0.5 RINGBACK_FOLLOW_INTERVAL=0.5 RINGBACK_POLL_EVERY=1 RINGBACK_UPKEEP_INTERVAL=2

# Says what a long step does while it does it. What is installed was resolved once and is pinned with its hashes:
# --no-deps has pip take it as it stands, so that no release of anybody's changes what is installed.
STEP := $(PYTHON) deploy/steps.py
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
LOCKED := install --progress-bar off --no-compile --no-deps --require-hashes
APT := DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -y --no-install-recommends

# Hundreds of processes start in a test run; what each would compile again costs more than what it tests.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run reset test test-more test-rules test-faults test-install lint bench faults busy \
	mutants screenshots constraints build clean mariadb chromium faketime asterisk pbx

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(VENV)/.run ## Import the example leads and watch them being called by the simulator; dashboard on port 8000
	@$(BIN)/python -c 'import socket; socket.create_server(("127.0.0.1", $(PORT)))' 2>/dev/null || \
		{ echo "Port $(PORT) cannot be used (is the example running already?); choose another: make run PORT=8001" >&2; exit 1; }
	@mkdir -p var
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

ifeq ($(SERVER),mariadb)
test: $(VENV)/.dev mariadb chromium faketime pbx ## Run every test, on SQLite, on a private MariaDB and in a browser (SERVER=mysql|mariadb-11.8)
else
test: export RINGBACK_TEST_SERVER := $(SERVER)
test: export RINGBACK_TEST_EVERY_ENGINE := 1
test: $(VENV)/.dev chromium # What asks a database server, on that one
	@[ -n "$$RINGBACK_TEST_MYSQL_URL" ] || $(BIN)/python -m tests.servers $(SERVER)
endif
ifneq ($(ARGS),)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)
else
	@echo "Two halves run side by side; each is shown when it is over, the first after some minutes ..."
	@$(MAKE) --no-print-directory -j2 --output-sync=target test-rules test-faults
endif

test-rules: # Everything but the faults, which keep real deadlines and so come first
	nice -n 5 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not faults and not install and not asterisk"

test-faults: # Real processes that are killed and frozen; mostly they wait, so there are more workers than cores
	$(BIN)/python -m pytest -o cache_dir=.pytest_cache/faults -n $$(( 2 * $(CORES) + 1 )) --dist worksteal -m faults

test-install: $(VENV)/.dev ## Install from the registry as a newcomer does, with each Python and pip at hand (minutes)
	$(BIN)/python -m pytest -n $(CORES) --dist worksteal -m install $(ARGS)

test-more: $(VENV)/.dev mariadb chromium ## Run all but the faults with twenty times the examples, each on every engine
	RINGBACK_TEST_EXAMPLES=20 RINGBACK_TEST_EVERY_ENGINE=1 \
		$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not faults and not install and not asterisk" $(ARGS)

lint: $(VENV)/.dev ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.dev mariadb ## Measure speed as ratios, on a private MariaDB (QUICK=1: smaller sizes)
	$(BIN)/python -m benchmarks.run $(if $(QUICK),--quick) $(ARGS)

faults: $(VENV)/.dev mariadb ## Kill and freeze real daemons a thousand times and compare ledger and tables
	$(BIN)/python -m tests.faults.long_run $(ARGS)

asterisk: $(VENV)/.dev mariadb ## Call over a real Asterisk 22 with SIPp as the people, crash and restart it (fetched into var/, 20 MB)
	$(BIN)/python -m tests.asterisk.pbx
	$(BIN)/python -m pytest -n $(CORES) -m "asterisk or not asterisk" tests/asterisk $(ARGS)

busy: $(VENV)/.dev mariadb chromium ## Run the tests five times beside four spinners and a compiler (ARGS="--times 1 COMMAND")
	$(BIN)/python -m tests.busy $(ARGS)

mutants: $(VENV)/.dev mariadb ## Break each guard of the code once and see that a test notices (ARGS=WORD: some of them)
	$(BIN)/python -m tests.mutants $(ARGS)

screenshots: $(VENV)/.dev chromium ## Take the README's pictures anew, from the running example
	$(BIN)/python docs/screenshots.py

build: $(VENV)/.dev ## Build wheel and sdist into dist/, and say how they are installed
	@rm -rf build dist
	@$(STEP) "Building the wheel and the source archive" -- $(BIN)/python -m build --no-isolation
	@for built in dist/*; do echo "  $$built"; done
	@echo "Install it elsewhere, with its dashboard: pip install '$$(echo $(CURDIR)/dist/ringback-*.whl)[web]'"

# Both lists are resolved for all Pythons at once, with the extras kept. The second holds only what the first has not,
# so that they cannot disagree. Pins stay as they are unless ARGS=--upgrade, or ARGS="--upgrade-package NAME".
RESOLVE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links $(ARGS) setup.cfg
MADE_BY := \# Made by `make constraints`. Install it with --no-deps --require-hashes: nothing is to be resolved again.

constraints: $(VENV)/.dev ## Pin anew what run and tests install, with hashes
	$(PIP) install -q 'uv>=0.13,<1'
	$(RESOLVE) --extra web --extra asterisk -o constraints.txt >/dev/null
	sed -i '1i $(MADE_BY)' constraints.txt
	$(RESOLVE) --all-extras -c constraints.txt -o constraints-dev.txt >/dev/null \
		$$(sed -n 's/^\([A-Za-z0-9._-]*\).*==.*/--no-emit-package \1/p' constraints.txt)
	sed -i -e '1i $(MADE_BY)\n-r constraints.txt' -e '/^# The following packages were excluded/,$$d' constraints-dev.txt

clean: ## Delete what was built
	rm -rf build dist *.egg-info scheduler.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(PYTHON) -c 'import virtualenv' 2>/dev/null || \
		$(MAKE) --no-print-directory venv-support
	@$(STEP) "Making a virtual environment in $(VENV)" -- sh -c \
		'$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); $(PYTHON) -m virtualenv $(VENV); } || { rm -rf $(VENV); exit 1; }'

.PHONY: venv-support
venv-support: # Debian keeps venv in a package of its own
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		$(STEP) "Asking apt what there is" -- apt-get update && \
		$(STEP) "Installing python3-venv by apt" -- env $(APT) install python3-venv; \
	else echo "Python's venv module is missing; on Debian: apt-get install python3-venv" >&2; exit 1; fi

# The package is built by the setuptools that is pinned, not by whichever is newest.
$(VENV)/.run: $(VENV)/bin/python setup.cfg constraints.txt
	@$(STEP) "Installing what Ringback needs" --lock $(VENV) constraints.txt -- $(PIP) $(LOCKED) -r constraints.txt
	@awk '/^setuptools==/ { found = 1 } found { print } found && !/\\$$/ { exit }' constraints-dev.txt > $(VENV)/build.txt
	@$(STEP) "Installing Ringback itself" -- sh -c '$(PIP) $(LOCKED) -r $(VENV)/build.txt && \
		$(PIP) install --no-deps --no-index --no-build-isolation -e . && $(PIP) check'
	@touch $@

$(VENV)/.dev: $(VENV)/.run constraints-dev.txt
	@$(STEP) "Installing what the tests need" --lock $(VENV) constraints-dev.txt -- $(PIP) $(LOCKED) -r constraints-dev.txt
	@$(STEP) "Comparing what is installed with what it asks for" -- $(PIP) check
	@touch $@

mariadb:
	@if [ -n "$$RINGBACK_TEST_MYSQL_URL" ] || PATH="$$PATH:/usr/sbin" command -v mariadbd >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		$(STEP) "Asking apt what there is" -- apt-get update && \
		$(STEP) "Installing mariadb-server by apt (the tests start a private server of their own)" -- \
			env $(APT) install mariadb-server; \
	else echo "MariaDB is not installed, so its tests are skipped; on Debian: apt-get install mariadb-server" >&2; fi

pbx: $(VENV)/.dev
	@$(BIN)/python -m tests.asterisk.pbx || \
		echo "so the calls over a real Asterisk are skipped" >&2

faketime:
	@if dpkg -s libfaketime >/dev/null 2>&1 || ! command -v apt-get >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ]; then \
		$(STEP) "Asking apt what there is" -- apt-get update && \
		$(STEP) "Installing libfaketime by apt (a test has a host whose clock is wrong)" -- \
			env $(APT) install libfaketime; \
	else echo "libfaketime is not installed, so one test is skipped; on Debian: apt-get install libfaketime" >&2; fi

chromium:
	@if PATH="$$PATH:/usr/sbin" command -v chromium chromium-browser google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		$(STEP) "Asking apt what there is" -- apt-get update && \
		$(STEP) "Installing chromium by apt (the tests of the pages drive it)" -- \
			env $(APT) install chromium fonts-dejavu-core; \
	else echo "Chromium is not installed, so the tests in a browser are skipped; on Debian: apt-get install chromium" >&2; fi
