include $(BR2_EXTERNAL_GATELINK_PATH)/version.mk
include $(sort $(wildcard $(BR2_EXTERNAL_GATELINK_PATH)/package/*/*.mk))
