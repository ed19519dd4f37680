#!/bin/sh
# The card: boot script, boot state, boot partition, slot A. Argument 2: the board's folder.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
board=$here/../../board/$2
common=$here/../../board/common
# shellcheck source=/dev/null
. "$board/board"
cd "$BINARIES_DIR"
python3 "$here/boot_state.py" state-1.bin state-2.bin
files=""
if [ "${BOOTLOADER:-custom}" = custom ]; then
    architecture=arm64
    [ "${BOARD:?}" = beaglebone ] && architecture=arm
    mkimage -A "$architecture" -T script -C none -d "$common/uboot/boot.cmd" boot.scr
    cp "$board/board.env" .
    files="boot.scr board.env"
fi
for name in rpi-firmware MLO u-boot.img u-boot.bin efi-part; do
    [ ! -d "$name" ] || for entry in "$name"/*; do files="$files $entry"; done
    [ ! -f "$name" ] || files="$files $name"
done
for tree in *.dtb; do
    [ ! -f "$tree" ] || files="$files $tree"
done
list=""
for name in $files; do
    list="$list\"$name\", "
done
sed -e "s|@FILES@|$list|" "$common/genimage.cfg.in" >genimage.cfg
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
rm -rf "$BUILD_DIR/genimage.tmp"
genimage --rootpath "$empty" --tmppath "$BUILD_DIR/genimage.tmp" --inputpath "$BINARIES_DIR" \
    --outputpath "$BINARIES_DIR" --config genimage.cfg
