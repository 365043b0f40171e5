#!/bin/bash
# Runs every fuzz target of a build directory for so many seconds, two at a time, from the seeds in
# fuzz/corpus/<target>. Inputs that break something stay in BUILD_DIR/findings/.
# Usage: tools/run_fuzz.sh BUILD_DIR SECONDS
# Last line: "N passed, N failed", counting targets.
set -euo pipefail
build=$1
seconds=$2
findings=$build/findings
mkdir -p "$findings" "$build/corpus"

fuzz_one() {  # target: runs it, says how it went
  local target=$1 name=${1##*/fuzz_}
  local grown=$build/corpus/$name log=$build/fuzz_$name.log
  mkdir -p "$grown"
  local seeds=()
  [[ -d fuzz/corpus/$name ]] && seeds=("fuzz/corpus/$name")
  if "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
    -artifact_prefix="$findings/$name-" "$grown" "${seeds[@]}" > "$log" 2>&1; then
    echo "fuzz $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, nothing found"
  else
    echo "fuzz $name: FAILED; the end of $log:"
    tail -n 40 "$log"
    return 1
  fi
}

passed=0 failed=0
running=()
settle() {  # waits for the oldest of those running
  if wait "${running[0]}"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  running=("${running[@]:1}")
}
for target in "$build"/fuzz/fuzz_*; do
  [[ -x $target && -f $target ]] || continue
  fuzz_one "$target" &
  running+=($!)
  ((${#running[@]} < 2)) || settle
done
while ((${#running[@]} > 0)); do settle; done
echo "$passed passed, $failed failed"
((failed == 0))
