# The front door only: meson builds. `make help` says what there is.
BUILD ?= build

.PHONY: help build
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

build: $(BUILD)/build.ninja ## build everything
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup $(BUILD) .
