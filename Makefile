# Everything a checkout needs: Python 3.11 or newer, git and make. Each target sets up what it lacks in .venv; stamp
# files remember what is installed, so a second run goes straight to the work.

VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input
SYNC    = $(PIP) install --require-hashes -r
LOCKER := $(VENV)/locker

# The tests start the program many times: one that may not keep its bytecode compiles all of itself at each start.
test bench soak: export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test check bench soak faults lock clean

demo: $(VENV)/.runtime
	@$(BIN)/quarterdeck demo

test: $(VENV)/.test
	@$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

check: $(VENV)/.check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.house.lengths

bench: $(VENV)/.bench
	@$(BIN)/python -m tests.bench $(ARGS)

soak: $(VENV)/.test
	@$(BIN)/python -m pytest -m soak --timeout 0 tests/soak $(ARGS)

faults: $(VENV)/.test
	@$(BIN)/python -m tests.house.faults

# The first Python of at least 3.11 on the path; PYTHON=/path/to/python chooses another.
$(VENV)/.made:
	@for python in "$(PYTHON)" python3 python3.13 python3.12 python3.11; do \
	  if [ -n "$$python" ] && "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "making $(VENV) with $$("$$python" --version)" && "$$python" -m venv --clear $(VENV) && touch $@ && exit 0; \
	    echo "$$python could not make $(VENV): is its venv module installed (python3-venv on Debian)?" >&2; exit 1; \
	  fi; \
	done; echo "Quarterdeck needs Python 3.11 or newer on the path, or make PYTHON=/path/to/python" >&2; exit 1

# Without isolation: the build backend comes from the lock too, so nothing is installed that has no hash.
$(VENV)/.runtime: requirements.lock pyproject.toml $(VENV)/.made
	@echo "installing what quarterdeck runs on (once; a minute or two)"
	@$(SYNC) requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.test: requirements-test.lock $(VENV)/.runtime
	@echo "installing what the tests need (once)"
	@$(SYNC) requirements-test.lock
	@touch $@

$(VENV)/.check: requirements-check.lock $(VENV)/.test
	@echo "installing what the checks need (once)"
	@$(SYNC) requirements-check.lock
	@touch $@

$(VENV)/.bench: requirements-bench.lock $(VENV)/.runtime
	@echo "installing what the benchmarks need (once)"
	@$(SYNC) requirements-bench.lock
	@touch $@

# Writes the locks again from pyproject.toml, keeping the pins they have; make lock ARGS=--upgrade moves them. Run it with
# Python 3.11. The options keep every index address and path of the machine out of the files.
COMPILE = $(LOCKER)/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
	  --no-emit-find-links --no-emit-trusted-host --no-emit-options $(ARGS) pyproject.toml --extra build
lock: export CUSTOM_COMPILE_COMMAND = make lock
lock: $(LOCKER)/.made
	@$(COMPILE) -o requirements.lock
	@$(COMPILE) -o requirements-test.lock -c requirements.lock --extra test
	@$(COMPILE) -o requirements-check.lock -c requirements-test.lock --extra test --extra check
	@$(COMPILE) -o requirements-bench.lock -c requirements-test.lock --extra bench

$(LOCKER)/.made: $(VENV)/.made
	@$(BIN)/python -m venv $(LOCKER)
	@$(LOCKER)/bin/python -m pip --disable-pip-version-check --quiet install pip-tools==7.6.2
	@touch $@

clean:
	@rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
