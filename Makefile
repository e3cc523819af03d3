# make demo   see the operator run in all three ways
# make test   the tests
# make check  style, types, sanitizers, and the tests
#
# Each sets up what it needs in .venv and redoes only what changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m ascend_moe_gating.simulator
CPP := $(wildcard kernels/*.cpp kernels/*.h simulator/*.cpp simulator/*.h)
# An editable install knows the modules that were there when it was made: a new list of them is a new install.
MODULES := $(shell ls plugin/*.py meta/*.py converters/*.py simulator/*.py | cksum | cut -d ' ' -f 1)
INSTALLED := $(VENV)/.installed-$(MODULES)

# torch and torch_npu that are installed beside a real CANN are used as they are, never replaced.
HOST := $(shell $(PYTHON) -c "import ctypes, importlib.util as u; ctypes.CDLL('libascendcl.so'); \
print('host' if u.find_spec('torch') and u.find_spec('torch_npu') else '')" 2>/dev/null)

.PHONY: demo test check sanitize clean

demo: $(INSTALLED)
	@$(RUN) examples/eager.py
	@$(RUN) examples/graph.py
	@$(RUN) examples/gate.py

test: $(INSTALLED)
	$(BIN)/python -m pytest

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CPP) tests/native/*.cpp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target build/installed .
	MYPYPATH=build/installed $(BIN)/mypy -p ascend_moe_gating
	$(MAKE) sanitize
	$(BIN)/python -m pytest

# The C++ parts under AddressSanitizer with UndefinedBehaviorSanitizer, and under ThreadSanitizer.
sanitize: build/sanitize-address,undefined build/sanitize-thread
	build/sanitize-address,undefined
	build/sanitize-thread

build/sanitize-%: tests/native/stand_in.cpp $(CPP)
	mkdir -p build
	$(CXX) -std=c++17 -O1 -g -pthread -D_GLIBCXX_USE_CXX11_ABI=0 -fsanitize=$* -fno-sanitize-recover=all \
	  $(filter %.cpp,$^) -o $@ -rdynamic -ldl

clean:
	rm -rf $(VENV) build

$(VENV)/.packages: requirements.txt Makefile
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
ifeq ($(HOST),host)
	$(PYTHON) -c "import site; print(*site.getsitepackages(), site.getusersitepackages(), sep='\n')" \
	  > $$($(BIN)/python -c "import site; print(site.getsitepackages()[0])")/host.pth
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  numpy protobuf packaging pyyaml pytest hypothesis expecttest ruff mypy clang-format
else
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
endif
	touch $@

$(INSTALLED): $(VENV)/.packages pyproject.toml CMakeLists.txt $(CPP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	rm -f $(VENV)/.installed-*
	touch $@
