#!/usr/bin/env bash
# Measures what the drivers cost a guest, in instructions that QEMU counts. Prints a table.
# Usage: scripts/bench-guest.sh [LINE ...] | profile LINE [packed]   (where the instructions of a line go)
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh demo x86_64
cargo run -q -p guest-bench -- "$@"
