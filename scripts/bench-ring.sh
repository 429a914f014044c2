#!/usr/bin/env bash
# Measures what the rings cost, ours and two peers': time and instructions. Prints a table, and writes it into docs/src/rings-benchmark.md.
# Usage: scripts/bench-ring.sh          (about five minutes; times mean something only on a machine that has nothing else to do)
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "bench-ring: $*"; }
fail() { printf 'bench-ring: %s\n' "$@" >&2; exit 1; }

scripts/setup.sh bench
# Wherever cargo puts things.
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
export RING_BENCH_FOLDER=$target/bench
# Results of another day would be compared with, or taken for this day's.
rm -rf "$RING_BENCH_FOLDER"
mkdir -p "$RING_BENCH_FOLDER"

say "building with link-time optimization"
cargo build -q --profile bench -p ring-bench --bin ring-bench --bench time || fail "the benchmark does not build; the compiler's messages above say why."

# Ours is the only work that should be going on: builds of a moment ago do not count, so it is what runs now.
others=$(awk '{ split($4, tasks, "/"); print tasks[1] - 1 }' /proc/loadavg 2>/dev/null || echo 0)
[ "$others" -le 0 ] || say "careful: $others other programs are running on this machine, so times will say little; instructions are not affected"
say "measuring times (about a minute and a half)"
log=$RING_BENCH_FOLDER/criterion.log
# Criterion's own words go to the log; what the benchmark says of its progress comes by descriptor 3.
cargo bench -q -p ring-bench --bench time 3>&2 >"$log" 2>&1 || { tail -n 20 "$log" >&2; fail "the times could not be measured; all of the output is in $log."; }

cargo run -q --profile bench -p ring-bench --bin ring-bench -- docs/src/rings-benchmark.md \
  || fail "the benchmark did not end well; the line above says why." "Next step: if it is about valgrind, see whether 'valgrind true' works here; else run 'make bench-ring' again."
say "done"
