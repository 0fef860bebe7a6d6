# The front door only: meson builds, tools/ does the rest.
BUILD ?= build
PREFIX ?= /usr/local
SUITES ?= bookworm trixie
export BUILD PREFIX

.PHONY: help build up down purge check test test-registries test-machine test-bare ci mutate bench install clean
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

up: ## install what is needed, build, start the platform, push examples/hello
	@tools/up
down: ## stop it all: processes, mounts, interfaces, nft tables; data stays
	@tools/down
purge: ## the same, and remove all data
	@tools/down --purge

build: $(BUILD)/build.ninja ## build everything
	ninja -C $(BUILD)
$(BUILD)/build.ninja:
	@tools/install build
	meson setup $(BUILD) . --prefix=$(PREFIX) --buildtype=release -Dtests=false

check: ## while working: format, arrows, docs, headers, unit tests of what changed, in seconds
	@tools/check
test: ## all tests that need nothing but this machine
	@tools/install build run test
	@tools/user
	@tools/test unit system
test-registries: ## deploy the examples with dependencies from npm, PyPI and the Go module proxy
	@tools/install build run test
	@tools/user
	@tools/test build registries
test-machine: ## as a newcomer on a Debian 12 with systemd, in a virtual machine; reboots it, pulls its plug
	@tools/install build run test machine
	@tools/test build machine
test-bare: ## make up and make test in a bare root of Debian 12, then of 13 (SUITES="bookworm trixie")
	@for suite in $(SUITES); do tools/bare $$suite || exit 1; done
ci: ## what CI runs: all of it, slowly
	@.ci/run
mutate: ## does a test notice? 100 small changes at random, one after the other; N=20 ROOMS="store image" for some
	@tools/install build run test
	@tools/mutate $(or $(N),100) $(ROOMS)
bench: ## every benchmark beside its peers
	@tools/install build run test bench
	@tools/user
	@tools/test build
	@bench/run

install: build ## into DESTDIR, with systemd unit, completions and manual
	meson install -C $(BUILD) --no-rebuild --quiet
	@[ -n "$(DESTDIR)" ] || tools/user

clean: ## remove what was built here
	rm -rf $(BUILD) build-*
