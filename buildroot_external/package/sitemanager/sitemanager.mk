################################################################################
#
# sitemanager
#
################################################################################

SITEMANAGER_VERSION = $(GATELINK_FIRMWARE_VERSION)
SITEMANAGER_SITE = $(BR2_EXTERNAL_GATELINK_PATH)/../firmware
SITEMANAGER_SITE_METHOD = local
SITEMANAGER_SETUP_TYPE = setuptools
SITEMANAGER_LICENSE = Apache-2.0

# The daemon and its set-up page, each with a user of its own.
define SITEMANAGER_USERS
	gatelink-sm 800 gatelink-sm 800 * /var/lib/gatelink-sm /bin/false dialout Gatelink SiteManager
	gatelink-page 801 gatelink-page 801 * / /bin/false - Gatelink set-up page
endef

$(eval $(python-package))
