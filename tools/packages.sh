# Debian packages, sourced by tools/setup.
# The lab and the tests: namespaces, filters, the tools that look at them from outside.
PACKAGES_DEV="python3-venv iproute2 nftables iputils-ping procps util-linux ethtool tcpdump faketime conntrack iperf3 tinyproxy-bin udhcpc chromium"
# The peers that `make bench` compares with.
PACKAGES_BENCH="openvpn haproxy"
