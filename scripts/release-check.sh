#!/usr/bin/env bash
# What a release needs, step by step. Nothing is published.
# Usage: scripts/release-check.sh            (BASELINE=<revision>: what the interface is compared with; default: the last tag v*)
set -euo pipefail
cd "$(dirname "$0")/.."
step() { echo "release-check: $*"; }
fail() { printf 'release-check: %s\n' "$@" >&2; exit 1; }

scripts/setup.sh release
[ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed, and a package is made of what is." "Next step: commit or stash them."
compared=(virtio-model virtio-guest)
baseline=${BASELINE:-$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || true)}

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
step "packages, each built from what it would be published with"
# In a folder of its own: cargo keeps what it unpacks of a version, by that folder's name, and versions do not change between releases.
cargo publish --quiet --workspace --dry-run --locked --target-dir "$copy/packages"

if [ -n "$baseline" ]; then
  for package in "${compared[@]}"; do
    step "semantic versions: $package against $baseline"
    cargo semver-checks --quiet --baseline-rev "$baseline" -p "$package"
  done
else
  step "semantic versions: nothing was released yet (no tag v*), so there is nothing to compare with; BASELINE=<revision> does"
fi

step "licences, sources, duplicates"
cargo deny --log-level error check bans licenses sources

step "every set of features of the library, for a target without std"
# `default` is `alloc`, which is among them.
cargo hack --quiet check -p virtio-guest --feature-powerset --exclude-features default --no-dev-deps --target x86_64-unknown-none

step "no build script, no procedural macro in the library"
[ ! -e virtio-drivers/build.rs ] && ! grep -E '^(build|proc-macro) *=' virtio-drivers/Cargo.toml || fail "the library has one."

step "ok"
