#!/bin/sh
# Runs the tests of a build directory, prints the time of each suite and, as its last line, how many
# single tests passed and failed.
# Usage: tools/run_tests.sh BUILD_DIR [SUITE...]     (default: all; JOBS=n suites at once)
# A suite that dies without a report counts as one failure. Skipped tests are named and not counted.
set -eu
build=$1
shift
results="$PWD/$build/test-results"
case $build in /*) results="$build/test-results" ;; esac
rm -rf "$results"
mkdir -p "$results"

select=""
if [ $# -gt 0 ]; then
  select=$(printf '%s|' "$@")
  select="^(${select%|})\$"
fi
# Each GoogleTest program leaves <program>.xml here. ctest's own status is replaced by the count
# below: it knows programs, not tests.
status=0
GTEST_OUTPUT="xml:$results/" ctest --test-dir "$build" --output-on-failure --no-tests=error \
  --timeout "${TEST_TIMEOUT:-900}" -j "${JOBS:-$(nproc)}" --output-junit "$results/ctest.junit" \
  ${select:+-R "$select"} || status=$?

passed=0
failed=0
skipped=0
# One line per suite: name and how ctest saw it.
suites=$(sed -n 's/.*<testcase name="\([^"]*\)".* status="\([^"]*\)".*/\1 \2/p' "$results/ctest.junit")
while read -r name state; do
  [ -n "$name" ] || continue
  report="$results/$name.xml"
  if [ -s "$report" ]; then
    head=$(grep -m1 '<testsuites ' "$report")
    all=$(echo "$head" | sed 's/.* tests="\([0-9]*\)".*/\1/')
    bad=$(echo "$head" | sed 's/.* failures="\([0-9]*\)".*/\1/')
    skip=$(grep -c 'result="skipped"' "$report" || true)
    [ "$state" = run ] || [ "$bad" -gt 0 ] || bad=1
    passed=$((passed + all - bad - skip))
    failed=$((failed + bad))
    skipped=$((skipped + skip))
  elif [ "$state" = run ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
done <<END
$suites
END
if [ "$skipped" -gt 0 ]; then
  echo "Skipped: $skipped"
  grep -h 'result="skipped"' "$results"/*.xml | sed 's/.*<testcase name="\([^"]*\)".*classname="\([^"]*\)".*/  \2.\1/'
fi
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
