#!/bin/sh
# Behind `make eval-minnow`: the bundled model's accuracy per task on held-out seeds, with intervals.
# Usage: tools/eval_minnow.sh PROGRAM
set -eu
program=$1
exec python3 "$(dirname "$0")/minnow/eval.py" --program "$program" --count "${COUNT:-400}"
