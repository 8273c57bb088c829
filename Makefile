# Two commands are enough: `make demo` and `make test`. Both set up what they need in local
# virtual environments from the package registry; nothing is installed on the system.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := $(CURDIR)/.venv
TRAINING_VENV := $(CURDIR)/.venv-training
# Ubuntu 22.04's; newer ones have no wheels of what goes with it.
OLDEST_PYTHON ?= python3.10
OLDEST_VENV := $(CURDIR)/.venv-oldest
LIBRARIES_VENV := $(CURDIR)/.venv-libraries
DOCS_VENV := $(CURDIR)/.venv-docs
LINT_VENV := $(CURDIR)/.venv-lint
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-input
WS := $(CURDIR)/ros2_ws
OUT ?= out/demo
# The product, then what the laboratory needs beside it.
RUNTIME := requirements/runtime.txt requirements/laboratory.txt
# Those whose runtimes are in the training environment alone.
ENGINE_TESTS := test/test_engines_openvino.py test/test_engines_tensorrt.py test/test_engines_tensorrt_build.py
# One package for `make build PKG=dsad_detector`; all by default.
PKG ?=
# Images whose masks `make test-arm64` compares with this machine's.
FRAMES ?=
# The parts of `make test`, those that take longest first.
PARTS := test-training test-dsad_detector test-dsad_replay test-dsad_core test-dsad_tools test-system
PARTS += $(filter-out $(PARTS),$(patsubst $(WS)/src/%,test-%,$(wildcard $(WS)/src/*)))
# One more at a time than there are cores: tests of nodes wait for processes most of the time.
JOBS ?= $(shell expr $$(nproc) + 1)
# Each target's output comes in one piece, when it ends.
TOGETHER = $(MAKE) --no-print-directory --jobs=$(JOBS) --keep-going --output-sync=target

# Variables of a sourced ROS 2, a venv or a parent test run would leak into ours, and so would make's own.
CLEAN_ENV := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
  -u ROS_DISTRO -u AMENT_PREFIX_PATH -u CMAKE_PREFIX_PATH -u COLCON_PREFIX_PATH \
  -u PYTHONPATH -u LD_LIBRARY_PATH -u VIRTUAL_ENV -u _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: help setup build demo docs lint robot test ci test-libraries test-oldest test-arm64 clean $(PARTS)

help:
	@echo 'make demo                run on generated infrared scenes; leaves out/demo/report.html'
	@echo 'make demo DATA=<folder>  run on a data set, image folder or annotated sequence'
	@echo 'make demo BAG=<bag>      run on a recorded infrared bag'
	@echo 'make test                every test, several parts at a time'
	@echo 'make test-dsad_detector  those of one package; or test-training, test-system'
	@echo 'make test-oldest         dsad_core and dsad_tools with the oldest packages they may meet; needs Python 3.10'
	@echo 'make test-libraries PYTHON=python3.14   dsad_core and dsad_tools with another Python'
	@echo 'make test-arm64          the compiled kernels, built for ARM, under emulation; FRAMES=<images> compares answers'
	@echo 'make docs                the documentation site, in out/site'
	@echo 'make lint                layout, lint and types of the whole tree'
	@echo 'make build               build the workspace only; then `source env.sh`'
	@echo 'make clean               remove what the build made'

$(VENV)/.ready: $(RUNTIME) requirements/ros.txt requirements/test.txt
	@$(PYTHON) requirements/check_system.py
	@echo 'Setting up .venv (ROS 2 Jazzy wheels and the runtime, about 400 MB) ...'
	@# A link is an environment that several checkouts share: it is brought up to date, not made anew.
	@test -L $(VENV) || $(CLEAN_ENV) $(PYTHON) -m venv --clear $(VENV)
	@$(CLEAN_ENV) $(VENV)/bin/python $(PIP_INSTALL) $(RUNTIME:%=-r %) -r requirements/ros.txt -r requirements/test.txt
	@touch $@

$(TRAINING_VENV)/.ready: $(RUNTIME) requirements/engines.txt requirements/training.txt requirements/test.txt
	@$(PYTHON) requirements/check_system.py
	@echo 'Setting up .venv-training (torch, OpenVINO, TensorRT-RTX; about 2 GB) ...'
	@test -L $(TRAINING_VENV) || $(CLEAN_ENV) $(PYTHON) -m venv --clear $(TRAINING_VENV)
	@$(CLEAN_ENV) $(TRAINING_VENV)/bin/python $(PIP_INSTALL) $(RUNTIME:%=-r %) -r requirements/engines.txt -r requirements/training.txt -r requirements/test.txt
	@touch $@

KERNELS := $(wildcard dsad_core/dsad_core/engines/direct/*.?pp)

# Its own step: a new command or entry point needs this, not another download of torch.
$(TRAINING_VENV)/.installed: $(TRAINING_VENV)/.ready dsad_core/setup.py dsad_tools/setup.py training/pyproject.toml $(KERNELS)
	@$(CLEAN_ENV) $(TRAINING_VENV)/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation -e dsad_core -e dsad_tools -e training
	@touch $@

setup: $(VENV)/.ready

build: $(VENV)/.ready
	@cd $(WS) && $(CLEAN_ENV) PATH=$(VENV)/bin:$$PATH AMENT_PREFIX_PATH=$(VENV) CMAKE_PREFIX_PATH=$(VENV) \
	  $(VENV)/bin/colcon --log-level error build --symlink-install $(if $(PKG),--packages-select $(PKG)) \
	  --event-handlers console_cohesion- \
	  --cmake-args -DCMAKE_PROJECT_INCLUDE=$(WS)/wheel_paths.cmake -DPython3_EXECUTABLE=$(VENV)/bin/python

demo: build
	@$(CLEAN_ENV) DATA='$(DATA)' BAG='$(BAG)' OUT='$(OUT)' bash launch/demo.sh

test:
	@echo 'The tests of each part are shown when it ends.'
	@$(TOGETHER) $(PARTS)

# What continuous integration runs.
ci:
	@$(TOGETHER) $(PARTS) lint docs

$(filter-out test-training,$(PARTS)): test-%: build
	@$(CLEAN_ENV) bash tests/run.sh $*

test-training: $(TRAINING_VENV)/.installed
	@echo '== training'
	@cd training && $(CLEAN_ENV) $(TRAINING_VENV)/bin/python -m pytest -q test
	@cd dsad_core && $(CLEAN_ENV) $(TRAINING_VENV)/bin/python -m pytest -q $(ENGINE_TESTS)

test-oldest:
	@$(CLEAN_ENV) $(OLDEST_PYTHON) -m venv --clear $(OLDEST_VENV)
	@$(CLEAN_ENV) $(OLDEST_VENV)/bin/python $(PIP_INSTALL) -r requirements/oldest.txt
	@$(CLEAN_ENV) $(OLDEST_VENV)/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation -e dsad_core -e dsad_tools
	@cd dsad_core && $(CLEAN_ENV) $(OLDEST_VENV)/bin/python -m pytest -q -W ignore test
	@cd dsad_tools && $(CLEAN_ENV) $(OLDEST_VENV)/bin/python -m pytest -q -W ignore test

test-libraries:
	@$(CLEAN_ENV) $(PYTHON) -m venv --clear $(LIBRARIES_VENV)
	@$(CLEAN_ENV) $(LIBRARIES_VENV)/bin/python $(PIP_INSTALL) $(RUNTIME:%=-r %) -r requirements/test.txt setuptools==79.0.1
	@$(CLEAN_ENV) $(LIBRARIES_VENV)/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation -e dsad_core -e dsad_tools
	@cd dsad_core && $(CLEAN_ENV) $(LIBRARIES_VENV)/bin/python -m pytest -q test
	@cd dsad_tools && $(CLEAN_ENV) $(LIBRARIES_VENV)/bin/python -m pytest -q test

test-arm64: build
	@$(CLEAN_ENV) bash tests/arm64/run.sh $(FRAMES)

$(DOCS_VENV)/.ready: requirements/docs.txt
	@$(CLEAN_ENV) $(PYTHON) -m venv --clear $(DOCS_VENV)
	@$(CLEAN_ENV) $(DOCS_VENV)/bin/python $(PIP_INSTALL) -r requirements/docs.txt
	@touch $@

# The pages of parameters, messages and engines come from the code, hence the build.
docs: build $(DOCS_VENV)/.ready
	@source env.sh && python docs/generate.py out/docs
	@$(CLEAN_ENV) NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --quiet
	@echo 'out/site/index.html'

# mypy reads the types of torch, NumPy and the rest where they are installed; whichever version that is, is used.
$(LINT_VENV)/.ready: requirements/lint.txt | $(TRAINING_VENV)/.ready
	@$(CLEAN_ENV) $(PYTHON) -m venv --clear $(LINT_VENV)
	@ls -d $(TRAINING_VENV)/lib/python*/site-packages > $$(echo $(LINT_VENV)/lib/python*/site-packages)/training.pth
	@$(CLEAN_ENV) $(LINT_VENV)/bin/python $(PIP_INSTALL) -r requirements/lint.txt
	@touch $@

lint: $(LINT_VENV)/.ready
	@$(LINT_VENV)/bin/ruff check --quiet
	@$(LINT_VENV)/bin/ruff format --check --quiet
	@$(LINT_VENV)/bin/clang-format --dry-run --Werror $(KERNELS) $(wildcard training/dsad_training/native/*.?pp)
	@$(CLEAN_ENV) $(LINT_VENV)/bin/mypy

# What README.md tells to do on a robot, where ROS 2 is from apt; changes the system, so it is for containers.
robot:
	@apt-get update -q && apt-get install -y -q --no-install-recommends python3-pip python3-rosdep
	@PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install -q -r requirements/robot-cpu.txt
	@rosdep update -q --rosdistro $$ROS_DISTRO
	@set +u && source /opt/ros/$$ROS_DISTRO/setup.bash && cd $(WS) \
	  && rosdep install --ignore-src -y --from-paths $$(colcon list --paths-only --packages-up-to dsad_bringup) \
	  && colcon build --packages-up-to dsad_bringup && source install/setup.bash \
	  && ros2 launch dsad_bringup detector.launch.py --show-args

clean:
	@rm -rf $(WS)/build $(WS)/install $(WS)/log $(VENV) $(TRAINING_VENV) $(OLDEST_VENV) $(LIBRARIES_VENV) $(DOCS_VENV) $(LINT_VENV)
