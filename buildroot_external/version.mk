# The one place of the firmware's version: packages, image and bundles have it from here.
GATELINK_FIRMWARE_VERSION = 0.1.0
