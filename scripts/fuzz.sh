#!/usr/bin/env bash
# Fuzzes the rings, in all four modes, the control path, over PCI, over MMIO and without a bus, the whole drivers of disks, network devices, consoles and balloons, and the messages of vhost-user: a fuzzer says what driver
# and device do, and the targets see whether a promise breaks.
# Usage: scripts/fuzz.sh [SECONDS [TARGET ...]]      (default: 60 seconds for each target)
#        scripts/fuzz.sh replay TARGET FILE          (builds the target and gives it one input)
# The committed seeds are in fuzz/seeds; what a run adds to them, and what it finds, is under the target folder.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "fuzz: $*"; }
fail() { printf 'fuzz: %s\n' "$@" >&2; exit 1; }
usage() { sed -n 's/^# Usage: /usage: /p; s/^#  *scripts/       scripts/p' "$0" >&2; exit 2; }

all=()
for file in fuzz/fuzz_targets/*.rs; do all+=("$(basename "$file" .rs)"); done
is_target() { [[ " ${all[*]} " == *" $1 "* ]] || fail "there is no target $1." "Next step: take one of ${all[*]}."; }

length=60 replay=
case ${1:-60} in
  replay) { [ $# = 3 ] && [ -f "$3" ]; } || usage; replay=$3; shift; targets=("$1") ;;
  *[!0-9]* | 0*) usage ;;
  *) length=${1:-60}; shift $(($# > 0 ? 1 : 0)); targets=("$@"); [ ${#targets[@]} -gt 0 ] || targets=("${all[@]}") ;;
esac
for target in "${targets[@]}"; do is_target "$target"; done

scripts/setup.sh fuzz
nightly=$(cat scripts/nightly)
folder=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
binaries=$folder/build/$(rustc -vV | sed -n 's/^host: //p')/release
mkdir -p "$folder/logs"
export RUSTFLAGS="--cfg virtio_guest_stand_in"

say "building ${targets[*]} (log: $folder/logs/build.log)"
only=()
[ ${#targets[@]} != 1 ] || only=("${targets[0]}")
cargo "+$nightly" fuzz build --target-dir "$folder/build" ${only[@]+"${only[@]}"} >"$folder/logs/build.log" 2>&1 || {
  tail -n 40 "$folder/logs/build.log" >&2
  fail "the targets do not build."
}

# What every run has in common: inputs of a few hundred bytes are long lives already; a life of 10 seconds is an endless one. Without the books of
# rare features (entropic) there are a third more executions, and no fewer features.
flags=(-entropic=0 -len_control=0 -max_len=256 -timeout=10 -rss_limit_mb=2048)
if [ -n "$replay" ]; then
  exec env RUST_BACKTRACE=1 "$binaries/${targets[0]}" "${flags[@]}" "$replay"
fi

# The last line in which a run says how far it is.
progress() { grep -aE '^#[0-9]+' "$folder/logs/$1.log" | tail -n 1; }
number() { sed -nE "s/.*$1([0-9]+).*/\1/p" <<<"$2"; }

start() {
  local target=$1
  mkdir -p "$folder/corpus/$target" "$folder/findings/$target"
  cp -n "fuzz/seeds/$target"/* "$folder/corpus/$target/" 2>/dev/null || true
  "$binaries/$target" "${flags[@]}" -max_total_time="$length" -print_final_stats=1 \
    -artifact_prefix="$folder/findings/$target/" "$folder/corpus/$target" >"$folder/logs/$target.log" 2>&1 &
  running[$target]=$!
}

at_a_time=$(nproc)
declare -A running=() status=()
stop() { [ ${#running[@]} = 0 ] || kill "${running[@]}" 2>/dev/null || true; }
trap stop EXIT
trap 'exit 130' INT TERM
say "running ${#targets[@]} targets, $length s each, $at_a_time at a time"
waiting=("${targets[@]}") since_report=0
while [ ${#waiting[@]} -gt 0 ] || [ ${#running[@]} -gt 0 ]; do
  while [ ${#waiting[@]} -gt 0 ] && [ ${#running[@]} -lt "$at_a_time" ]; do
    start "${waiting[0]}"
    waiting=("${waiting[@]:1}")
  done
  sleep 1
  since_report=$((since_report + 1))
  for target in "${!running[@]}"; do
    line=$(progress "$target" || true)
    if ! kill -0 "${running[$target]}" 2>/dev/null; then
      status[$target]=0
      wait "${running[$target]}" || status[$target]=$?
      unset "running[$target]"
    elif [ "$since_report" -ge 10 ] && [ -n "$line" ]; then
      say "$(printf '%-17s %10s executions, %6s features' "$target" "$(number '^#' "$line")" "$(number ' ft: ' "$line")")"
    fi
  done
  [ "$since_report" -lt 10 ] || since_report=0
done

findings=0
echo
printf '%-17s %12s %8s %7s %9s %7s  %s\n' target executions per-s edges features corpus result
for target in "${targets[@]}"; do
  line=$(progress "$target" || true)
  result=clean
  [ "${status[$target]}" = 0 ] || { result=finding; findings=$((findings + 1)); }
  statistic() { sed -n "s/^stat::$1: *//p" "$folder/logs/$target.log" | tail -n 1; }
  printf '%-17s %12s %8s %7s %9s %7s  %s\n' "$target" "$(statistic number_of_executed_units)" "$(statistic average_exec_per_sec)" \
    "$(number ' cov: ' "$line")" "$(number ' ft: ' "$line")" "$(number ' corp: ' "$line")" "$result"
done
[ "$findings" -gt 0 ] || exit 0

for target in "${targets[@]}"; do
  [ "${status[$target]}" != 0 ] || continue
  log=$folder/logs/$target.log
  echo
  say "$target: $(grep -aA1 'panicked at' "$log" | tail -n 1 | grep . || grep -aE '^SUMMARY|ERROR' "$log" | head -n 1)"
  file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  say "Next step: scripts/fuzz.sh replay $target ${file:-FILE (none was written: see $log)}"
done
exit 1
