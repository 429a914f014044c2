#!/usr/bin/env bash
# Makes this machine ready: installs what is missing, and says so before it does.
# Usage: scripts/setup.sh demo [ARCH]|fuzz|test|bench|bench-user|mutants|book|release     (demo: toolchain, C linker, mtools, QEMU for one architecture; fuzz:
#        toolchains, C++ compiler, cargo-fuzz; test: all of these, QEMU for all three, its storage daemon, iproute2, ping, curl, DPDK's testpmd, Open vSwitch with DPDK,
#        a disassembler, and miri; bench: toolchain, C linker, valgrind; bench-user: these, QEMU's storage daemon, DPDK with testpmd; mutants: toolchain, cargo-mutants; book: toolchain, mdbook;
#        release: toolchains, cargo-hack, cargo-deny, cargo-semver-checks)
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-test}
qemu_needed=$(cat scripts/qemu-version)

usage() { echo "usage: scripts/setup.sh demo [x86_64|aarch64|riscv64]|fuzz|test|bench|bench-user|mutants|book|release" >&2; exit 2; }
case $purpose in demo|fuzz|test|bench|bench-user|mutants|book|release) ;; *) usage ;; esac
architectures=(x86_64 aarch64 riscv64)
[ "$purpose" != demo ] || architectures=("${2:-x86_64}")
# The package that has QEMU for an architecture.
qemu_package() {
  case $1 in x86_64) echo qemu-system-x86 ;; aarch64) echo qemu-system-arm ;; riscv64) echo qemu-system-riscv ;; *) usage ;; esac
}
for architecture in "${architectures[@]}"; do qemu_package "$architecture" >/dev/null; done
# And its storage daemon, which tests have serve disks.
daemon_package=qemu-utils
needs_qemu() { [ "$purpose" != fuzz ] && [ "$purpose" != bench-user ]; }
needs_daemon() { [ "$purpose" = test ] || [ "$purpose" = bench-user ]; }
# What makes and looks at networks of the host's, and fetches what guests serve.
needs_network() { [ "$purpose" = test ]; }
# What serves guests' network cards from a process of its own.
needs_backends() { [ "$purpose" = test ]; }
needs_testpmd() { [ "$purpose" = test ] || [ "$purpose" = bench-user ]; }
needs_fuzzer() { [ "$purpose" != demo ] && [ "$purpose" != bench-user ]; }

say() { echo "setup: $*"; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else return 1
  fi
}

