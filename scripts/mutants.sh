#!/usr/bin/env bash
# Changes the rings' code in every small way, one at a time, and says which changes no test notices. See .cargo/mutants.toml.
# Usage: scripts/mutants.sh [ARGUMENTS OF CARGO-MUTANTS]          (an hour; for one file: scripts/mutants.sh -f '**/packed.rs')
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { printf 'mutants: %s\n' "$@" >&2; exit 1; }

scripts/setup.sh mutants
folder=$(realpath -m "${CARGO_TARGET_DIR:-target}")/mutants
mkdir -p "$folder"
# Copies are built, each in a target folder of its own; debug information is only in the way.
unset CARGO_TARGET_DIR
export CARGO_PROFILE_DEV_DEBUG=0
echo "mutants: changing one thing at a time (what was found until now: $folder/mutants.out)"
cargo mutants --output "$folder" --jobs "$(nproc)" --package virtio-guest "$@" \
  || fail "the changes above are noticed by no test." "Next step: write the test, or say in .cargo/mutants.toml why there can be none."
