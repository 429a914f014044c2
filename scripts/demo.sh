#!/usr/bin/env bash
# Boots an example under QEMU on a disk image made for it, then looks at the image from outside.
# Usage: scripts/demo.sh
#   EXAMPLE=block|tasks|embassy|two-queues      what runs: files on a FAT disk (default), many tasks on one of two executors, two processors with a queue each
#   MODE=tour|benchmark|discard|async           for EXAMPLE=block: files (default); requests in a second, latency, notifications and interrupts; discard and zeros; tasks that share the disk
#   QUEUES=n                                    for MODE=benchmark: request queues of the disk, each with a processor of its own (default 1)
#   OPTIONS='word=value ...'                    more for the guest's command line; for MODE=benchmark: depth=16 size=4k pattern=random|sequential rw=read|write seconds=2 requests=n
#   ARCH=x86_64|aarch64|riscv64                 the guest's processor (default x86_64)
#   TRANSPORT=pci|pci-legacy|mmio|mmio-legacy   how the disk is connected (default pci)
#   RING=split|packed                           the virtqueue's layout (default split)
#   INTERRUPTS=msi-x|line|polling               how the guest learns that a request is done (default: the best there is)
#   MACHINE=...                                 QEMU's machine (default q35, microvm for MMIO on x86_64, virt elsewhere)
#   DISK=path                                   an image of your own, for EXAMPLE=block: an MBR with a FAT partition from 1 MiB on
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { printf 'demo: %s\n' "$@" >&2; exit 1; }

example=${EXAMPLE:-block} mode=${MODE:-tour} options=${OPTIONS:-} arch=${ARCH:-x86_64} transport=${TRANSPORT:-pci} ring=${RING:-split} interrupts=${INTERRUPTS:-}
known() { # name, value, choices
  [[ " $3 " == *" $2 "* ]] || fail "$1=$2 is not known." "Next step: take one of: $3."
}
known EXAMPLE "$example" "block tasks embassy two-queues"
known MODE "$mode" "tour benchmark discard async"
known ARCH "$arch" "x86_64 aarch64 riscv64"
known TRANSPORT "$transport" "pci pci-legacy mmio mmio-legacy"
known RING "$ring" "split packed"
[ -z "$interrupts" ] || known INTERRUPTS "$interrupts" "msi-x line polling"
if [[ $transport == *legacy && $ring == packed ]]; then
  fail "a legacy device has no packed ring: it has 32 features, and the packed ring's has number 34." "Next step: leave out RING=packed, or take TRANSPORT=${transport%-legacy}."
fi
if [[ $transport == mmio* && $interrupts == msi-x ]]; then
  fail "virtio over MMIO has no messages (MSI-X)." "Next step: take INTERRUPTS=line, or TRANSPORT=pci."
fi
if [[ $example == two-queues && $interrupts == line ]]; then
  fail "a line interrupts one processor, and two are to be woken." "Next step: take INTERRUPTS=msi-x, or polling."
fi
if [[ $example != block && $mode != tour ]]; then
  fail "MODE is for EXAMPLE=block, and this is EXAMPLE=$example." "Next step: leave out one of both."
fi
[[ -z ${QUEUES:-} || $mode == benchmark ]] || fail "QUEUES is for MODE=benchmark." "Next step: leave it out, or add MODE=benchmark."
[[ ${QUEUES:-1} =~ ^[1-8]$ ]] || fail "QUEUES=$QUEUES is no number from 1 to 8." "Next step: take one of them."
if [ -n "${DISK:-}" ]; then
  [ "$example" = block ] || fail "EXAMPLE=$example changes every byte of its disk." "Next step: leave out DISK, or take EXAMPLE=block."
  [ "$mode" = tour ] || fail "MODE=$mode may write over all of its disk." "Next step: leave out DISK, or MODE."
  [ -f "$DISK" ] || fail "there is no disk image $DISK." "Next step: name one that exists, or run 'make demo' without DISK to have one made."
  [ -s "$DISK" ] || fail "the disk image $DISK is empty." "Next step: 'scripts/image.sh $DISK FOLDER' makes it one with a FAT file system, holding the files of FOLDER."
fi

case $arch-$transport in
  x86_64-mmio*) machine=microvm,acpi=off ;;
  x86_64-*) machine=q35 ;;
  aarch64-*) machine=virt,gic-version=3 ;;
  # Messages need the Advanced Interrupt Architecture there.
  riscv64-*) machine=virt; [[ $transport != pci* || $interrupts == line ]] || machine=virt,aia=aplic-imsic ;;
