#!/usr/bin/env bash
# Runs the test stages, one after the other, each with a log of its own, and counts.
# Usage: scripts/test.sh [check|unit|races|fuzz|doc|user|sanitize|miri|qemu|conformance ...]     (default: all; nothing is skipped)
set -uo pipefail
cd "$(dirname "$0")/.."
stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(check unit races fuzz doc user sanitize miri qemu conformance)
logs=${CARGO_TARGET_DIR:-target}/test-logs
mkdir -p "$logs"
nightly=$(cat scripts/nightly)
for stage in "${stages[@]}"; do
  case $stage in check|unit|races|fuzz|doc|user|sanitize|miri|qemu|conformance) ;; *) sed -n 's/^# //p; 4q' "$0" >&2; exit 2 ;; esac
done

# What is not on by default.
features=virtio-guest/device-tree,virtio-guest/embassy-net-driver,virtio-guest/embedded-io,virtio-guest/embedded-io-async,virtio-guest/embedded-sdmmc,virtio-guest/gpt-disk-io,virtio-guest/rand_core,virtio-guest/smoltcp
stage_check() { scripts/check.sh; }
stage_unit() { cargo test --no-fail-fast -p virtio-guest -p virtio-model -p virtio-test-hal -p ring-bench -p guest-bench -p user-bench -p soak -p xtask --features "$features" --lib --bins --tests; }
stage_races() {
  # Built apart, with the hook under shared memory: a model checker stands in there, or a device that lies at every load.
  local -x RUSTFLAGS="--cfg virtio_guest_stand_in" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/stand-in"
  cargo clippy -q --release -p virtio-guest -p virtio-model --all-targets -- -D warnings \
    && cargo test --no-fail-fast --release -p virtio-guest --test races --test interleavings --test lying_memory --test balloon_lying_memory --test block_lying_memory --test order_platform --test block_wakeups --test task_wakeups --test net_header_kept
}
stage_fuzz() {
  # A short round, from the committed seeds on; each target counts as a test.
  local status=0
  # Lints need no fuzzer built in C++: nothing is linked.
  RUSTFLAGS="--cfg virtio_guest_stand_in" CUSTOM_LIBFUZZER_PATH=/nowhere/libfuzzer.a \
    cargo clippy -q --manifest-path fuzz/Cargo.toml --target-dir "${CARGO_TARGET_DIR:-target}/fuzz/lints" --all-targets -- -D warnings || return 1
  scripts/fuzz.sh 10 | tee "$logs/fuzz-round.log" || status=1
  awk '/ clean$/ { p++ } / finding$/ { f++ } END { printf "test result: %s. %d passed; %d failed\n", f ? "FAILED" : "ok", p, f }' "$logs/fuzz-round.log"
  return $status
}
stage_doc() {
  RUSTDOCFLAGS="-D warnings" cargo doc --no-deps -p virtio-guest -p virtio-model -p virtio-test-hal -p virtio-user --features "$features,virtio-user/tokio" --lib \
    && cargo test -p virtio-guest -p virtio-model -p virtio-test-hal -p virtio-user --features "$features,virtio-user/tokio" --doc
}
# The programs that miri runs; others say in their heads why not, or that they are for long rounds.
miri_programs() {
  # The longest first, as far as their sources tell.
  local all; all=$(ls -S virtio-drivers/tests/*.rs virtio-drivers/tests/*/main.rs)
  [ -z "${LONG:-}" ] || grep -l '^#!\[cfg(.*virtio_guest_long' $all
  grep -LE '^#!\[cfg\(.*(not\(miri\)|virtio_guest_stand_in)' $all
}
# The drivers in processes of Linux, at back-ends that are started, killed and started again.
stage_user() { cargo test --no-fail-fast -p virtio-user --features virtio-user/tokio --lib --bins --tests; }
stage_miri() {
  # Leaks are deliberate here: what a device may still use is not freed. The tests count them themselves.
  # Weak memory is not emulated: miri cannot do that where bytes are accessed with different widths over time, as headers are.
  local -x MIRIFLAGS="-Zmiri-ignore-leaks -Zmiri-disable-weak-memory-emulation -Zmiri-strict-provenance -Zmiri-symbolic-alignment-check"
  [ -z "${LONG:-}" ] || local -x RUSTFLAGS="--cfg virtio_guest_long"
  local miri=(cargo "+$nightly" miri test --no-fail-fast) status=0
  local threads=(two_threads task_races pool_threads)
  local program programs=()
  for program in $(miri_programs); do programs+=(--test "$(basename "${program%/main.rs}" .rs)"); done
  "${miri[@]}" -q --no-run -p virtio-guest --features "$features" --lib "${programs[@]}" || return 1
  "${miri[@]}" -q --no-run -p virtio-model -p virtio-test-hal --lib --tests || return 1
  # A program on each processor, for it uses only one.
  # Of the model only what is unsafe is run here: its memory.
  rm -rf "$logs/miri" && mkdir -p "$logs/miri"
  one() { # <log> <arguments of cargo miri test>
    local log=$logs/miri/$1.log
    echo "     Running $1"
    shift
    "${miri[@]}" "$@" >"$log" 2>&1 || echo "miri failed: $log" >>"$log.failed"
  }
  one model-memory -p virtio-model --lib memory:: &
  one library-lib -p virtio-guest --features "$features" --lib &
  for program in "${programs[@]}" test-hal; do
    case " --test ${threads[*]} " in *" $program "*) continue ;; esac
    [ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n
    case $program in
      test-hal) one test-hal -p virtio-test-hal --lib --tests & ;;
      *) one "$program" -p virtio-guest --features "$features" --test "$program" & ;;
    esac
  done
  wait
  # One after the other, for several programs write at once.
  cat "$logs"/miri/*.log
  ! cat "$logs"/miri/*.failed 2>/dev/null || status=1
  for program in "${threads[@]}"; do
    echo "     Running $program under many schedules"
    MIRIFLAGS="$MIRIFLAGS -Zmiri-many-seeds=0..8" "${miri[@]}" -p virtio-guest --features "$features" --test "$program" || status=1
  done
  return $status
}
stage_qemu() {
  # The tables that tests write, wherever cargo puts things, and no older ones.
  local tables status=0 table
  tables=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/tmp
  rm -f "$tables"/{transports,register-accesses,tasks}.md
  cargo test --no-fail-fast -p qemu-tests || status=1
  for table in transports register-accesses tasks; do
    cp "$tables/$table.md" "$logs/$table.md" || status=1
  done
  return $status
}

stage_sanitize() {
  # The drivers in ordinary processes, at real back-ends. Leaks count here: what is kept for ever on purpose is reachable.
  local host status=0 package=(-p virtio-user --all-features)
  host=$(rustc -vV | sed -n 's/^host: //p')
  local folder=${CARGO_TARGET_DIR:-target}/sanitize
  echo "     Running under AddressSanitizer: everything"
  RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$folder/address \
    cargo "+$nightly" test --no-fail-fast --target "$host" "${package[@]}" --lib --bins --tests || status=1
  # Its threads hand things over by way of the standard library, which has to be built with it.
  echo "     Running under ThreadSanitizer: what has threads of its own"
  RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR=$folder/thread TSAN_OPTIONS="suppressions=$PWD/scripts/thread-sanitizer.supp" \
    cargo "+$nightly" test --no-fail-fast -Zbuild-std --target "$host" "${package[@]}" --lib --test shared_memory --test tasks --test restart || status=1
  return $status
}

# Whether each test that a claim of conformance names ran in the stages before, and passed.
stage_conformance() { cargo run -q -p xtask -- conformance "$logs"; }

setup_log=$logs/setup.log
scripts/setup.sh test 2>&1 | tee "$setup_log"
[ "${PIPESTATUS[0]}" = 0 ] || exit 1

# While a stage runs: each program and its result to who watches, else only what goes wrong, so that a log of all this stays short.
watched='^(check: |fuzz: |test result: |error|failures:|---- |thread .* panicked|\s+Running )'
[ -t 1 ] || watched='^(test result: FAILED|fuzz: .* finding$|error|---- |thread .* panicked)'
# What a stage's log says of its failures: the lines before a line of `error`, and what failed tests printed.
failures() {
  grep -E '^(test .* FAILED|fuzz: .* finding|error.*)$' "$1" | sort -u | head -n 40
  awk '/^failures:$/ { shown = 1 } /^test result: / { shown = 0 } shown && !/^$/' "$1" | head -n 120
  echo "the end of $1:"
  tail -n 20 "$1"
}

total_passed=0 total_failed=0 bad=() table=()
for stage in "${stages[@]}"; do
  echo "== $stage"
  log=$logs/$stage.log
  start=$SECONDS
  "stage_$stage" 2>&1 | tee "$log" | { grep --line-buffered -E "$watched" || true; }
  status=${PIPESTATUS[0]}
  read -r passed failed < <(awk '/^test result: [a-zA-Z]+\. [0-9]+ passed; [0-9]+ failed/{p+=$4; f+=$6} END{print p+0, f+0}' "$log")
  total_passed=$((total_passed + passed)) total_failed=$((total_failed + failed))
  if [ "$status" != 0 ]; then
    bad+=("$stage: failed, see $log")
  elif [ "$stage" != check ] && [ "$stage" != conformance ] && [ "$passed" = 0 ]; then
    bad+=("$stage: ran no test, see $log")
  fi
  line=$(printf '%-11s %6s passed %4s failed %6s s' "$stage" "$passed" "$failed" $((SECONDS - start)))
  table+=("$line")
  [ -t 1 ] || echo "$line"
done

echo
if [[ " ${stages[*]} " == *" qemu "* ]]; then
  for tables in transports register-accesses tasks; do
    [ ! -f "$logs/$tables.md" ] || { echo "$tables: $logs/$tables.md"; [ ! -t 1 ] || { cat "$logs/$tables.md"; echo; }; }
  done
fi
printf '%s\n' "${table[@]}"
# What failed comes last, where it is found.
for problem in ${bad[@]+"${bad[@]}"}; do
  log=$logs/${problem%%:*}.log
  printf '\n-- %s\n' "$problem"
  [ ! -f "$log" ] || failures "$log"
done
# Whatever may have ended the loop above early.
[ ${#table[@]} = ${#stages[@]} ] || bad+=("of ${#stages[@]} stages ${#table[@]} were run to their end")
[ ${#bad[@]} = 0 ] || printf 'FAILED %s\n' "${bad[@]}"
[ ${#bad[@]} = 0 ] || [ "$total_failed" -gt 0 ] || total_failed=1
echo "$total_passed passed, $total_failed failed"
[ ${#bad[@]} = 0 ]
