# Everything that is done with this tree, by name. `make` alone prints this help.
#
# Every target does its own set-up (tools/setup): the Debian packages that are missing and the virtual environment.

# -P: this folder is not searched, where `gm_server` is a folder and not the package.
PYTHON := env PYTHONPATH=tests .venv/bin/python -P
# An ordinary user has the lab in a user namespace of his own; where that is not allowed the reason is said here, and
# tests that need it are skipped (in CI: fail).
WITH_RIGHTS = $$(./lab rights -- true && echo ./lab rights --)
PACKAGES := gatelink/gatelink gm_server/gm_server firmware/sitemanager firmware/guard lm_client/lm_client tools/image
.DEFAULT_GOAL := help

.PHONY: help
help: ## Print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup ## Show the whole system at work: a PC reads a PLC through a SiteManager and a GateManager
	@$(PYTHON) -m lab.demo

.PHONY: lab
lab: setup ## The same system, up until Ctrl-C; `./lab` reaches into it from another terminal
	@./lab up

.PHONY: test
# File by file in their order: each process has one lab at a time, and browsers come last (tests/conftest.py).
IN_PROCESSES := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
test: setup lint ## Run every check and every test
	@$(WITH_RIGHTS) $(PYTHON) -m pytest $(IN_PROCESSES) $(PYTEST_ARGS)

.PHONY: lint
lint: setup ## Style, types and architecture only
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --quiet --check
	@.venv/bin/mypy --no-error-summary $(PACKAGES) tests
	@PYTHONPATH=gatelink:gm_server:firmware:lm_client .venv/bin/lint-imports >build/lint-imports.txt || { cat build/lint-imports.txt; exit 1; }

.PHONY: portal-files
portal-files: ## What the portal's pages load, from npm: before `pip install ./gm_server`
	@tools/portal-files

.PHONY: container
container: setup ## The GateManager's container, localhost/gatelink-gm (gm_server/Containerfile)
	@tools/container $(BASE)

.PHONY: bench
bench: setup-bench ## Measure against OpenVPN and HAProxy: ratios on the screen and in build/bench.json
	@$(WITH_RIGHTS) $(PYTHON) -m bench $(BENCH_ARGS)

.PHONY: soak
soak: setup ## Does a SiteManager grow? SOAK_ARGS="sessions --count 10000" or "alone --minutes 60"
	@$(WITH_RIGHTS) $(PYTHON) -m bench.soak $(or $(SOAK_ARGS),sessions)

.PHONY: deb-lm
deb-lm: setup ## Build the LinkManager's Debian package, from this tree and the locked packages alone
	@.venv/bin/python tools/deb_lm.py

.PHONY: setup
setup: ## Only the set-up
	@mkdir -p build
	@tools/setup dev

.PHONY: setup-bench
setup-bench:
	@mkdir -p build
	@tools/setup bench

.PHONY: lock
lock: setup ## Resolve requirements/dev.in anew into requirements/dev.lock, with hashes
	@.venv/bin/pip install --quiet --disable-pip-version-check --target build/uv uv
	@cd requirements && ../build/uv/bin/uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --python-version 3.11 --python ../.venv/bin/python dev.in -o dev.lock

# The firmware image (docs/firmware.md). BUILDROOT is an unpacked release of Buildroot 2026.02.
BOARDS := $(patsubst buildroot_external/configs/gatelink_%_defconfig,%,$(wildcard buildroot_external/configs/*))
BUILDROOT ?=
OUTPUT ?= build/buildroot/$(BOARD)
FIRMWARE_VERSION := $(shell sed -n 's/^GATELINK_FIRMWARE_VERSION = //p' buildroot_external/version.mk)
IMAGE_TOOL = PYTHONPATH=tools .venv/bin/python -m image
in_buildroot = $(MAKE) -C "$(BUILDROOT)" BR2_EXTERNAL=$(CURDIR)/buildroot_external O=$(abspath $(1))

.PHONY: boards
boards: ## The boards that there are images for
	@printf '%s\n' $(BOARDS)

.PHONY: image
image: need-buildroot ## The image of a board: make image BOARD=raspberrypi4_64 BUILDROOT=/path/to/buildroot-2026.02.3
	@$(if $(filter $(BOARD),$(BOARDS)),,echo "make: no board '$(BOARD)'; there are: $(BOARDS)" >&2; exit 1)
	@mkdir -p $(OUTPUT)
	@$(call in_buildroot,$(OUTPUT)) gatelink_$(BOARD)_defconfig
	@python3 buildroot_external/scripts/check_config.py buildroot_external/configs/gatelink_$(BOARD)_defconfig $(OUTPUT)/.config
	@$(call in_buildroot,$(OUTPUT))
	@python3 buildroot_external/scripts/check_config.py board/common/linux.fragment $(OUTPUT)/build/linux-*/.config

$(addsuffix -menuconfig,$(BOARDS)): %-menuconfig: need-buildroot
	@mkdir -p build/buildroot/$*
	@$(call in_buildroot,build/buildroot/$*) gatelink_$*_defconfig
	@$(call in_buildroot,build/buildroot/$*) menuconfig
	@$(call in_buildroot,build/buildroot/$*) savedefconfig \
		BR2_DEFCONFIG=$(CURDIR)/buildroot_external/configs/gatelink_$*_defconfig

.PHONY: need-buildroot
need-buildroot:
	@test -f "$(BUILDROOT)/Makefile" || { echo "make: BUILDROOT=DIRECTORY is needed: an unpacked release 2026.02 of" \
		"buildroot.org" >&2; exit 1; }

.PHONY: flash
flash: setup ## Write an image to a card: make flash DEVICE=/dev/sdX IMAGE=...
	@PYTHONPATH=tools .venv/bin/python -m image.flash "$(IMAGE)" "$(DEVICE)"

.PHONY: bundle
bundle: setup-image ## A signed update of the emulated gateway; VERSION=, SIGNER= and KEY= (files or pkcs11: addresses)
	@$(IMAGE_TOOL) bundle --firmware-version $(or $(VERSION),$(FIRMWARE_VERSION)) \
		$(if $(SIGNER),--certificate "$(SIGNER)" --key "$(KEY)",)

.PHONY: emulated-image
emulated-image: setup-image ## The emulated gateway's image, from Debian and PyPI packages: build/image/gatelink.img
	@$(IMAGE_TOOL) build --firmware-version $(FIRMWARE_VERSION) $(IMAGE_ARGS)

.PHONY: image-lock
image-lock: setup-image ## Resolve the emulated gateway's packages anew
	@$(IMAGE_TOOL) lock

.PHONY: qemu
qemu: emulated-image ## The emulated gateway in the lab, up until Ctrl-C, ready to be tried
	@$(WITH_RIGHTS) $(PYTHON) -m qemu.visit

.PHONY: test-qemu
test-qemu: setup-image ## The emulated gateway's tests at full length; IMAGE=... for another image
	@$(if $(IMAGE),GATELINK_IMAGE=$(abspath $(IMAGE)),) GATELINK_QEMU=1 \
		$(WITH_RIGHTS) $(PYTHON) -m pytest tests/qemu $(PYTEST_ARGS)

.PHONY: bench-image
bench-image: emulated-image ## Figures of the image: sizes, boot, memory, what each import costs
	@$(WITH_RIGHTS) $(PYTHON) -m qemu.bench

.PHONY: setup-image
setup-image:
	@mkdir -p build
	@tools/setup image

.PHONY: clean
clean: ## Remove what was made here
	@rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
