#!/usr/bin/env bash
# Boots the block example under QEMU on a disk image with a FAT file system, then looks at the image from outside.
# Usage: scripts/demo.sh          (DISK=path uses an image of your own: an MBR with a FAT partition from 1 MiB on)
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { printf 'demo: %s\n' "$@" >&2; exit 1; }

if [ -n "${DISK:-}" ]; then
  [ -f "$DISK" ] || fail "there is no disk image $DISK." "Next step: name one that exists, or run 'make demo' without DISK to have one made."
  [ -s "$DISK" ] || fail "the disk image $DISK is empty." "Next step: 'scripts/image.sh $DISK FOLDER' makes it one with a FAT file system, holding the files of FOLDER."
fi
scripts/setup.sh demo
# Wherever cargo puts things.
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
mkdir -p "$target/demo/files"
image=${DISK:-$target/demo/disk.img}
if [ -z "${DISK:-}" ]; then
  echo "demo: making the disk image $image"
  printf 'Hello from the host.\nThis file was put on the disk before the guest was started.\n' >"$target/demo/files/HELLO.TXT"
  printf 'The guest reads this disk through virtio-guest.\n' >"$target/demo/files/ABOUT.TXT"
  scripts/image.sh "$image" "$target/demo/files"
fi

echo "demo: building the guest"
cargo build -q --release --target x86_64-unknown-none -p example-block
echo "demo: booting it"
log=$target/demo/serial.log
status=0
timeout 60 qemu-system-x86_64 -machine q35 -m 256 -display none -no-reboot -serial stdio -monitor none \
  -device isa-debug-exit,iobase=0xf4,iosize=0x04 \
  -drive "file=${image//,/,,},format=raw,if=none,id=disk" -device virtio-blk-pci,drive=disk,disable-legacy=on \
  -kernel "$target/x86_64-unknown-none/release/example-block" </dev/null 2>&1 | tee "$log" || status=${PIPESTATUS[0]}
# The guest says through QEMU's exit status how it ended: 33 for success, 35 for failure.
case $status in
  33) ;;
  35) fail "the guest reports a failure; its last lines above say which." ;;
  124) fail "the guest did not finish within 60 seconds. Its output is in $log." ;;
  *) fail "QEMU ended with status $status, which is no answer of the guest's. Its output is in $log." ;;
esac
[ -z "${DISK:-}" ] || { echo "demo: done with $image"; exit 0; }
echo "demo: the disk as the host sees it"
mdir -i "$image@@1M" ::
mtype -i "$image@@1M" ::GUEST.TXT >/dev/null || fail "GUEST.TXT is not on the image, though the guest says that it wrote it."
echo "wrote GUEST.TXT"
