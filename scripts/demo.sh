#!/usr/bin/env bash
# Boots an example under QEMU on a disk image made for it, with a network card, or with a console, then looks at it from outside.
# Usage: scripts/demo.sh
#   EXAMPLE=block|tasks|embassy|two-queues|net|shell  what runs: files on a FAT disk (default), many tasks on one of two executors, two processors with a queue each, a web server, a shell on a console
#   MODE=tour|benchmark|discard|async           for EXAMPLE=block: files (default); requests in a second, latency, notifications and interrupts; discard and zeros; tasks that share the disk
#   MODE=serve|ping                             for EXAMPLE=net: pages, which are fetched from the host (default); thousands of pings from the guest
#   MODE=session|interactive                    for EXAMPLE=shell: a short session is typed by this script (default); you type, until `exit`
#   PORT=n                                      for EXAMPLE=net: the host's port that leads to the guest (default 8080)
#   QUEUES=n                                    for MODE=benchmark: request queues of the disk, each with a processor of its own (default 1)
#   OPTIONS='word=value ...'                    more for the guest's command line; for MODE=benchmark: depth=16 size=4k pattern=random|sequential rw=read|write seconds=2 requests=n
#   ARCH=x86_64|aarch64|riscv64                 the guest's processor (default x86_64)
#   TRANSPORT=pci|pci-legacy|mmio|mmio-legacy   how the disk or the card is connected (default pci)
#   RING=split|packed                           the virtqueue's layout (default split)
#   INTERRUPTS=msi-x|line|polling               how the guest learns that a request is done (default: the best there is)
#   MACHINE=...                                 QEMU's machine (default q35, microvm for MMIO on x86_64, virt elsewhere)
#   DISK=path                                   an image of your own, for EXAMPLE=block: an MBR with a FAT partition from 1 MiB on
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { printf 'demo: %s\n' "$@" >&2; exit 1; }

example=${EXAMPLE:-block} options=${OPTIONS:-} arch=${ARCH:-x86_64} transport=${TRANSPORT:-pci} ring=${RING:-split} interrupts=${INTERRUPTS:-}
known() { # name, value, choices
  [[ " $3 " == *" $2 "* ]] || fail "$1=$2 is not known." "Next step: take one of: $3."
}
known EXAMPLE "$example" "block tasks embassy two-queues net shell"
if [ "$example" = net ]; then
  mode=${MODE:-serve} port=${PORT:-8080}
  known MODE "$mode" "serve ping"
  [[ $port =~ ^[0-9]{1,5}$ && $port -ge 1 && $port -le 65535 ]] || fail "PORT=$port is no number from 1 to 65535." "Next step: take one of them."
  [ -z "${DISK:-}" ] || fail "EXAMPLE=net has no disk." "Next step: leave out DISK."
elif [ "$example" = shell ]; then
  mode=${MODE:-session}
  known MODE "$mode" "session interactive"
  [ "$mode" != interactive ] || [ -t 0 ] || fail "MODE=interactive is for somebody at a terminal." "Next step: leave it out, or run 'make demo' in a terminal."
else
  mode=${MODE:-tour}
  known MODE "$mode" "tour benchmark discard async"
fi
[ "$example" = net ] || [ -z "${PORT:-}" ] || fail "PORT is for EXAMPLE=net." "Next step: leave it out, or add EXAMPLE=net."
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
if [[ $example != block && $example != net && $example != shell && $mode != tour ]]; then
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
# The value of -device for a virtio device.
virtio() { # kind, properties
  case $transport in
    pci) echo "virtio-$1-pci,${2:+$2,}disable-legacy=on,packed=$packed" ;;
    pci-legacy) echo "virtio-$1-pci,${2:+$2,}disable-legacy=off,disable-modern=on" ;;
    mmio) echo "virtio-$1-device,${2:+$2,}packed=$packed" ;;
    mmio-legacy) echo "virtio-$1-device${2:+,$2}" ;;
  esac
}
case $example in
  net) device=(-device "$(virtio net netdev=net)") ;;
  shell)
    device=(-device "$(virtio serial max_ports=1)" -device virtconsole,chardev=console -device "$(virtio blk drive=disk)" -device "$(virtio net netdev=net)"
      -device "$(virtio rng rng=random)" -device "$(virtio balloon "")") ;;
  *) device=(-device "$(virtio blk "drive=disk,num-queues=$queues")") ;;
esac
force_legacy=off; [ "$transport" != mmio-legacy ] || force_legacy=on
device=(-global "virtio-mmio.force-legacy=$force_legacy" "${device[@]}")

