#!/usr/bin/env bash
# Measures what the drivers cost a guest, ours and a peer's: instructions, doorbells, register accesses, interrupts, allocations, as QEMU counts them.
# Prints a table, and writes it into docs/src/guest-benchmark.md.
# Usage: scripts/bench-guest.sh                          (five to ten minutes)
#        scripts/bench-guest.sh LINE ...                 (only these lines, and not as many operations: half a minute; nothing is written)
#        scripts/bench-guest.sh profile LINE [packed]    (where the instructions of a line of ours go, by function and by source line)
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "bench-guest: $*"; }
fail() { printf 'bench-guest: %s\n' "$@" >&2; exit 1; }

scripts/setup.sh demo x86_64
# Wherever cargo puts things.
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
export GUEST_BENCH_FOLDER=$target/bench
mkdir -p "$GUEST_BENCH_FOLDER"

say "building the program that measures, and the kernels with link-time optimization"
build() { cargo build -q "$@" || fail "$* does not build; the compiler's messages above say why."; }
build -p guest-bench
build --profile bench --target x86_64-unknown-none -p guest-ours
case ${1:-} in
  profile) ;;
  *) build --profile bench --target x86_64-unknown-none -p guest-rcore ;;
esac
case ${1:-} in
  '') arguments=(all docs/src/guest-benchmark.md) ;;
  profile) arguments=("$@") ;;
  *) arguments=(lines "$@") ;;
esac
cargo run -q -p guest-bench -- "${arguments[@]}" \
  || fail "the benchmark did not end well; the lines above say why." "Next step: if a guest failed, its command line is there to be run by hand."
say "done"
