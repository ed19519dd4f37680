# Everything that is done with this tree, by name. `make` alone prints this help.
#
# Every target does its own set-up (tools/setup): the Debian packages that are missing and the virtual environment.

PYTHON := env PYTHONPATH=tests .venv/bin/python
# An ordinary user has the lab in a user namespace of his own; where that is not allowed the reason is said here, and
# tests that need it are skipped (in CI: fail).
WITH_RIGHTS = $$(./lab rights -- true && echo ./lab rights --)
PACKAGES := gatelink/gatelink gm_server/gm_server firmware/sitemanager lm_client/lm_client
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
test: setup lint ## Run every check and every test
	@$(WITH_RIGHTS) $(PYTHON) -m pytest $(PYTEST_ARGS)

.PHONY: lint
lint: setup ## Style, types and architecture only
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --quiet --check
	@.venv/bin/mypy --no-error-summary $(PACKAGES) tests
	@PYTHONPATH=gatelink:gm_server:firmware:lm_client .venv/bin/lint-imports >build/lint-imports.txt || { cat build/lint-imports.txt; exit 1; }

.PHONY: bench
bench: setup-bench ## Measure against OpenVPN and HAProxy: ratios on the screen and in build/bench.json
	@$(WITH_RIGHTS) $(PYTHON) -m bench $(BENCH_ARGS)

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

# The firmware image (docs/firmware.md).
.PHONY: emulated-image
emulated-image: setup-image ## The emulated gateway's image, from Debian and PyPI packages: build/image/gatelink.img
	@PYTHONPATH=tools .venv/bin/python -m image build $(IMAGE_ARGS)

.PHONY: image-lock
image-lock: setup-image ## Resolve the emulated gateway's packages anew
	@PYTHONPATH=tools .venv/bin/python -m image lock

.PHONY: test-qemu
test-qemu: setup-image ## The emulated gateway's tests at full length; IMAGE=... for another image
	@$(if $(IMAGE),GATELINK_IMAGE=$(abspath $(IMAGE)),) GATELINK_PULLED_PLUGS=30 \
		$(WITH_RIGHTS) $(PYTHON) -m pytest tests/qemu $(PYTEST_ARGS)

.PHONY: setup-image
setup-image:
	@mkdir -p build
	@tools/setup image

.PHONY: clean
clean: ## Remove what was made here
	@rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