scripts/setup.sh demo "$arch"
# Wherever cargo puts things.
folder=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
mkdir -p "$folder/demo/files"
build() {
  echo "demo: building the guest for $target"
  cargo build -q --release --target "$target" -p "example-$example"
}
log=$folder/demo/serial.log
# The guest says through QEMU's exit status how it ended: 33 for success, 35 for failure.
judge() {
  case $1 in
    33) ;;
    35) fail "the guest reports a failure; its last lines above say which." ;;
    124) fail "the guest did not finish within 60 seconds. Its output is in $log." ;;
    *) fail "QEMU ended with status $1, which is no answer of the guest's. Its output is in $log." ;;
  esac
}
limit=60; [ "$mode" != interactive ] || limit=0
start_qemu() { # words, QEMU's options
  local words=$1
  shift
  # In the foreground, so that an interrupt at the keyboard ends the guest, too.
  timeout --foreground "$limit" "qemu-system-$arch" -machine "$machine" "${guest[@]}" -m 256 -smp "$queues" -display none -no-reboot -nodefaults -monitor none \
    "$@" "${device[@]}" -kernel "$folder/$target/release/example-$example" -append "$words"
}
boot() { # words, QEMU's options
  start_qemu "$@" -serial stdio </dev/null 2>&1 | tee "$log"
  return "${PIPESTATUS[0]}"
}

if [ "$example" = shell ]; then
  build
  image=$folder/demo/shell.img
  printf 'Hello from the host.' >"$image"
  truncate -s 8M "$image"
  words="${interrupts:+interrupts=$interrupts }$options"
  words=${words% }
  options=(-serial "file:$log" -chardev stdio,id=console,signal=off -drive "file=${image//,/,,},format=raw,if=none,id=disk" -netdev user,id=net -object rng-builtin,id=random)
  # As somebody at a keyboard does: key by key, with a typo, which is taken back.
  type_session() {
    local line at
    for _ in {1..300}; do ! grep -q 'shell: ready' "$log" || break; sleep 0.1; done
    for line in help $'ehco\b\b\bcho hello, world' mem disk net random balloon 'log somebody was here' exit; do
      sleep 0.3
      for ((at = 0; at < ${#line}; at++)); do printf '%s' "${line:at:1}"; sleep 0.02; done
      printf '\r'
    done
    sleep 0.5
  }
  echo "demo: booting $example${words:+ ($words)} on $arch ($machine), devices through $transport, $ring ring"
  : >"$log"
  status=0
  if [ "$mode" = interactive ]; then
    start_qemu "$words" "${options[@]}" || status=$?
  else
    # Of the screen what is left of each row at its end.
    backspace=$'\b' step_back=$'\b \b' row_end=$'\r$'
    set +e
    type_session | start_qemu "$words" "${options[@]}" | sed -u -e ":again" -e "s/[^$backspace]$step_back//" -e "t again" -e "s/$row_end//"
    status=${PIPESTATUS[1]}
    set -e
  fi
  judge "$status"
  echo "demo: the shell ended as it was told to"
  exit 0
fi
if [ "$example" = net ]; then
  command -v curl >/dev/null || [ "$mode" = ping ] || fail "curl was not found, which fetches the guest's pages." "Next step: install it with your system's package manager, or take MODE=ping."
  build
  words="${interrupts:+interrupts=$interrupts }mode=$mode $options"
  words=${words% }
  echo "demo: booting $example ($words) on $arch ($machine), card through $transport, $ring ring"
  status=0
  if [ "$mode" = ping ]; then
    boot "$words" -netdev user,id=net || status=$?
    judge "$status"
    echo "demo: done with MODE=ping"
    exit 0
  fi
  url=http://127.0.0.1:$port
  : >"$log"
  boot "$words" -netdev "user,id=net,hostfwd=tcp:127.0.0.1:$port-:80" &
  qemu=$!
  until grep -q 'serving at port' "$log"; do
    kill -0 "$qemu" 2>/dev/null || { wait "$qemu" || status=$?; [ "$status" != 1 ] || fail "QEMU does not start; its line above says why." "Next step: if port $port is in use, take another, PORT=n."; judge "$status"; fail "the guest ended before it served anything."; }
    sleep 0.1
  done
  fetch() { echo "+ curl $url/$1" >&2; curl --silent --show-error --fail --max-time 30 "$url/$1"; }
  files=$folder/demo/fetched
  mkdir -p "$files"
  fetched=0
  { fetch "" && fetch 10M >"$files/10M" && fetch 10M.sha256 >"$files/10M.sha256" && (cd "$files" && sha256sum -c 10M.sha256); } || fetched=$?
  fetch quit || fetched=$?
  wait "$qemu" || status=$?
  judge "$status"
  [ "$fetched" = 0 ] || fail "the guest's pages did not arrive as they should; the lines above say which."
  echo "demo: fetched 10 MiB from $url, and every byte is right"
  exit 0
fi
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

build
words="${interrupts:+interrupts=$interrupts }"
[ "$mode" = tour ] || words+="mode=$mode "
[ "$mode" != benchmark ] || words+="queues=$queues "
words+=$options
words=${words% }
echo "demo: booting $example${words:+ ($words)} on $arch ($machine), disk through $transport, $ring ring"
status=0
boot "$words" -drive "file=${image//,/,,},format=raw,if=none,id=disk,discard=unmap" || status=$?
judge "$status"
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
