# make demo    real molecules, a small score model trained on them, new conformers, all in runs/demo
# make test    the tests, on JOBS=2 processes   (make test ARGS="tests/test_ops.py -x": these alone, on one)
# make oldest  the tests with the lower bounds of pyproject.toml and Python 3.10, in build/oldest   (ARGS as above)
# make lint    ruff, pyright, the import contract
# make format  ruff, rewriting files
# make soak    long tests that kill a training twenty times and watch its memory, three quarters of an hour
# make docs    the documentation as a site, in build/docs/site; needs Python >= 3.11
# make bench   speed and symmetry of the backbones, ten minutes   (make bench ARGS="--case qm9 --backbone egnn")
#
# Needs Python >= 3.10 with venv and pip. The first run makes .venv with the versions of constraints.txt.
#
# PYTHON       the interpreter of .venv; by default the first found of python3, python3.13 ... python3.10
#              that is 3.10 to 3.13, the versions tested.
# TORCH_INDEX  where PyTorch comes from. On Linux by default PyTorch's own index of CPU builds, since the
#              default index of pip serves CUDA builds of several GB; if it does not answer within two
#              seconds, pip looks where it always looks. With a GPU, before the first run:
#                  make demo TORCH_INDEX=

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help demo test oldest lint format docs soak bench

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	"$$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo "$$python" && exit; done; echo python3)
TORCH_INDEX ?= $(if $(filter Linux,$(shell uname -s)),https://download.pytorch.org/whl/cpu)

# Processes that share the tests, file by file, slow files first (tests/conftest.py); each computes on one thread.
JOBS ?= 2
PARALLEL = $(if $(filter tests/%,$(ARGS)),,-n $(JOBS) --dist loadfile --no-loadscope-reorder)

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP_INSTALL := $(BIN)/python -m pip install --no-input -c constraints.txt
OLDEST := build/oldest
OLDEST_PYTHON ?= $(shell for python in python3.10 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.10.*/bin/python; do \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null && echo "$$python" && exit; done; echo python3.10)
# Of what pip prints, only what shows that a long download or install is under way.
PROGRESS := sed -un -e '/ MB)/p' -e 's/^Installing collected packages:.*/  unpacking/p'

# Sets the variable `index` of the shell to TORCH_INDEX, or to nothing if that does not answer.
FIND_INDEX = index="$(TORCH_INDEX)"; \
	if [ -n "$$index" ] && ! $(1) -c \
		'import sys, urllib.request as r; r.urlopen(sys.argv[1] + "/torch/", timeout=2)' "$$index" 2>/dev/null; \
	then echo "$$index does not answer"; index=; fi

export PIP_DISABLE_PIP_VERSION_CHECK = 1

help:
	@sed -n -e '/^# make/s/^# //p' Makefile

demo: $(STAMP)
	@$(BIN)/graphscore demo --out runs/demo

test: $(STAMP)
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

oldest: $(OLDEST)/.installed
	$(OLDEST)/bin/python -m pytest $(PARALLEL) $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

docs: $(STAMP)
	@$(BIN)/python .docs/build.py

soak: $(STAMP)
	$(BIN)/python -m pytest -m soak $(ARGS)

bench: $(STAMP)
	@$(BIN)/python tests/benchmarks/bench_backbones.py $(ARGS)

# An interrupted install leaves no stamp, and the next run takes it up again.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
		echo "graphscore needs Python >= 3.10 and found none: install one, or name it: make PYTHON=/path/to/python" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian, Ubuntu: apt install python3-venv)" >&2; \
		exit 1; }
	@if ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
		echo "Making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(VENV); fi
	@set -o pipefail; $(call FIND_INDEX,$(BIN)/python); \
	echo "Installing PyTorch from $${index:-the default index of pip} (step 1 of 2)"; \
	$(PIP_INSTALL) $${index:+--extra-index-url "$$index"} torch | $(PROGRESS)
	@echo "Installing graphscore and what it needs (step 2 of 2, about 300 MB)"
	@set -o pipefail; $(PIP_INSTALL) -e ".[all,dev,docs]" | $(PROGRESS)
	@touch $@

$(OLDEST)/.installed: pyproject.toml .ci/oldest.py
	@echo "Making $(OLDEST) with $$($(OLDEST_PYTHON) --version) and the lower bounds of pyproject.toml"
	@$(OLDEST_PYTHON) -m venv --clear $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --no-input packaging tomli
	@$(OLDEST)/bin/python .ci/oldest.py >$(OLDEST)/constraints.txt
	@set -o pipefail; $(call FIND_INDEX,$(OLDEST)/bin/python); \
	$(OLDEST)/bin/python -m pip install --no-input -c $(OLDEST)/constraints.txt \
		$${index:+--extra-index-url "$$index"} -e ".[all,test]" | $(PROGRESS)
	@touch $@
