#!/usr/bin/env bash
# What takes seconds, before each commit: format, lints as errors, house rules, the library for three bare-metal targets.
# Usage: scripts/check.sh
set -euo pipefail
cd "$(dirname "$0")/.."
step() { echo "check: $*"; }

step "format"
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check
step "lock files"
cargo metadata --locked --format-version 1 >/dev/null
cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
adapters=(device-tree embassy-net-driver embedded-io embedded-io-async embedded-sdmmc gpt-disk-io rand_core smoltcp)
features=$(printf 'virtio-guest/%s,' "${adapters[@]}")
step "lints (host)"
cargo clippy -q --all-targets --features "$features,virtio-user/tokio" -- -D warnings
cargo clippy -q -p virtio-user --no-default-features --lib -- -D warnings
step "lints (library without default features, and with one adapter at a time)"
cargo clippy -q -p virtio-guest --no-default-features -- -D warnings
for adapter in "${adapters[@]}"; do
  cargo clippy -q -p virtio-guest --no-default-features --features "$adapter" -- -D warnings
done
step "lints (benchmarks)"
cargo clippy -q -p bench-page -- -D warnings
cargo clippy -q -p ring-bench --all-targets -- -D warnings
cargo clippy -q -p guest-bench --all-targets -- -D warnings
cargo clippy -q -p user-bench --all-targets -- -D warnings
targets=(x86_64-unknown-none aarch64-unknown-none riscv64gc-unknown-none-elf)
step "lints (bare metal: example-platform, for each architecture)"
for target in "${targets[@]}"; do
  cargo clippy -q --release --target "$target" -p example-platform -- -D warnings
done
for manifest in examples/*/Cargo.toml qemu-tests/kernels/*/Cargo.toml benches/guest/kernels/*/Cargo.toml; do
  package=$(sed -n 's/^name = "\(.*\)"/\1/p' "$manifest" | head -1)
  [ "$package" != example-platform ] || continue
  step "lints (bare metal: $package)"
  # Each by itself: features that one asks for (a heap) would be another's, too. For one architecture: what differs between them is in the platform, and tests build the programs for all.
  cargo clippy -q --release --target "${targets[0]}" -p "$package" -- -D warnings
done
for target in "${targets[@]}"; do
  step "library for $target"
  cargo build -q -p virtio-guest --no-default-features --target "$target"
  cargo build -q -p virtio-guest --no-default-features --features "$features" --target "$target"
done
step "house rules"
cargo run -q -p xtask -- floors
echo "check: ok"
