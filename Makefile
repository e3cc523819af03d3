# make demo   see the operator run in all three ways
# make test   the tests; with PAIR=2.10.0+2.10.0.post4, or another torch+torch_npu, in an environment with these
# make pairs  the tests with every pair that is supported, one after the other, and the table of docs/supported.md
# make check  style, types, sanitizers, and the tests
# make bench  the speed of the CPU kernel against its peers, and of NPU dispatch; what is promised (about 12 minutes)
# make docs   the documentation as pages, in build/docs
# make soak   ten million random rows through every way to run the operators (2 to 20 minutes), or SOAK="--rows 1e8"
# make fuzz   libFuzzer on the kernel and on what reads graphs (needs Clang, about 5 minutes and as many to build)
# make arm    the kernel on an emulated Arm processor
# make avx512 the kernel's AVX-512 version on an x86 processor without
# make wheels the sdist, and wheels for x86-64 and aarch64 that need no compiler, in dist/; built twice, and tested
# make wheels-test the tests on the wheel of this machine, installed where there is no compiler
# make release walk through the list of RELEASE.md
#
# Each sets up what it needs in .venv and redoes only what changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m ascend_moe_gating.simulator
OPTIONS := -p tests.progress --numprocesses 2 --dist worksteal
PYTEST := $(BIN)/python -m pytest $(OPTIONS)
CPP := $(wildcard kernels/*.cpp kernels/*.h plugin/cpu/*.cpp plugin/cpu/*.h simulator/*/*.cpp simulator/*/*.h)
# An editable install knows the modules that were there when it was made: a new list of them is a new install.
MODULES := $(shell find plugin meta converters simulator -name '*.py' | sort | cksum | cut -d ' ' -f 1)
INSTALLED := $(VENV)/.installed-$(MODULES)

# torch and torch_npu that are installed beside a real CANN are used as they are, never replaced.
HOST := $(shell $(PYTHON) -c "import ctypes, importlib.util as u; ctypes.CDLL('libascendcl.so'); \
print('host' if u.find_spec('torch') and u.find_spec('torch_npu') else '')" 2>/dev/null)

# Of one torch and one torch_npu each. PAIRS="..." chooses others.
PAIRS ?= 2.5.1+2.5.1.post1 2.6.0+2.6.0.post5 2.7.1+2.7.1.post11 2.8.0+2.8.0.post5 2.9.0+2.9.0.post9 \
  2.10.0+2.10.0.post4 2.10.0+2.10.0.post7 2.13.0+2.13.0

.PHONY: demo test pairs check bench soak fuzz docs sanitize warnings arm avx512 wheels wheels-test release clean

demo: $(INSTALLED)
	@$(RUN) examples/eager.py
	@$(RUN) examples/graph.py
	@$(RUN) examples/gate.py
	@ASCEND_MOE_GATING_SOC=Ascend950PR_9579 $(RUN) examples/deepseek_v4.py
	@$(RUN) examples/expert_parallel.py

ifdef PAIR
test:
	$(PYTHON) -m tests.pairs $(PAIR)
else
test: $(INSTALLED)
	REQUIRE_COMPILER=1 REQUIRE_EVERYTHING=$(if $(HOST),0,1) $(PYTEST)
endif

pairs:
	$(PYTHON) -m tests.pairs --write $(PAIRS)

check: $(INSTALLED)
	$(BIN)/pre-commit run --all-files
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target build/installed .
	MYPYPATH=build/installed $(BIN)/mypy -p ascend_moe_gating
	$(MAKE) warnings sanitize avx512
	$(PYTEST)

# BENCH may hold --seconds, --output, --device npu.
bench: $(INSTALLED)
	$(BIN)/python -m benchmarks $(BENCH)

docs: $(VENV)/.packages
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -d build/doctrees -c docs . build/docs
	@echo build/docs/docs/index.html

# SOAK may hold --rows, --seed, --minutes, --output, and --call to repeat one; it prints the command of what was wrong.
soak: $(INSTALLED)
	$(BIN)/python -m tests.soak $(SOAK)

# FUZZ may hold options of libFuzzer, as "-max_total_time=600" for each of the fuzzers.
fuzz: $(INSTALLED)
	$(BIN)/python -m tests.fuzz $(FUZZ)

# The C++ parts under AddressSanitizer with UndefinedBehaviorSanitizer, and under ThreadSanitizer.
sanitize: sanitize-address sanitize-thread

sanitize-address: SANITIZERS := address,undefined
sanitize-thread: SANITIZERS := thread
sanitize-%: $(INSTALLED)
	$(BIN)/cmake -S . -B build/$@ -DSANITIZE=$(SANITIZERS) > /dev/null
	$(BIN)/cmake --build build/$@ -j2 > /dev/null
	build/$@/test_stand_in
	build/$@/test_kernel
	ASCEND_MOE_GATING_VECTOR=portable build/$@/test_kernel

# No compiler has a word to say about the C++. Some warnings of GCC come of its optimizations.
warnings: warnings-clang++ warnings-g++

warnings-clang++: BUILD_TYPE := Debug
warnings-g++: BUILD_TYPE := Release
warnings-%: $(INSTALLED)
	$(BIN)/cmake -S . -B build/$@ -DCMAKE_CXX_COMPILER=$* -DCMAKE_BUILD_TYPE=$(BUILD_TYPE) -DCMAKE_COMPILE_WARNING_AS_ERROR=ON > /dev/null
	$(BIN)/cmake --build build/$@ -j2 > /dev/null

# The kernel on an emulated Arm processor: needs aarch64-linux-gnu-g++ and qemu-aarch64.
arm:
	mkdir -p build
	aarch64-linux-gnu-g++ -std=c++17 -O2 -static -pthread $(wildcard kernels/*.cpp) tests/kernels/kernel.cpp -o build/kernel-arm
	qemu-aarch64 build/kernel-arm
	qemu-aarch64 -E ASCEND_MOE_GATING_VECTOR=portable build/kernel-arm

wheels: build/wheels/venv/.packages
	build/wheels/venv/bin/python -m tests.wheels

# TESTS="tests/kernels ..." chooses some.
wheels-test:
	$(PYTHON) -m tests.wheels.installed $(OPTIONS) $(TESTS)

build/wheels/venv/.packages: tests/wheels/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# RELEASE may hold --list, or --again to start over.
release: $(INSTALLED)
	@$(BIN)/python -m tests.release $(RELEASE)

# AVX-512 as tests/kernels/avx512.h writes it out; with CMAKE that of another environment than .venv builds it.
avx512: $(if $(CMAKE),,$(INSTALLED))
	$(or $(CMAKE),$(BIN)/cmake) -S . -B build/$@ -DEMULATE_AVX512=ON > /dev/null
	$(or $(CMAKE),$(BIN)/cmake) --build build/$@ -j2 --target test_kernel > /dev/null
	ASCEND_MOE_GATING_VECTOR=avx512 build/$@/test_kernel

clean:
	rm -rf $(VENV) build

$(VENV)/.packages: requirements.txt Makefile
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
ifeq ($(HOST),host)
	$(PYTHON) -c "import site; print(*site.getsitepackages(), site.getusersitepackages(), sep='\n')" \
	  > $$($(BIN)/python -c "import site; print(site.getsitepackages()[0])")/host.pth
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  numpy protobuf packaging pyyaml pytest pytest-xdist hypothesis expecttest tqdm pyelftools ruff mypy clang-format pre-commit pre-commit-hooks cmake matplotlib networkx transformers Sphinx myst-parser furo latex2mathml
else
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
endif
	touch $@

$(INSTALLED): $(VENV)/.packages pyproject.toml CMakeLists.txt $(CPP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	rm -f $(VENV)/.installed-*
	touch $@
