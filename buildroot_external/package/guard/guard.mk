################################################################################
#
# guard
#
################################################################################

GUARD_VERSION = $(GATELINK_FIRMWARE_VERSION)
GUARD_SITE = $(BR2_EXTERNAL_GATELINK_PATH)/../firmware/guard
GUARD_SITE_METHOD = local
GUARD_LICENSE = Apache-2.0

define GUARD_INSTALL_TARGET_CMDS
	mkdir -p $(TARGET_DIR)/usr/lib/gatelink/guard
	$(INSTALL) -m 0644 -t $(TARGET_DIR)/usr/lib/gatelink/guard $(@D)/*.py
endef

$(eval $(generic-package))
