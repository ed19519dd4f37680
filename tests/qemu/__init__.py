"""The emulated gateway in the lab: it boots in QEMU, its uplink in the place `site`, its machine side in `plant`."""
