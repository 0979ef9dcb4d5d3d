# octopix: one door to everything. `make help` lists the targets.
# Values are given on make's command line (make quantize OUT="my results"); an environment that happens to hold
# an OUT or a DATA changes nothing.

MODEL  = espcn_x4
SCHEME = all
BUDGET =
KEEP_FLOAT  =
DATA   =
PAIRS  =
CALIBRATION =
REFERENCE   =
VALUE_RANGE =
OUT    = .
QUICK  =
TARGET = local
HOST   =
BASE   =
HEAD   =
SERIAL =
SUITE  = quick
ARGS   =
TESTS  = tests

VENV  = .venv
READY = $(VENV)/.octopix-ready
PEERS_READY = $(VENV)/.octopix-peers-ready
RUN   = $(VENV)/bin/python -m
# Where one device of several fails, the others' table is shown all the same.
on_device = [ "$$SCHEME" != all ] || SCHEME=; code=0; \
	$(RUN) deploy bench $(1) --model "$$MODEL" --artifacts "$$OUT/artifacts" --out "$$OUT/reports/$$MODEL-on-devices" \
	    $${SCHEME:+--schemes "$$SCHEME"} $${DATA:+--data "$$DATA"} $(ARGS) || code=$$?; \
	[ $$code = 0 ] || [ "$$TARGET" = all ] || exit $$code; \
	$(RUN) benchmarks devices "$$OUT/reports/$$MODEL-on-devices" && exit $$code
within = $(if $(BUDGET),--budget "$$BUDGET",--scheme "$$SCHEME")
# A model file of the user's comes with its images.
own = $${CALIBRATION:+--calibration "$$CALIBRATION"} $${REFERENCE:+--reference "$$REFERENCE"} \
	$${VALUE_RANGE:+--value-range "$$VALUE_RANGE"}
measured = $(RUN) benchmarks table --model "$$MODEL" --artifacts "$$OUT/artifacts" --reports "$$OUT/reports" \
	$${DATA:+--data "$$DATA"} $${CALIBRATION:+--inputs "$$CALIBRATION"} $${REFERENCE:+--reference "$$REFERENCE"} $(quick)
quick = $(if $(filter-out 0 no false,$(QUICK)),--quick)

# Recipes read the values from their environment, so spaces and quotes in them reach the programs as they are.
export MODEL SCHEME BUDGET KEEP_FLOAT DATA PAIRS CALIBRATION REFERENCE VALUE_RANGE OUT BASE HEAD TARGET HOST SERIAL SUITE TESTS

.DEFAULT_GOAL := help
.PHONY: help setup check test test-slow test-devices train quantize deploy bench bench-conversion bench-peers bench-pi bench-android report clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile
	@echo '  values: MODEL=$(MODEL) SCHEME=$(SCHEME) BUDGET=dB KEEP_FLOAT=layers DATA=folder PAIRS=folder OUT=folder QUICK=1 TARGET=$(TARGET) HOST=[user@]host'
	@echo '          MODEL=file.tflite CALIBRATION=folder REFERENCE=folder VALUE_RANGE=0..255'
	@echo '          BASE=results.json HEAD=results.json (or two folders of reports), for report'
	@echo '          SERIAL=number SUITE=$(SUITE) TESTS=$(TESTS) ARGS="further words for deploy, train or bench"'

setup: $(READY) ## the environment in .venv; every target below makes it when it is missing

check: $(READY) ## style, types, import rules, fresh interpreters, wheel contents
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(RUN) pytest -q -m "not slow" tests/house

test: $(READY) ## the tests that everyone runs; a part of them with TESTS="tests/octopix -k psnr"
	@$(RUN) pytest -q -m "not slow and not devices" --ignore tests/house $$TESTS

test-slow: $(READY) ## the tests that need minutes each
	@$(RUN) pytest -q -m slow $$TESTS

test-devices: $(READY) ## the tests on emulated devices; need adb, sshd, qemu-user-static, mmdebstrap, chromium, libvulkan1; root for the board
	@$(RUN) pytest -q -m devices $$TESTS

