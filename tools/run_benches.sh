#!/bin/sh
# Runs every benchmark of a build directory; JSON beside each program, with commit and machine.
# Usage: tools/run_benches.sh BUILD_DIR
set -eu
build=$1
commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
for bench in "$build"/bench/*_bench; do
  [ -x "$bench" ] || continue
  "$bench" --benchmark_out="$bench.json" --benchmark_out_format=json \
    --benchmark_context=commit="$commit"
done
