################################################################################
#
# gatelink
#
################################################################################

GATELINK_VERSION = $(GATELINK_FIRMWARE_VERSION)
GATELINK_SITE = $(BR2_EXTERNAL_GATELINK_PATH)/../gatelink
GATELINK_SITE_METHOD = local
GATELINK_SETUP_TYPE = setuptools
GATELINK_LICENSE = Apache-2.0

$(eval $(python-package))
