# Jourdain. `make run` and `make test` do everything on a fresh machine; `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
JOBS   ?= 2
ARGS   ?=
STUBS  := esp32 esp32-s3 esp32-c3 pico pico-w pico2 pico2-w

.DEFAULT_GOAL := help
.PHONY: help setup run test pico esp lint bench bench-peers soak dist lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 10

$(VENV)/run.stamp: lock/run.txt pyproject.toml
	@$(PYTHON) tools/machine.py
	@echo "Installing what the town on a desk needs into $(VENV) ..." >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -r lock/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: lock/dev.txt $(VENV)/run.stamp
	@echo "Installing the development tools into $(VENV) ..." >&2
	@$(PIP) -r lock/dev.txt
	@touch $@

build/stubs/%/done.stamp: lock/stubs-%.txt $(VENV)/dev.stamp
	@rm -rf $(@D) && mkdir -p $(@D)
	@$(PIP) --target $(@D) -r $<
	@touch $@

setup: $(VENV)/run.stamp  ## install what `make run` needs, and nothing else
	@echo "Ready: make run" >&2

run: $(VENV)/run.stamp  ## the town on a desk, until Ctrl-C (ARGS="--seed 7 --speed 60 ...")
	@$(BIN)/jourdain twin $(ARGS)

test: $(VENV)/dev.stamp  ## every test, under ten minutes on two cores (ARGS="tests/wire -k vectors")
	@$(BIN)/python -P -m pytest -n $(JOBS) --dist worksteal $(ARGS)

$(VENV)/pico.stamp: lock/pico.txt $(VENV)/dev.stamp
	@$(PIP) -r lock/pico.txt
	@touch $@

pico: $(VENV)/pico.stamp  ## the firmware on an emulated Pico (MICROPYTHON_UF2=a MicroPython for the Pico)
	@MICROPYTHON_UF2="$(abspath $(MICROPYTHON_UF2))" $(BIN)/python -P -m pytest -s -rs tests/pico $(ARGS)

$(VENV)/esp.stamp: lock/esp.txt $(VENV)/run.stamp
	@echo "Installing esptool into $(VENV) ..." >&2
	@$(PIP) -r lock/esp.txt
	@touch $@

esp: $(VENV)/esp.stamp  ## esptool, which puts MicroPython on an ESP32: a program of its own, under the GPL
	@echo "Ready: $$($(BIN)/python -m esptool version | head -n 1)" >&2

lint: $(VENV)/dev.stamp $(STUBS:%=build/stubs/%/done.stamp)  ## ruff, mypy, board stubs, licences
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -P tests/lint_firmware.py build/stubs
	@$(BIN)/python -P tests/lint_licences.py

bench: $(VENV)/dev.stamp  ## measure, and write build/bench/report.html
	@$(BIN)/python -P tests/bench/report.py --out build/bench $(ARGS)

build/peers/%/done.stamp: lock/peers-%.txt
	@rm -rf $(@D) && $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

bench-peers: $(VENV)/dev.stamp build/peers/thingsboard/done.stamp build/peers/persist-queue/done.stamp  ## the daemon beside its peers
	@$(BIN)/python -P tests/bench/report.py --out build/bench-peers peers $(ARGS)

soak: $(VENV)/dev.stamp  ## the long runs; the report is kept in tests/bench/soak.md
	@$(BIN)/python -P tests/bench/soak.py $(ARGS)

dist: $(VENV)/dev.stamp  ## a wheel with the firmware inside, tried in an empty environment
	@rm -rf dist && $(BIN)/python -P -m build --no-isolation --wheel --outdir dist . >/dev/null
	@$(BIN)/python -P tests/try_wheel.py dist/*.whl

lock:  ## make the locks anew from pyproject.toml (needs `uv` on PATH)
	@sh lock/make.sh

clean:  ## remove what was built, keep the environment
	@rm -rf build dist .mypy_cache .ruff_cache .hypothesis
