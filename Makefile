# The one door to this project. `make help` lists what there is.
.DEFAULT_GOAL := help
.PHONY: help setup demo check test test-unit test-races test-fuzz fuzz test-doc test-user test-miri miri test-qemu test-sanitize soak bench-ring bench-guest bench-user conformance release-check mutants doc

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing on this machine
	@scripts/setup.sh test

demo: ## boot a kernel that uses a disk, a network card, or a console (EXAMPLE=block|tasks|embassy|two-queues|net|shell, MODE=, ARCH=, TRANSPORT=, RING=, INTERRUPTS=: see scripts/demo.sh)
	@EXAMPLE=$(EXAMPLE) MODE=$(MODE) QUEUES=$(QUEUES) OPTIONS='$(OPTIONS)' PORT=$(PORT) ARCH=$(ARCH) TRANSPORT=$(TRANSPORT) RING=$(RING) INTERRUPTS=$(INTERRUPTS) MACHINE=$(MACHINE) scripts/demo.sh

check: ## what takes seconds: format, lints, floors, the bare-metal builds
	@scripts/check.sh

test: ## everything: check, unit, races, a short fuzz round, doc, back-end, sanitizer, miri and QEMU tests
	@scripts/test.sh

test-unit: ## unit and integration tests on the host
	@scripts/test.sh unit

test-races: ## driver and device in a model checker, and a device that lies at every load
	@scripts/test.sh races

test-fuzz: ## a short round of the fuzzers
	@scripts/test.sh fuzz

fuzz: ## the fuzzers of rings, control path, disks, network devices, consoles and balloons, SECONDS=n for each target (default 60)
	@scripts/fuzz.sh $(or $(SECONDS),60)

test-doc: ## doc tests, and the documentation without a warning
	@scripts/test.sh doc

test-user: ## the drivers in a process, at back-ends of QEMU, DPDK and Open vSwitch
	@scripts/test.sh user

test-miri: ## the tests of library and model under miri
	@scripts/test.sh miri

miri: ## the same in long rounds: programs, too, whose unsafe code shorter ones reach (an hour)
	@LONG=1 scripts/test.sh miri

test-qemu: ## test kernels under QEMU
	@scripts/test.sh qemu

test-sanitize: ## drivers in ordinary processes, under AddressSanitizer and ThreadSanitizer
	@scripts/test.sh sanitize

conformance: ## what virtio 1.4 asks of drivers: each requirement has a claim, its tests ran in the last `make test`; writes the pages and prints the counts
	@cargo run -q -p xtask -- conformance "$${CARGO_TARGET_DIR:-target}/test-logs"

soak: ## random operations on a modelled disk, each verified, for MINUTES=n (default 5), or OPERATIONS=n, LIVES=n; SEED=n to see them again
	@MINUTES=$(MINUTES) OPERATIONS=$(OPERATIONS) LIVES=$(LIVES) SEED=$(SEED) cargo run -q --release -p soak

bench-ring: ## what the rings cost, beside two peers': time and instructions, as a table
	@scripts/bench-ring.sh

bench-guest: ## what the drivers cost a guest, beside a peer's: instructions, doorbells, register accesses (LINE=name for one line, PROFILE=name for where its instructions go)
	@scripts/bench-guest.sh $(LINE) $(if $(PROFILE),profile $(PROFILE))

bench-user: ## our drivers in a process, beside DPDK's and libblkio's, on the same vhost-user back-ends (LINE=name for one line, QUICK=1 to see that it works)
	@QUICK=$(QUICK) scripts/bench-user.sh $(LINE)

mutants: ## change the rings in every small way, and see whether a test fails (an hour)
	@scripts/mutants.sh

release-check: ## what a release needs: packages, semantic versions (BASELINE=revision), licences, all sets of features
	@BASELINE=$(BASELINE) scripts/release-check.sh

doc: ## build the guide and the documentation of the crates
	@scripts/doc.sh
