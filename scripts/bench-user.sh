#!/usr/bin/env bash
# Measures our drivers in a process, beside DPDK's and libblkio's, on the same vhost-user back-ends. Prints tables, and writes them into docs/src/user-benchmark.md.
# Usage: scripts/bench-user.sh            (about six minutes; it takes two processors that have nothing else to do)
#        scripts/bench-user.sh LINE ...   (only these lines; nothing is written)
#        QUICK=1 scripts/bench-user.sh    (all lines, one short sample each: a minute and a half, to see that everything works; the page is left as it is)
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "bench-user: $*"; }
fail() { printf 'bench-user: %s\n' "$@" >&2; exit 1; }

scripts/setup.sh bench-user
# Wherever cargo puts things.
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
export USER_BENCH_FOLDER=$target/bench
mkdir -p "$USER_BENCH_FOLDER"
rm -f "$USER_BENCH_FOLDER"/callgrind.*

say "building the program that measures, and DPDK's card"
cargo build -q --profile bench -p user-bench || fail "the benchmark does not build; the compiler's messages above say why."
# With the distribution's flags, as its DPDK was built.
read -ra flags < <(pkg-config --cflags --libs libdpdk) || fail "pkg-config does not know libdpdk." "Next step: install DPDK's development files (Debian: libdpdk-dev, pkgconf)."
cc -O3 -Wall -Wextra -o "$USER_BENCH_FOLDER/dpdk-card" benches/user/dpdk/card.c "${flags[@]}" || fail "DPDK's card does not build; the compiler's messages above say why."

# Memory of both sides in huge pages, as switches have it. They are given back at the end.
pages=/proc/sys/vm/nr_hugepages
reserved=$(cat "$pages" 2>/dev/null || echo 0)
if [ "$reserved" -lt 256 ] && [ -w "$pages" ]; then
  trap 'echo "$reserved" >"$pages"' EXIT
  echo 256 >"$pages" || true
fi
[ "$(cat "$pages" 2>/dev/null || echo 0)" -ge 256 ] || say "there are no huge pages to be had (that takes root), so all memory is in ordinary ones: figures will be lower, for everybody"

# Ours is the only work that should be going on: builds of a moment ago do not count, so it is what runs now.
others=$(awk '{ split($4, tasks, "/"); print tasks[1] - 1 }' /proc/loadavg 2>/dev/null || echo 0)
[ "$others" -le 0 ] || say "careful: $others other programs are running on this machine; samples that they spoil are discarded"

if [ $# -gt 0 ]; then arguments=(lines "$@")
elif [ -n "${QUICK:-}" ]; then arguments=(quick)
else arguments=(all docs/src/user-benchmark.md)
fi
"$target/release/user-bench" "${arguments[@]}" \
  || fail "the benchmark did not end well; the lines above say why." "Next step: if a process failed, its command line is there to be run by hand."
say "done"
