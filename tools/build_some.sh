#!/bin/sh
# Builds those of the named targets that exist: a module without tests has no test program.
# Usage: tools/build_some.sh BUILD_DIR JOBS TARGET...
set -eu
build=$1
jobs=$2
shift 2
known=$(cmake --build "$build" --target help | sed -n 's/^\.* *\([A-Za-z0-9_]*\)\(:.*\)\{0,1\}$/\1/p')
targets=""
for target in "$@"; do
  if echo "$known" | grep -qx "$target"; then targets="$targets $target"; fi
done
[ -z "$targets" ] || cmake --build "$build" --parallel "$jobs" --target $targets