train: $(READY) ## train MODEL, or go on where a stopped run was
	@$(RUN) train --model "$$MODEL" --run "$$OUT/runs/$$MODEL" $${DATA:+--data "$$DATA"} \
	    $${PAIRS:+--pairs "$$PAIRS"} $(ARGS)

quantize: $(READY) ## MODEL to int8 by SCHEME, or within BUDGET dB: the .tflite files, then the table and the report
	@code=0; $(RUN) quantize --model "$$MODEL" $(within) --out "$$OUT/artifacts" $${DATA:+--data "$$DATA"} \
	    $${KEEP_FLOAT:+--keep-float "$$KEEP_FLOAT"} $(own) $(quick) || code=$$?; \
	[ $$code = 0 ] || [ $$code = 3 ] || exit $$code; \
	$(measured) && exit $$code

report: $(READY) ## measure MODEL once more: table and report; MODEL=all: one page of all reports; BASE, HEAD: what changed
	@if [ -n "$$BASE$$HEAD" ]; then $(RUN) benchmarks compare "$$BASE" "$$HEAD" --out "$$OUT/reports/change"; \
	elif [ "$$MODEL" = all ]; then $(RUN) benchmarks report --all "$$OUT/reports"; \
	else $(measured); fi

deploy: $(READY) ## MODEL on TARGET (local, a device of devices.yaml, or all): parity, quality, latency, table and report
	@$(call on_device,--target "$$TARGET")

bench-pi: $(READY) ## the same on the Raspberry Pi at HOST
	@$(call on_device,--target raspberry_pi $${HOST:+--host "$$HOST"})

bench-android: $(READY) ## the same on the phone SERIAL, or on the only one
	@$(call on_device,--target android $${SERIAL:+--serial "$$SERIAL"})

bench: $(READY) ## SUITE (quick, full or a file) of the artifacts: latency, memory, cost, roofline, profile by operator
	@$(RUN) benchmarks bench --suite "$$SUITE" --artifacts "$$OUT/artifacts" --out "$$OUT/reports/bench" $(ARGS)

bench-conversion: $(READY) ## our conversion to int8 against the stock converter's, in seconds
	@$(RUN) quantize conversion-speed --model "$$MODEL" $${DATA:+--data "$$DATA"}

bench-peers: $(PEERS_READY) ## int8 of MODEL, as make quantize left it, beside ONNX Runtime, OpenVINO, TFLiteConverter
	@$(RUN) quantize stock --model "$$MODEL" --out "$$OUT/reports/peers" $${DATA:+--data "$$DATA"}
	@$(RUN) benchmarks peers --model "$$MODEL" --artifacts "$$OUT/artifacts" --prepared "$$OUT/reports/peers" \
	    $${DATA:+--data "$$DATA"} $(quick) $(ARGS)

clean: ## remove the environment and all caches; artifacts, reports and runs stay
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# TensorFlow 2.21 has wheels up to Python 3.13, and this code starts at 3.11, for which constraints.txt is made.
fits = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
lack = { echo "error: expected $(1), got $(2); run: apt-get install $(3)" >&2; exit 1; }
pip  = $(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt

$(READY): setup.cfg pyproject.toml constraints.txt
	@command -v git >/dev/null || $(call lack,git,none,git)
	@for python in python3.11 python3 python3.12 python3.13 none; do \
	    ! "$$python" -c '$(fits)' 2>/dev/null || break; \
	done; \
	[ "$$python" != none ] || $(call lack,Python 3.11 to 3.13,$$(python3 -V 2>/dev/null || echo none),python3); \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || $(call lack,the venv module of $$python,none,python3-venv); \
	{ $(VENV)/bin/python -c '$(fits)' && $(RUN) pip --version; } >/dev/null 2>&1 || { \
	    echo 'Making the environment in $(VENV), once; it takes some minutes.' >&2; \
	    "$$python" -m venv --clear $(VENV); \
	}
	@$(pip) setuptools
	@$(pip) --no-build-isolation -e '.[workbench,dev]'
	@touch $@

# What we are compared with is large, and nothing else needs it.
$(PEERS_READY): $(READY) constraints-peers.txt
	@$(pip) -c constraints-peers.txt --no-build-isolation -e '.[workbench,dev,peers]'
	@touch $@
