# The commands of this repository; `make` alone lists them. Each installs what it needs and is missing
# (scripts/setup.sh), says what it does, and can be repeated at any time. The work is done by CMake: see the presets in
# CMakePresets.json, whose build folders lie under build/.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test build bench docs wheel deb install format clean
MAKEFLAGS += --no-print-directory

JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
BUILD := build/release
WHEEL_BUILD ?= build/python
PYTHON ?= .deps/python/bin/python
RUN := runs/demo-$(shell date +%Y%m%d-%H%M%S)

say = @printf '\n== %s\n' '$(1)'
# $(call configure,OPTION,VALUE): configures once, and again only to switch an option; that recompiles nothing.
configure = @grep -qs '^$(1):BOOL=$(2)$$' $(BUILD)/CMakeCache.txt || cmake --preset release -D$(1)=$(2)

help: ## list these commands
	@echo 'kedge: trajectory-centric policy search'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 | \2/p' Makefile | awk -F'|' '{printf "%-16s%s\n", $$1, $$2}'
	@echo 'JOBS=$(JOBS) processes at a time. After a build the program is $(BUILD)/kedge.'

build: ## build the library and the program, optimised for this machine
	@scripts/setup.sh build pages
	@test -e $(BUILD)/build.ninja || cmake --preset release -DKEDGE_TESTS=OFF
	$(call say,building in $(BUILD))
	@cmake --build $(BUILD) --parallel $(JOBS)

demo: build ## train the double-link swing-up with MOTO; ends with a page that shows it
	$(call say,$(BUILD)/kedge train double_link --out $(RUN))
	@mkdir -p runs
	@$(BUILD)/kedge train double_link --out $(RUN)
	$(call say,$(BUILD)/kedge replay $(RUN) -o $(RUN)/replay.html --play)
	@$(BUILD)/kedge replay $(RUN) -o $(RUN)/replay.html --play || \
	  echo 'the run is in $(RUN); the page that shows it needs Node.js (scripts/setup.sh pages)'

test: ## build and run every test
	@scripts/setup.sh build pages test plot
	$(call configure,KEDGE_TESTS,ON)
	$(call say,building with tests in $(BUILD))
	@cmake --build $(BUILD) --parallel $(JOBS)
	$(call say,running the tests)
	@ctest --preset release --parallel $(JOBS)

bench: ## measure speed as ratios: a table, and JSON beside it
	@scripts/setup.sh build pages bench
	$(call configure,KEDGE_BENCH,ON)
	$(call say,building the benchmarks in $(BUILD))
	@cmake --build $(BUILD) --parallel $(JOBS)
	$(call say,running the benchmarks; leave the machine alone meanwhile)
	@OPENBLAS_NUM_THREADS=1 $(BUILD)/bench/kedge_ratios --json $(BUILD)/ratios.json
	@$(BUILD)/bench/kedge_update_bench --benchmark_out=$(BUILD)/update_bench.json --benchmark_out_format=json
	$(call say,the numbers are in $(BUILD)/ratios.json and $(BUILD)/update_bench.json)

docs: ## make the documentation site (build/docs/html/index.html)
	@scripts/setup.sh docs
	$(call say,writing build/docs)
	@scripts/docs.sh

wheel: ## make a wheel for Python in dist/ and try it in a new environment; WHEEL_BUILD=build/python, PYTHON=
	@scripts/setup.sh build pages python
	$(call say,building in $(WHEEL_BUILD): as long as the library where it is new)
	@PYTHON=$(PYTHON) scripts/wheel.sh --build-dir $(WHEEL_BUILD)
	$(call say,trying it)
	@PYTHON=$(PYTHON) python/tests/try_wheel.sh "$$(ls -t dist/kedge-*.whl | head -n 1)"

deb: ## make a Debian package of the program in dist/ from build/release
	@scripts/setup.sh build pages package
	@test -e $(BUILD)/build.ninja || cmake --preset release -DKEDGE_TESTS=OFF
	$(call say,packing what is built in $(BUILD))
	@scripts/deb.sh --build-dir $(BUILD)

install: build ## install program, library, headers and tasks; PREFIX=/usr/local
	$(call say,installing in $(PREFIX))
	@cmake --install $(BUILD) --prefix $(PREFIX)

format: ## lay out every C++ file by .clang-format
	@scripts/setup.sh dev
	@scripts/format.sh

clean: ## remove build/ (what was trained, runs/, stays)
	rm -rf build