# Of a program of QEMU's.
qemu_version() { "$1" --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p' | head -1; }

qemu_is_new_enough() { local found; found=$(qemu_version "$1"); [ -n "$found" ] && [ "$found" -ge "$qemu_needed" ]; }

pinned_channel() { sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml; }

install_rust() {
  command -v rustup >/dev/null || fail "rustup was not found." "Next step: install it from https://rustup.rs, then run 'make setup' again."
  local channel; channel=$(pinned_channel)
  local wanted="rustfmt clippy rust-std-x86_64-unknown-none rust-std-aarch64-unknown-none rust-std-riscv64gc-unknown-none-elf"
  local installed; installed=$(rustup component list --toolchain "$channel" --installed 2>/dev/null || true)
  local part
  for part in $wanted; do
    if ! grep -q "^$part" <<<"$installed"; then
      say "installing Rust $channel with the components and targets of rust-toolchain.toml"
      rustup toolchain install "$channel" --profile minimal --component rustfmt,clippy \
        --target x86_64-unknown-none,aarch64-unknown-none,riscv64gc-unknown-none-elf --no-self-update
      break
    fi
  done
}

# What the toolchain's own disassembler is in: tests read the machine code of barriers.
install_disassembler() {
  local channel; channel=$(pinned_channel)
  local installed; installed=$(rustup component list --toolchain "$channel" --installed 2>/dev/null || true)
  if ! grep -q '^llvm-tools' <<<"$installed"; then
    say "adding llvm-tools to Rust $channel"
    rustup component add --toolchain "$channel" llvm-tools
  fi
}

install_nightly() {
  local nightly; nightly=$(cat scripts/nightly)
  if [ -z "$(rustup component list --toolchain "$nightly" --installed 2>/dev/null || true)" ]; then
    say "installing the toolchain $nightly"
    rustup toolchain install "$nightly" --profile minimal --no-self-update
  fi
}

# A program that cargo builds and installs: its name, and how it is asked for its version.
install_with_cargo() {
  local name=$1; shift
  "$@" --version >/dev/null 2>&1 && return
  say "installing $name with cargo (some minutes)"
  cargo install --quiet --locked "$name" || fail "$name could not be installed." "Next step: 'cargo install --locked $name' shows why."
}

install_miri() {
  local nightly; nightly=$(cat scripts/nightly)
  local installed; installed=$(rustup component list --toolchain "$nightly" --installed 2>/dev/null || true)
  if ! grep -q '^miri' <<<"$installed" || ! grep -q '^rust-src' <<<"$installed"; then
    say "adding miri and rust-src to $nightly"
    rustup component add --toolchain "$nightly" miri rust-src
  fi
}

# Debian has it beside the one without.
has_switch() {
  local program
  for program in /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk ovs-vswitchd; do
    [ -z "$("$program" --version 2>/dev/null | grep DPDK)" ] || return 0
  done
  return 1
}

# What comes with these packages and would run from now on; tests start their own. Services that were here before stay as they are.
policy=/usr/sbin/policy-rc.d
new_services=()
keep_services_from_starting() {
  local service
  for service in openvswitch-switch dpdk; do [ -e "/etc/init.d/$service" ] || [ -e "/lib/systemd/system/$service.service" ] || new_services+=("$service"); done
  [ ${#new_services[@]} -gt 0 ] && [ ! -e "$policy" ] || return 0
  printf '%s\n' '#!/bin/sh' 'case $1 in openvswitch* | ovs* | dpdk*) exit 101 ;; esac' | as_root tee "$policy" >/dev/null
  trap 'as_root rm -f "$policy"' EXIT
  as_root chmod +x "$policy"
}
keep_services_off() {
  local service
  for service in ${new_services[@]+"${new_services[@]}"}; do
    [ -e "/etc/init.d/$service" ] || [ -e "/lib/systemd/system/$service.service" ] || continue
    say "the service $service stays switched off (tests start what they need themselves)"
    if command -v systemctl >/dev/null; then as_root systemctl disable --quiet "$service" 2>/dev/null || true
    else as_root update-rc.d "$service" disable 2>/dev/null || true
    fi
  done
}

# What a person without apt, or without the right to use it, is told.
by_hand() {
  local architecture qemu_packages='' daemon='' image_tools='' backends='' fedoras='' archs='' note=''
  for architecture in "${architectures[@]}"; do qemu_packages+="${qemu_packages:+ }$(qemu_package "$architecture")"; done
  ! needs_daemon || { daemon=' qemu-storage-daemon' qemu_packages+=" $daemon_package" image_tools=' qemu-img'; }
  ! needs_backends || { backends=' dpdk-dev openvswitch-switch-dpdk' fedoras=' dpdk openvswitch-dpdk' archs=' dpdk'
    note=" For tests of back-ends dpdk-testpmd, and Open vSwitch built with DPDK ('ovs-vswitchd --version' says so)."; }
  fail "$1" "Needed: ${architectures[*]/#/qemu-system-}$daemon $qemu_needed or newer, mtools, and a C linker (cc); for the fuzzers a C++ compiler (c++); for tests of networks ip, ping, and curl.$note" \
    "Next step: install them with your system's package manager, for example" \
    "  Debian 12:      add bookworm-backports to apt's sources, then (as root)" \
    "                  apt-get install -t bookworm-backports $qemu_packages && apt-get install mtools curl iproute2 iputils-ping g++ libc6-dev$backends" \
    "  Debian 13, Ubuntu 25.10 and newer:" \
    "                  apt-get install $qemu_packages mtools curl iproute2 iputils-ping g++ libc6-dev$backends" \
    "  older Ubuntu:   build QEMU $qemu_needed from source (its packages are older); apt-get install mtools curl iproute2 iputils-ping g++ libc6-dev$backends" \
    "  Fedora:         dnf install ${architectures[*]/#/qemu-system-}$image_tools mtools curl iproute iputils gcc-c++$fedoras" \
    "  Arch:           pacman -S ${architectures[*]/#/qemu-system-}$image_tools mtools curl iproute2 iputils gcc$archs${archs:+, and Open vSwitch from source, --with-dpdk=shared}" \
    "then run 'make setup' again."
}

# The same for benchmarks, which need no QEMU.
by_hand_for_bench() {
  local dpdk='' fedoras='' archs='' again=bench-ring
  [ "$purpose" != bench-user ] || { dpdk=' libdpdk-dev pkgconf' fedoras=' dpdk-devel pkgconf' archs=' dpdk pkgconf' again=bench-user; }
  fail "$1" "Needed: valgrind, and a C linker (cc)${dpdk:+, and the development files of DPDK}." "Next step: install them with your system's package manager, for example" \
    "  Debian, Ubuntu: apt-get install valgrind gcc libc6-dev$dpdk" \
    "  Fedora:         dnf install valgrind gcc$fedoras" \
    "  Arch:           pacman -S valgrind gcc$archs" \
    "then run 'make $again' again."
}

install_bench_packages() {
  local packages=()
  command -v valgrind >/dev/null || packages+=(valgrind)
  command -v cc >/dev/null || packages+=(gcc libc6-dev)
  [ "$purpose" != bench-user ] || pkg-config --exists libdpdk 2>/dev/null || packages+=(libdpdk-dev pkgconf)
  [ ${#packages[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || by_hand_for_bench "missing: ${packages[*]}, and there is no apt here."
  as_root true 2>/dev/null || by_hand_for_bench "missing: ${packages[*]}, and no permission to install (not root, no sudo)."
  say "installing ${packages[*]} with apt"
  as_root apt-get update -qq || by_hand_for_bench "apt-get update failed."
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null \
    || by_hand_for_bench "apt-get install failed."
}

install_packages() {
  local packages=()
  local architecture qemu=()
  if needs_qemu; then
    for architecture in "${architectures[@]}"; do
      qemu_is_new_enough "qemu-system-$architecture" || qemu+=("$(qemu_package "$architecture")")
    done
  fi
  ! needs_daemon || qemu_is_new_enough qemu-storage-daemon || qemu+=("$daemon_package")
  packages+=(${qemu[@]+"${qemu[@]}"})
  ! needs_qemu || command -v mformat >/dev/null || packages+=(mtools)
  ! needs_network || command -v ip >/dev/null || packages+=(iproute2)
  ! needs_network || command -v ping >/dev/null || packages+=(iputils-ping)
  ! needs_network || command -v curl >/dev/null || packages+=(curl)
  ! needs_testpmd || command -v dpdk-testpmd >/dev/null || packages+=(dpdk-dev)
  ! needs_backends || has_switch || packages+=(openvswitch-switch-dpdk)
  ! needs_fuzzer || command -v c++ >/dev/null || packages+=(g++)
  command -v cc >/dev/null || packages+=(gcc libc6-dev)
  [ ${#packages[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || by_hand "missing or too old: ${packages[*]}, and there is no apt here."
  as_root true 2>/dev/null || by_hand "missing or too old: ${packages[*]}, and no permission to install (not root, no sudo)."

  local from=()
  if [ ${#qemu[@]} -gt 0 ] && grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
    if ! grep -rqsE '^[^#]*bookworm-backports' /etc/apt/sources.list /etc/apt/sources.list.d; then
      # Wherever this machine's other packages come from, the backports are there, too.
      local mirror; mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 'Component: main' | head -1)
      [ -n "$mirror" ] || by_hand "apt does not say where its packages for Debian 12 come from, so bookworm-backports could not be added."
      say "Debian 12 has QEMU 7.2: adding bookworm-backports to apt's sources"
      echo "deb $mirror bookworm-backports main" \
        | as_root tee /etc/apt/sources.list.d/bookworm-backports.list >/dev/null || by_hand "apt's sources could not be changed."
    fi
    from=(-t bookworm-backports)
  fi
  say "installing ${packages[*]} with apt"
  as_root apt-get update -qq || by_hand "apt-get update failed."
  if [ ${#qemu[@]} -gt 0 ]; then
    local offered; offered=$(apt-cache "${from[@]}" policy "${qemu[0]}" | sed -n 's/ *Candidate: \([0-9]*:\)\?\([0-9]*\).*/\2/p')
    [ "${offered:-0}" -ge "$qemu_needed" ] || by_hand "this system's packages have QEMU ${offered:-none}; that is too old, and nothing was installed."
  fi
  ! needs_testpmd || keep_services_from_starting
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${from[@]}" "${packages[@]}" >/dev/null \
    || by_hand "apt-get install failed."
  keep_services_off
  local program programs=()
  ! needs_qemu || programs+=("${architectures[@]/#/qemu-system-}")
  ! needs_daemon || programs+=(qemu-storage-daemon)
  for program in ${programs[@]+"${programs[@]}"}; do
    qemu_is_new_enough "$program" || by_hand "$program $(qemu_version "$program") is what this system's packages have; that is too old."
  done
  ! needs_testpmd || command -v dpdk-testpmd >/dev/null || by_hand "this system's package dpdk-dev has no dpdk-testpmd."
  ! needs_backends || has_switch || by_hand "this system's Open vSwitch was built without DPDK."
}

install_rust
if [ "$purpose" = bench ]; then
  install_bench_packages
  say "ready: $(valgrind --version), $(rustc --version)"
  exit 0
fi
if [ "$purpose" = mutants ]; then
  install_with_cargo cargo-mutants cargo mutants
  say "ready: $(cargo mutants --version), $(rustc --version)"
  exit 0
fi
if [ "$purpose" = book ]; then
  install_with_cargo mdbook mdbook
  say "ready: $(mdbook --version), $(rustc --version)"
  exit 0
fi
if [ "$purpose" = release ]; then
  install_nightly
  install_with_cargo cargo-hack cargo hack
  install_with_cargo cargo-deny cargo deny
  install_with_cargo cargo-semver-checks cargo semver-checks
  say "ready: $(cargo hack --version), $(cargo deny --version), $(cargo semver-checks --version), $(rustc --version)"
  exit 0
fi
install_packages
ready=()
if [ "$purpose" = bench-user ]; then
  install_bench_packages
  ready+=("$(valgrind --version)" "DPDK $(pkg-config --modversion libdpdk)")
fi
! needs_fuzzer || { install_nightly; install_with_cargo cargo-fuzz cargo fuzz; }
[ "$purpose" != test ] || { install_disassembler; install_miri; }
! needs_qemu || ready=("$("qemu-system-${architectures[0]}" --version | head -1) for ${architectures[*]}")
! needs_daemon || ready+=("$(qemu-storage-daemon --version | head -1)")
! needs_testpmd || ready+=("dpdk-testpmd")
! needs_backends || ready+=("Open vSwitch with DPDK")
! needs_fuzzer || ready+=("$(cargo fuzz --version)")
say "ready: $(printf '%s, ' "${ready[@]}")$(rustc --version)"
