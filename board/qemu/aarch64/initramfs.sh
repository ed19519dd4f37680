#!/bin/busybox sh
# Finds the root slot that the boot loader chose and goes there. Whatever fails ends in a reset: the boot loader counts.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
fail() {
    echo "gatelink: $*" >/dev/kmsg
    sleep 1
    reboot -f
}
while read -r module; do
    insmod "/modules/$module" 2>/dev/null
done </modules/order
root=$(sed -n 's/.*root=PARTUUID=\([^ ]*\).*/\1/p' /proc/cmdline)
tries=0
device=
while [ -z "$device" ] && [ "$tries" -lt 50 ]; do
    device=$(partition "$root")
    [ -n "$device" ] || usleep 200000
    tries=$((tries + 1))
done
[ -n "$device" ] || fail "no partition $root"
mount -t ext4 -o ro "$device" /root || fail "cannot mount $device"
[ -x /root/sbin/init ] || fail "$device has no init"
mount -o move /dev /root/dev
umount /sys /proc
exec switch_root /root /sbin/init
fail "init does not start"
