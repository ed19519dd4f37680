#!/bin/sh
# Last changes to the target: the board's facts, the version, RAUC's configuration. Argument 2: the board's folder.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
board=$here/../../board/$2
common=$here/../../board/common
version=$(sed -n 's/^GATELINK_FIRMWARE_VERSION = //p' "$here/../version.mk")
# shellcheck source=/dev/null
. "$board/board"
mkdir -p "$TARGET_DIR/etc/gatelink" "$TARGET_DIR/etc/rauc" "$TARGET_DIR/data" "$TARGET_DIR/var/lib"
cp "$board/board" "$TARGET_DIR/etc/gatelink/board"
printf '%s\n' "$version" >"$TARGET_DIR/etc/gatelink/version"
bootloader='bootloader=custom'
[ "${BOOTLOADER:-custom}" = custom ] || bootloader="bootloader=grub\\ngrubenv=/run/gatelink/grubenv"
sed -e "s/@COMPATIBLE@/$COMPATIBLE/" -e "s|@BOOTLOADER@|$bootloader|" "$common/system.conf.in" \
    >"$TARGET_DIR/etc/rauc/system.conf"
if [ -n "${GATELINK_KEYRING:-}" ]; then
    cp "$GATELINK_KEYRING" "$TARGET_DIR/etc/rauc/keyring.pem"
else
    echo "gatelink: GATELINK_KEYRING is not set: this image accepts no update" >&2
    : >"$TARGET_DIR/etc/rauc/keyring.pem"
fi
for name in log tmp lock; do
    rm -rf "${TARGET_DIR:?}/var/$name"
    ln -s "../run/$name" "$TARGET_DIR/var/$name"
done
rm -rf "${TARGET_DIR:?}/var/lib/gatelink-sm" "$TARGET_DIR/etc/init.d" "$TARGET_DIR/etc/network"
ln -s /data/sm "$TARGET_DIR/var/lib/gatelink-sm"
ln -sf ../run/resolv.conf "$TARGET_DIR/etc/resolv.conf"