esac
machine=${MACHINE:-$machine}
case $arch in
  x86_64) target=x86_64-unknown-none guest=(-device isa-debug-exit,iobase=0xf4,iosize=0x04) ;;
  aarch64) target=aarch64-unknown-none guest=(-cpu cortex-a72 -semihosting-config enable=on,target=native) ;;
  riscv64) target=riscv64gc-unknown-none-elf guest=() ;;
esac
packed=off; [ "$ring" = split ] || packed=on
queues=${QUEUES:-1}; [ "$example" != two-queues ] || queues=2
case $transport in
  pci) disk=(-device "virtio-blk-pci,drive=disk,num-queues=$queues,disable-legacy=on,packed=$packed") ;;
  pci-legacy) disk=(-device "virtio-blk-pci,drive=disk,num-queues=$queues,disable-legacy=off,disable-modern=on") ;;
  mmio) disk=(-global virtio-mmio.force-legacy=false -device "virtio-blk-device,drive=disk,num-queues=$queues,packed=$packed") ;;
  mmio-legacy) disk=(-global virtio-mmio.force-legacy=true -device "virtio-blk-device,drive=disk,num-queues=$queues") ;;
esac

scripts/setup.sh demo "$arch"
# Wherever cargo puts things.
folder=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
mkdir -p "$folder/demo/files"
image=${DISK:-$folder/demo/disk.img}
if [[ $example != block || $mode != tour ]]; then
  image=$folder/demo/$example.img
  echo "demo: making the disk image $image, all zeros"
  rm -f "$image"
  truncate -s 8M "$image"
  [ "$mode" != benchmark ] || truncate -s 256M "$image"
elif [ -z "${DISK:-}" ]; then
  echo "demo: making the disk image $image"
  printf 'Hello from the host.\nThis file was put on the disk before the guest was started.\n' >"$folder/demo/files/HELLO.TXT"
  printf 'The guest reads this disk through virtio-guest.\n' >"$folder/demo/files/ABOUT.TXT"
  scripts/image.sh "$image" "$folder/demo/files"
fi

echo "demo: building the guest for $target"
cargo build -q --release --target "$target" -p "example-$example"
words="${interrupts:+interrupts=$interrupts }"
[ "$mode" = tour ] || words+="mode=$mode "
[ "$mode" != benchmark ] || words+="queues=$queues "
words+=$options
words=${words% }
echo "demo: booting $example${words:+ ($words)} on $arch ($machine), disk through $transport, $ring ring"
log=$folder/demo/serial.log
status=0
# In the foreground, so that an interrupt at the keyboard ends the guest, too.
timeout --foreground 60 "qemu-system-$arch" -machine "$machine" "${guest[@]}" -m 256 -smp "$queues" -display none -no-reboot -nodefaults -serial stdio -monitor none \
  -drive "file=${image//,/,,},format=raw,if=none,id=disk,discard=unmap" "${disk[@]}" \
  -kernel "$folder/$target/release/example-$example" -append "$words" </dev/null 2>&1 | tee "$log" || status=${PIPESTATUS[0]}
# The guest says through QEMU's exit status how it ended: 33 for success, 35 for failure.
case $status in
  33) ;;
  35) fail "the guest reports a failure; its last lines above say which." ;;
  124) fail "the guest did not finish within 60 seconds. Its output is in $log." ;;
  *) fail "QEMU ended with status $status, which is no answer of the guest's. Its output is in $log." ;;
esac
[ -z "${DISK:-}" ] || { echo "demo: done with $image"; exit 0; }
[[ $mode != benchmark && $mode != discard ]] || { echo "demo: done with MODE=$mode"; exit 0; }
echo "demo: the disk as the host sees it"
# What each byte of a disk of zeros is afterwards: inverted, or two more. In octal, for tr.
case $example-$mode in
  tasks-*|embassy-*|block-async) byte=377 ;;
  two-queues-*) byte=002 ;;
  block-*) byte= ;;
esac
if [ -n "$byte" ]; then
  wrong=$(tr -d "\\$byte" <"$image" | wc -c)
  [ "$wrong" -eq 0 ] || fail "$wrong bytes of $image are not what the guest says that it wrote."
  echo "each byte is 0$byte (octal)"
  exit 0
fi
mdir -i "$image@@1M" ::
mtype -i "$image@@1M" ::GUEST.TXT >/dev/null || fail "GUEST.TXT is not on the image, though the guest says that it wrote it."
echo "wrote GUEST.TXT"
