# Debian packages, sourced by tools/setup.
# The lab and the tests: namespaces, filters, the tools that look at them from outside.
PACKAGES_DEV="python3-venv iproute2 nftables iputils-ping procps util-linux ethtool tcpdump faketime conntrack iperf3 tinyproxy-bin udhcpc dnsmasq-base wpasupplicant chromium libnss3-tools pebble podman buildah runc netavark mmdebstrap systemd dbus-daemon curl rauc squashfs-tools openssl"
# The peers that `make bench` compares with.
PACKAGES_BENCH="openvpn haproxy"
# The emulated gateway: what makes file systems and boot scripts, and the emulator.
PACKAGES_IMAGE="qemu-system-arm ipxe-qemu mtools dosfstools e2fsprogs u-boot-tools"
