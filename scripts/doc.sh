#!/usr/bin/env bash
# Builds the guide as a book and the documentation of the crates, without a warning, and checks that links lead somewhere and code is compiled by somebody.
# Usage: scripts/doc.sh
set -euo pipefail
cd "$(dirname "$0")/.."
step() { echo "doc: $*"; }
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")

scripts/setup.sh book
step "links, code and commands of all pages"
cargo run -q -p xtask -- floors
step "the guide"
said=$(mdbook build docs --dest-dir "$target/book" 2>&1) || { echo "$said"; exit 1; }
! grep -E 'WARN|ERROR' <<<"$said" || exit 1
step "the crates"
RUSTDOCFLAGS="-D warnings" cargo doc -q --no-deps -p virtio-guest -p virtio-model -p virtio-test-hal -p virtio-user --all-features --lib
step "the code of pages and crates (a minute or two)"
cargo test -q --no-fail-fast -p virtio-guest -p virtio-model -p virtio-test-hal -p virtio-user --all-features --doc
step "ok: open $target/book/index.html and $target/doc/virtio_guest/index.html"
