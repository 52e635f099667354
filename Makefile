# Every target sets up what it needs in .venv; the first one to run takes some minutes to download.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-docs test-slow test-compat lint bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo         train, export and prove a model; writes demo/report.html"
	@echo "make test         run the tests"
	@echo "make test-docs    run the examples of the README, of the pages and of the commands"
	@echo "make test-slow    run the slow tests"
	@echo "make test-compat  run the tests marked compat with TensorFlow 2.16, in .venv-compat"
	@echo "make lint         check form and style"
	@echo "make bench        run the benchmarks; BENCH='--quick' for the short form"
	@echo "make clean        remove .venv, .venv-compat and what the targets wrote"

demo: $(VENV)/installed-demo
	@$(BIN)/mmkeras demo --folder demo

# One process a core with one thread each; tests of a file run in one process and share what they made. What each test
# took is kept in tests/durations, by which the next run is ordered.
JOBS ?= 2
PYTEST := -m pytest --durations 10 -n $(JOBS) --dist loadfile --no-loadscope-reorder
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1

test: $(VENV)/installed-dev
	@$(ONE_THREAD) $(BIN)/python $(PYTEST) --write-durations test

test-docs: $(VENV)/installed-dev
	@$(ONE_THREAD) $(BIN)/python $(PYTEST) -m docs --write-durations docs

test-slow: $(VENV)/installed-dev
	@$(BIN)/python -m pytest --durations 10 -m slow --write-durations slow

test-compat: $(VENV)-compat/installed
	@$(ONE_THREAD) $(VENV)-compat/bin/python $(PYTEST) -m compat

lint: $(VENV)/installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

bench: $(VENV)/installed-bench
	@set -e; for script in benchmarks/*.py; do $(BIN)/python $$script $(BENCH); done

clean:
	rm -rf $(VENV) $(VENV)-compat demo build

# The extras of pyproject.toml, one file each that says they are installed.
$(VENV)/installed-%: pyproject.toml setup.py
	@PYTHON="$(PYTHON)" ./install.sh "$(VENV)" "$*"
	@touch $@

$(VENV)-compat/installed: pyproject.toml setup.py
	@PYTHON="$(PYTHON)" ./install.sh "$(VENV)-compat" dev,compat
	@touch $@
