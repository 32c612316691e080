# Two commands do all the set-up on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SHELL := /bin/bash
INSTALLED := $(VENV)/.installed

.PHONY: quickstart test test-processors lint types format clean

# Threads that wait for each other spin shortly: a quarter faster on two idle cores, but slower beside other work.
quickstart: $(INSTALLED)
	GOMP_SPINCOUNT=300000 $(BIN)/pocketgan quickstart

test: lint types
	$(BIN)/pytest -n 2 --dist loadgroup

# The suite on every kind of processor that this one can stand for, with one thread and with two, each time in another order.
# torch's kernels and oneDNN's are named apart; a kind is CAPABILITY:ISA:FLAG, the flag as /proc/cpuinfo has it ("-": none).
PROCESSORS ?= default:SSE41:- avx2:AVX2:avx2 avx512:AVX512_CORE:avx512bw
THREADS ?= 1 2
TESTS ?= tests

test-processors: $(INSTALLED)
	@set -e; for processor in $(PROCESSORS); do \
	    IFS=: read -r capability isa flag <<< "$$processor"; \
	    if [ "$$flag" != - ] && ! grep -qw "$$flag" /proc/cpuinfo; then \
	        echo "$$capability: skipped, this processor lacks $$flag"; continue; \
	    fi; \
	    for threads in $(THREADS); do \
	        seed=$${SEED:-$$RANDOM}; \
	        echo "$$capability, threads: $$threads, order: SEED=$$seed"; \
	        ATEN_CPU_CAPABILITY=$$capability ONEDNN_MAX_CPU_ISA=$$isa OMP_WAIT_POLICY=PASSIVE \
	        POCKETGAN_TEST_THREADS=$$threads POCKETGAN_TEST_SHUFFLE=$$seed \
	            $(BIN)/pytest -n 2 --dist loadgroup $(TESTS); \
	    done; \
	done

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The environment is rebuilt only when what it is made from has changed.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
