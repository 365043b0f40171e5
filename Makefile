# The front door. `make help` says what there is; CMake does the work.
SHELL := /bin/sh
BUILD ?= build
JOBS ?= $(shell nproc)
CONFIGURE = cmake -S . -B $(BUILD) $$(command -v ninja >/dev/null 2>&1 && echo -G Ninja) -DCMAKE_BUILD_TYPE=Release

.PHONY: help deps deps-quiet configure build run test soak sdk load eval-minnow bench asan tsan neon avx512-emulated fuzz install format clean

help:
	@echo 'Plumb: DeepSeek-V4-class models on the hardware you own.'
	@echo
	@echo '  make run PROMPT="..."   one answer from the bundled model, then exit'
	@echo '  make run                a chat with it (on a terminal)'
	@echo '  make build              the program, at build/plumb'
	@echo '  make test               every test; time per suite and a count at the end'
	@echo
	@echo '  make deps               install the Debian packages that are missing (root or sudo)'
	@echo '  make install            into PREFIX (default /usr/local), below DESTDIR if set'
	@echo '  make bench              build and run the benchmarks'
	@echo '  make eval-minnow        how well the bundled model answers, with intervals (long)'
	@echo '  make soak               the long forms of the tests; stop and go on at will'
	@echo '  make sdk                the official Python clients against a running server (installs them)'
	@echo '  make load               the server under load; LOAD_SECONDS=600 for a soak'
	@echo '  make asan               tests under AddressSanitizer and UBSan'
	@echo '  make tsan               the tests with threads, under ThreadSanitizer'
	@echo '  make neon               kernels and model for aarch64, under qemu (installs a cross compiler)'
	@echo '  make avx512-emulated    kernels and model for AVX-512, in software (installs SIMDe)'
	@echo '  make fuzz FUZZ_SECONDS=60  every fuzz target for so long (needs clang; installs it)'
	@echo '  make format             clang-format over the sources'
	@echo '  make clean              remove the build directories'
	@echo
	@echo 'After a build:  build/plumb --help'

deps:
	@tools/bootstrap.sh build test
	@echo 'Every package of the groups build and test is installed.'

deps-quiet:
	@tools/bootstrap.sh build test >&2

# Configuring anew each time is quick and notices new files and flags.
configure: deps-quiet
	@$(CONFIGURE) --log-level=WARNING > /dev/null

build: configure
	@cmake --build $(BUILD) --parallel $(JOBS) --target plumb

# Standard output carries the answer and nothing else.
run: configure
	@cmake --build $(BUILD) --parallel $(JOBS) --target plumb >&2
	@tools/run.sh $(BUILD)/plumb

test: configure
	@cmake --build $(BUILD) --parallel $(JOBS)
	@tools/run_tests.sh $(BUILD)

soak: configure
	@cmake --build $(BUILD) --parallel $(JOBS)
	@tools/soak.sh $(BUILD)

load: configure
	@cmake --build $(BUILD) --parallel $(JOBS) --target plumb serve_load
	@tools/load_gate.sh $(BUILD)

eval-minnow: deps-quiet
	@$(CONFIGURE) > /dev/null
	@cmake --build $(BUILD) --parallel $(JOBS) --target minnow_test
	@tools/eval_minnow.sh $(BUILD)

# The clients are Python packages; the program needs no Python.
sdk: configure
	@tools/bootstrap.sh sdk
	@cmake --build $(BUILD) --parallel $(JOBS) --target plumb
	@tools/sdk_tests.sh $(BUILD)

bench:
	@tools/bootstrap.sh build test bench >&2
	@$(CONFIGURE) -DPLUMB_BENCH=ON > /dev/null
	@cmake --build $(BUILD) --parallel $(JOBS)
	@tools/run_benches.sh $(BUILD)

# How well the bundled model answers does not depend on the sanitizer, and asking takes long under it;
# terminal tests wait for a program that is many times slower.
asan: deps-quiet
	@cmake --preset asan > /dev/null
	@cmake --build --preset asan --parallel $(JOBS)
	@TEST_TIMEOUT=2400 GTEST_FILTER=-Minnow.*:ChatOnTerminal.*:Serve.AnAnswerIsTheSame* tools/run_tests.sh build-asan

# The modules that start threads, and the tests that drive them. Without address randomisation where
# that is allowed: GCC 12's ThreadSanitizer does not know the widest form of it.
TSAN_TESTS ?= base_test cache_test engine_test gateway_test server_test engine_traffic_test engine_thread_test
tsan: deps-quiet
	@cmake --preset tsan > /dev/null
	@cmake --build --preset tsan --parallel $(JOBS) --target $(TSAN_TESTS)
	@$$(setarch -R true 2>/dev/null && echo setarch -R) tools/run_tests.sh build-tsan $(TSAN_TESTS)

# What may differ on aarch64, by the cross compiler and qemu-user, which is many times slower. Left to
# `make test` on such a processor: the oracle's walks and those through the cache, Math (long doubles are
# software there), tests that start themselves, and all but one that start the program.
NEON_TESTS ?= base_test tensor_test device_test kernels_agree_test fast_products_test rounding_test \
	golden_test minnow_logits_test same_bytes_test generate_test
NEON_WITHOUT ?= Math.* *DeathTest.* *SameBytes.AReused* *SameBytes.Draft* *SameBytes.Saved* *SameBytes.Trunc* \
	Generate.A* Generate.C* Generate.J* Generate.M* Generate.N* Generate.R* Tokenize.* Perplexity.*
neon: deps-quiet
	@tools/bootstrap.sh cross
	@cmake --preset neon > /dev/null
	@cmake --build --preset neon --parallel $(JOBS) --target plumb $(NEON_TESTS)
	@GTEST_FILTER="-$$(echo '$(NEON_WITHOUT)' | tr -s ' ' :)" tools/run_tests.sh build-neon $(NEON_TESTS)

# The tiers of AVX-512 on a processor that has AVX2: their intrinsics are software there, some ten times
# slower, so the same-bytes walks are those where shapes of products differ most.
EMULATED_TESTS ?= emulation_test device_test kernels_agree_test fast_products_test fast_attention_test \
	same_bytes_test
EMULATED_WITHOUT ?= *SameBytes.A* *SameBytes.D* *SameBytes.OneThread* *SameBytes.Saved* *SameBytes.Trunc*
avx512-emulated: deps-quiet
	@tools/bootstrap.sh emulation
	@cmake --preset avx512-emulated > /dev/null
	@cmake --build --preset avx512-emulated --parallel $(JOBS) --target $(EMULATED_TESTS)
	@GTEST_FILTER="-$$(echo '$(EMULATED_WITHOUT)' | tr -s ' ' :)" tools/run_tests.sh build-emulated $(EMULATED_TESTS)

FUZZ_SECONDS ?= 60
fuzz: deps-quiet
	@tools/bootstrap.sh fuzz
	@cmake --preset fuzz > /dev/null
	@cmake --build --preset fuzz --parallel $(JOBS)
	@tools/run_fuzz.sh build-fuzz $(FUZZ_SECONDS)

PREFIX ?= /usr/local
install: build
	@cmake --install $(BUILD) --prefix $(PREFIX)

format:
	@tools/bootstrap.sh format
	@git ls-files '*.h' '*.cc' | xargs clang-format-14 -i

clean:
	rm -rf build build-asan build-tsan build-neon build-emulated build-fuzz
