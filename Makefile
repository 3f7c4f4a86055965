# FlowTrack's tasks by name. `make` alone lists them.
#
# ARGS goes to the program: make run ARGS="-i eth1 --listen 127.0.0.1:9000"

SHELL  := /bin/bash
TARGET := $(or $(CARGO_TARGET_DIR),target)
DEMO   := demo/office.pcap.zst
ARGS   ?=

WEB_SOURCES := $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -path web/e2e -prune -o -type f -print 2>/dev/null)

.DEFAULT_GOAL := help
.NOTPARALLEL: # the steps share target/ and web/
.PHONY: help run demo build web setup test test-web test-rust test-e2e fmt-check lint doc fuzz check bench live-bench demo-capture clean

help: ## list the tasks
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## */  make \1\t/' | expand -t 22

## ---- use -------------------------------------------------------------------------------------

run: build ## build all, capture on the interface with the default route, serve http://127.0.0.1:8080
	@exec $(TARGET)/release/flowtrack run $(ARGS)

demo: build ## replay the demo capture at real pace, in a loop
	@exec $(TARGET)/release/flowtrack run -r $(DEMO) --pace 1x --loop $(ARGS)

## ---- build -----------------------------------------------------------------------------------

setup: ## install what the build needs and is missing
	@tools/setup.sh run

build: setup web ## the release binary, dashboard inside
	@cargo build --release --locked --package flowtrack

web: web/dist/index.html ## the dashboard, only when its sources changed

web/dist/index.html: web/node_modules/.package-lock.json $(WEB_SOURCES)
	@npm --prefix web run build --silent -- --logLevel warn
	@touch $@

# Not `npm ci`: it insists on the optional packages of every other platform, which not every registry has.
web/node_modules/.package-lock.json: web/package-lock.json
	@npm --prefix web install --no-save --no-audit --no-fund --loglevel=error
	@touch $@

## ---- check -----------------------------------------------------------------------------------

test: test-web test-rust test-e2e ## every test, browser included; what is skipped is said
	@echo "make test: all passed"

test-web: web ## types, lint, generated client and unit tests of the dashboard
	@npm --prefix web run check --silent
	@npm --prefix web run test --silent

test-rust: web ## unit, integration and documentation tests
	@tools/setup.sh run test
	@tools/test-rust.sh

test-e2e: web ## the dashboard in a real browser, against the real program
	@tools/setup.sh run test
	@tools/test-e2e.sh

fmt-check:
	@git ls-files "*.rs" | xargs rustfmt --check --edition 2024

lint: web fmt-check ## formatting, clippy, licences and duplicate versions
	@cargo clippy --workspace --all-targets --locked -- -D warnings
	@cargo xtask licences

doc: web ## the documentation, warnings denied
	@RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --workspace --locked

fuzz: ## fuzz all that reads traffic, for ten minutes or ARGS seconds
	@tools/fuzz.sh $(or $(ARGS),600)

check: ## all that continuous integration does
	@.ci/run

bench: build ## speed and memory beside Debian's tools
	@tools/setup.sh bench
	@cargo xtask bench $(ARGS)

live-bench: build ## live capture at top speed between network namespaces (root)
	@cargo xtask live-bench $(ARGS)

demo-capture: ## record the demo capture anew (root, a few minutes)
	@demo/make.sh

clean: ## remove all that was built
	@cargo clean
	@rm -rf web/dist web/node_modules
