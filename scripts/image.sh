#!/usr/bin/env bash
# Makes a disk image: an MBR with one FAT partition from 1 MiB on, holding the files of a folder.
# Usage: scripts/image.sh IMAGE FOLDER
set -euo pipefail
[ $# = 2 ] || { echo "usage: scripts/image.sh IMAGE FOLDER" >&2; exit 2; }
image=$1 folder=$2
mib=32
rm -f "$image"
truncate -s ${mib}M "$image"
# One partition, type 0x0e (FAT16, LBA), from sector 2048 to the end; then the boot signature.
sectors=$((mib * 2048 - 2048))
entry=$(printf '\\x00\\xfe\\xff\\xff\\x0e\\xfe\\xff\\xff\\x00\\x08\\x00\\x00')
length=$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $((sectors & 255)) $((sectors >> 8 & 255)) $((sectors >> 16 & 255)) $((sectors >> 24 & 255)))
printf "$entry$length" | dd of="$image" bs=1 seek=446 conv=notrunc status=none
printf '\x55\xaa' | dd of="$image" bs=1 seek=510 conv=notrunc status=none
export MTOOLS_SKIP_CHECK=1
mformat -i "$image@@1M" -T "$sectors" -h 64 -s 32 -H 2048 -v DEMO ::
mcopy -i "$image@@1M" "$folder"/* ::
