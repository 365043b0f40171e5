#!/bin/sh
# Drives a built plumb with the official Python packages of OpenAI and Anthropic (tests/sdk).
# Usage: tools/sdk_tests.sh BUILD_DIR [PYTEST_ARGUMENT...]
# The packages come from PyPI into BUILD_DIR/sdk-venv, once. Last line: "N passed, N failed"; a
# skipped test counts as failed.
set -eu
build=$(cd "$1" && pwd)
shift
here=$(cd "$(dirname "$0")/.." && pwd)
wanted=$here/tests/sdk/requirements.txt
venv=$build/sdk-venv
results=$build/sdk-results.xml

if ! cmp -s "$wanted" "$venv/installed.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
  cp "$wanted" "$venv/installed.txt"
fi

rm -f "$results"
status=0
PLUMB_PROGRAM=$build/plumb PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here/tests/sdk \
  "$venv/bin/python" -m pytest -p no:cacheprovider --durations 5 --junit-xml "$results" \
  "$@" "$here/tests/sdk" || status=$?

# The attribute of the suite, 0 if there is no report.
count() {
  sed -n "s/.*<testsuite [^>]*$1=\"\([0-9]*\)\".*/\1/p" "$results" 2>/dev/null | head -n 1 | grep . || echo 0
}
all=$(count tests)
failed=$(($(count failures) + $(count errors) + $(count skipped)))
passed=$((all - failed))
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
[ "$passed" -gt 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
