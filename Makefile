# Everything a newcomer needs is `make demo` and `make test`; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Three states of the one virtual environment: what the tool needs to run, all that its tests, pages and locks need
# besides, and torch.
BASE := $(VENV)/base.installed
DEV := $(VENV)/dev.installed
TRAIN := $(VENV)/train.installed
# Where pip finds torch's wheel for CPUs, if no index that it knows has it: torch of PyPI brings gigabytes of CUDA on Linux.
TORCH_INDEX ?=
OUT ?= build
LIBERTY ?= $(sort $(wildcard ../shared/liberty/*.lib.gz))
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help demo test train mutants lint docs wheel verify compare rtl bench figures zoo signals lock clean tools

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(BASE) ## a trained detector on the engine, from ONNX to boxes out of RTL: build/demo/demo.md
	$(BIN)/roundel demo -o $(OUT)/demo

test: $(DEV) ## all tests, on all cores
	$(BIN)/python -m pytest -n auto

train: $(TRAIN) ## tests of training, with torch for CPUs: TORCH_INDEX=https://download.pytorch.org/whl/cpu
	ROUNDEL_REQUIRE=$(ROUNDEL_REQUIRE),torch,sklearn $(BIN)/python -m pytest -n auto tests/roundel/qat \
	  tests/roundel/compression/test_finetune.py tests/examples/test_digits_sparse.py tests/examples/test_detector_example.py \
	  tests/examples/test_training_example.py

verify: $(BASE) ## prove every unit: RTL against golden
	$(BIN)/roundel verify

compare: $(BASE) ## area, delay and energy of all variants on the reference cells: build/compare/report.md
	$(BIN)/roundel compare -o $(OUT)/compare

figures: $(DEV) ## the tables and pictures of README.md and docs/, from the reference and both libraries of LIBERTY
	$(BIN)/roundel compare requant mac --cells reference $(LIBERTY:%=--cells %) -o $(OUT)/figures
	$(BIN)/roundel compare activation --cells reference $(LIBERTY:%=--cells %) -o $(OUT)/figures/activation
	$(BIN)/roundel compare nms --fpga ecp5 --cells reference $(LIBERTY:%=--cells %) -o $(OUT)/figures/nms
	$(BIN)/roundel bench nms -o $(OUT)/figures/nms
	$(BIN)/roundel compare decoder --fpga ecp5 --cells reference $(LIBERTY:%=--cells %) -o $(OUT)/figures/decoder
	$(BIN)/roundel bench decoder -o $(OUT)/figures/decoder
	$(BIN)/python docs/make/figures.py $(OUT)/figures
	$(BIN)/roundel demo -o $(OUT)/figures/demo
	$(BIN)/roundel bench engine -o $(OUT)/figures/bench
	$(BIN)/roundel generate engine --set config=small --fpga ecp5 -o $(OUT)/figures/fpga/with_nms
	$(BIN)/roundel generate engine --set config=small --set nms=null --fpga ecp5 -o $(OUT)/figures/fpga/without_nms
	$(BIN)/python docs/make/demo.py $(OUT)/figures/demo
	$(BIN)/python docs/make/engine_figures.py $(OUT)/figures
	$(BIN)/python docs/make/engine_cycles.py $(OUT)/figures/bench
	$(BIN)/python docs/make/activation_cycles.py
	$(BIN)/python docs/make/pool_cycles.py
	$(BIN)/python docs/make/digit_clips.py
	$(BIN)/python docs/make/excite_cycles.py
	$(BIN)/python docs/make/network_cycles.py
	$(BIN)/python docs/make/activation_area.py $(lastword $(LIBERTY))
	$(BIN)/python docs/make/digit_area.py $(lastword $(LIBERTY))
	$(BIN)/python docs/make/heads_area.py $(lastword $(LIBERTY))
	$(BIN)/python docs/make/heads_cycles.py
	$(BIN)/python docs/make/topk_tables.py $(lastword $(LIBERTY))
	$(BIN)/python docs/make/engine_tables.py
	$(BIN)/python docs/make/decoder_rice.py
	$(BIN)/python docs/make/activations.py $(OUT)/figures/activation
	$(BIN)/python docs/make/nms_exact.py $(OUT)/figures/nms
	$(BIN)/python docs/make/nms_figures.py
	$(BIN)/python docs/make/nms_accuracy.py
	$(BIN)/python docs/make/opq.py
	$(BIN)/python docs/make/finetuning.py
	$(BIN)/python docs/make/compress.py
	$(BIN)/python docs/make/advisor.py --area
	$(BIN)/python docs/make/architecture.py
	$(BIN)/python docs/make/tour.py
	$(BIN)/python docs/make/file_tables.py

rtl: $(BASE) ## Verilog and manifest of every unit: build/rtl/UNIT
	for unit in requant activation mac nms exact_nms topk greedy_nms decoder sparse_mac; do $(BIN)/roundel generate $$unit -o $(OUT)/rtl/$$unit || exit; done
	$(BIN)/roundel generate engine --set config=small -o $(OUT)/rtl/engine

bench: $(DEV) ## work per cycle, speed, average precision: build/bench/bench.json
	$(BIN)/roundel bench -o $(OUT)/bench

zoo: $(DEV) ## networks of others, each compressed, compiled, run, compared with onnxruntime: docs/zoo.md; hours, ZOO=NAME
	nice -n 19 $(BIN)/python -m examples.zoo -o $(OUT)/zoo $(or $(ZOO),--page)
	$(if $(ZOO),,nice -n 19 $(BIN)/python -m examples.zoo.boxes --page)
	$(if $(ZOO),,nice -n 19 $(BIN)/python -m examples.zoo.rivals --size 192 256 --page)

signals: $(DEV) ## end verify, run and compare by signals at 20 random moments each: nothing may be left; SEED=1
	$(BIN)/python -m tests.support.signals --seed $(or $(SEED),1)

MUTANTS ?= --count 40

mutants: $(DEV) ## faults put into the code, to see whether tests fail; for hours, and goes on where it was stopped
	nice -n 19 $(BIN)/python -m tests.mutants $(MUTANTS)

lint: $(DEV) ## ruff, mypy and the layers of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(DEV) ## the site: build/docs/index.html
	$(BIN)/sphinx-build -W --keep-going -q docs $(OUT)/docs

wheel: $(DEV) ## dist/*.whl and dist/*.tar.gz; both are installed into empty environments and run there
	rm -rf dist
	$(BIN)/hatchling build -t sdist -t wheel
	$(BIN)/python -m pytest -m wheel tests/test_wheel.py

# Pins stand as they are unless UPGRADE=--upgrade is given.
LOCK := $(BIN)/uv pip compile -q --no-config --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
  --no-emit-find-links --custom-compile-command "make lock" --group build

# Packages that torch of PyPI needs on Linux, and torch for CPUs does not; then the hash of its wheel for CPython 3.11,
# to be changed with its version.
CUDA := cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc nvidia-cuda-runtime \
  nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse nvidia-cusparselt-cu13 \
  nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx triton
TORCH_CPU := torch==2.13.0+cpu ; sys_platform == 'linux' \\\\\n    --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b

lock: $(DEV) ## write the three locks for Python 3.11 to 3.14
	$(LOCK) $(UPGRADE) pyproject.toml -o requirements.lock
	$(LOCK) $(UPGRADE) --group lock --extra fpga --extra bench --extra docs --extra dev -c requirements.lock pyproject.toml \
	  -o requirements-dev.lock
	$(LOCK) $(UPGRADE) --extra train $(CUDA:%=--no-emit-package %) -c requirements-dev.lock pyproject.toml \
	  -o requirements-train.lock
	sed -i "s/^torch==.*/$(TORCH_CPU)\ntorch==2.13.0 ; sys_platform != 'linux' \\\\/" requirements-train.lock

clean: ## remove the virtual environment and all output, but not the cache
	rm -rf $(VENV) $(OUT) dist

# What pip cannot install is checked first and named together with the command that brings it.
tools:
	@missing=""; \
	command -v $(PYTHON) >/dev/null || missing="$$missing python3"; \
	for tool in g++ make perl; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then echo "missing:$$missing; install with: apt-get install$$missing" >&2; exit 2; fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: apt-get install python3.11, then make PYTHON=python3.11" >&2; exit 2; }; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "missing: python3-venv; install with: apt-get install python3-venv" >&2; exit 2; }; \
	[ -d roundel/hw ] \
	  || { echo "this checkout has no symbolic links: git config core.symlinks true; git checkout -- roundel" >&2; exit 2; }

define install
test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r $(1)
$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
@touch $@
endef

$(BASE): pyproject.toml requirements.lock | tools
	$(call install,requirements.lock)

$(DEV): pyproject.toml requirements-dev.lock | tools
	$(call install,requirements-dev.lock)

$(TRAIN): requirements-train.lock | $(DEV)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes $(TORCH_INDEX:%=--extra-index-url %) -r $< || { echo \
	  "torch's wheel for CPUs was not found or not reached: make train TORCH_INDEX=https://download.pytorch.org/whl/cpu" >&2; \
	  exit 2; }
	@touch $@
