#!/bin/bash
# Behind `make eval-minnow`: the bundled model's accuracy per task on the larger held-out set and on long
# contexts, with 95 % intervals. RECORD=1 also puts the table into docs/MEASURED.md, with commit and
# machine.
# Usage: tools/eval_minnow.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
report=$(mktemp)
trap 'rm -f "$report" "$report.new"' EXIT
started=$SECONDS
PLUMB_MINNOW_SET=full PLUMB_MINNOW_REPORT=$report "$build/tests/minnow_test" \
  --gtest_filter='Minnow.AnswersNoWorseThanItsFloors'
[[ -s $report ]] || { echo "The evaluation wrote no report." >&2; exit 1; }
if [[ -n ${RECORD:-} ]]; then
  commit=$(git describe --always --dirty --abbrev=12 --exclude='*' 2> /dev/null || echo unknown)
  machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
  heading='## minnow, by task'
  grep -qx "$heading" docs/MEASURED.md || printf '\n%s\n' "$heading" >> docs/MEASURED.md
  awk -v heading="$heading" -v report="$report" \
    -v line="$(date -u +%Y-%m-%d), commit $commit, $machine, greedy, plain, $((SECONDS - started)) s:" '
    { print }
    $0 == heading { print ""; print line; print ""; while ((getline row < report) > 0) print row }
  ' docs/MEASURED.md > "$report.new" && cp "$report.new" docs/MEASURED.md
fi
