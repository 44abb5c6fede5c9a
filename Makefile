# Everything a newcomer needs is `make demo` and `make test`; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
OUT ?= build
LIBERTY ?= $(sort $(wildcard ../shared/liberty/*.lib.gz))
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help demo test verify compare figures rtl lint bench lock clean tools

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## a trained detector on the engine, from ONNX to boxes out of RTL: build/demo/demo.md
	$(BIN)/roundel demo -o $(OUT)/demo

test: $(INSTALLED) ## all tests, on all cores
	$(BIN)/python -m pytest -n auto

verify: $(INSTALLED) ## prove every unit: RTL against golden
	$(BIN)/roundel verify

compare: $(INSTALLED) ## area, delay and energy of all variants on the reference cells: build/compare/report.md
	$(BIN)/roundel compare -o $(OUT)/compare

figures: $(INSTALLED) ## the tables and pictures of README.md and docs/, from the reference and both libraries of LIBERTY
	$(BIN)/roundel compare requant mac --cells reference $(LIBERTY:%=--cells %) -o $(OUT)/figures
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
	$(BIN)/python docs/make/decoder_rice.py
	$(BIN)/python docs/make/nms_figures.py
	$(BIN)/python docs/make/nms_accuracy.py
	$(BIN)/python docs/make/opq.py
	$(BIN)/python docs/make/finetuning.py
	$(BIN)/python docs/make/compress.py
	$(BIN)/python docs/make/advisor.py --area

rtl: $(INSTALLED) ## Verilog and manifest of every unit: build/rtl/UNIT
	for unit in requant mac nms greedy_nms decoder sparse_mac; do $(BIN)/roundel generate $$unit -o $(OUT)/rtl/$$unit || exit; done
	$(BIN)/roundel generate engine --set config=small -o $(OUT)/rtl/engine

bench: $(INSTALLED) ## work per cycle, speed, average precision: build/bench/bench.json
	$(BIN)/roundel bench -o $(OUT)/bench

lint: $(INSTALLED) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock: $(INSTALLED) ## write requirements.lock anew
	$(BIN)/pip-compile -q --extra dev --extra fpga --strip-extras --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	  --output-file requirements.lock pyproject.toml

clean: ## remove the virtual environment and all output, but not the cache
	rm -rf $(VENV) $(OUT)

# The tools that pip cannot install, checked first and named together with the command that brings them.
tools:
	@missing=""; \
	command -v $(PYTHON) >/dev/null || missing="$$missing python3"; \
	for tool in g++ make perl; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then echo "missing:$$missing; install with: apt-get install$$missing" >&2; exit 2; fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: apt-get install python3.11, then make PYTHON=python3.11" >&2; exit 2; }; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "missing: python3-venv; install with: apt-get install python3-venv" >&2; exit 2; }

$(INSTALLED): pyproject.toml requirements.lock | tools
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c requirements.lock -e '.[dev,fpga]'
	@touch $@
