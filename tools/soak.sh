#!/bin/bash
# Behind `make soak`: every suite of a build directory again and again, with new seeds and at a larger
# scale. Stop it at will (Ctrl-C) and start it again: what this commit has passed is not repeated. At
# the end of each call one line with commit and machine goes into docs/MEASURED.md.
# Usage: tools/soak.sh BUILD_DIR
# Environment: SEEDS=8 how many seeds, SCALE=10 how much more than `make test`, SUITES="..." which
# (default all).
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=$1
seeds=${SEEDS:-8}
scale=${SCALE:-10}
commit=$(git describe --always --dirty --abbrev=12 --exclude='*' 2> /dev/null || echo unknown)
state=.soak/$commit-x$scale
mkdir -p "$state"
passed=0 failed=0 stopped=""
started=$SECONDS
trap 'stopped=" (stopped early)"' INT TERM

suites=${SUITES:-$(ctest --test-dir "$build" -N | sed -n 's/^ *Test *#[0-9]*: //p')}
for ((seed = 1; seed <= seeds && ${#stopped} == 0; seed++)); do
  for suite in $suites; do
    [[ -z $stopped ]] || break
    done_mark=$state/$seed-$suite.passed
    if [[ -e $done_mark ]]; then
      passed=$((passed + 1))
      continue
    fi
    log=$state/$seed-$suite.log
    printf 'seed %d, %s: ' "$seed" "$suite"
    if PLUMB_SOAK_SEED=$seed PLUMB_SOAK_SCALE=$scale ctest --test-dir "$build" -R "^$suite\$" \
      --timeout 36000 --output-on-failure > "$log" 2>&1; then
      echo passed
      mv "$log" "$done_mark"
      passed=$((passed + 1))
    elif [[ -z $stopped ]]; then
      echo "FAILED, see $log"
      failed=$((failed + 1))
    fi
  done
done

machine="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
line="- $(date -u +%Y-%m-%d) soak, commit $commit, $machine: $passed suite runs passed, $failed failed; \
seeds 1-$seeds, scale $scale, $((SECONDS - started)) s in this call$stopped"
heading='## Soak runs'
grep -qx "$heading" docs/MEASURED.md || printf '\n%s\n\n' "$heading" >> docs/MEASURED.md
awk -v heading="$heading" -v line="$line" '
  { print }
  $0 == heading { print ""; print line; getline; if ($0 != "") print }
' docs/MEASURED.md > .soak/measured && cp .soak/measured docs/MEASURED.md
echo "$line"
echo "$passed passed, $failed failed"
((failed == 0))
