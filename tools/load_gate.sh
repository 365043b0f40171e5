#!/bin/bash
# Behind `make load`: the server with the bundled model, pressed by many clients at once. Every claim is
# one line that begins with "pass" or "FAIL"; the last line counts them. Reports as JSON stay in
# BUILD_DIR/load-results.
# Usage: tools/load_gate.sh BUILD_DIR
# Environment: LOAD_SECONDS=60 how long the clients press (600 for a soak), LOAD_CLIENTS=64 how many they
# are, LOAD_SEED=1 what they ask.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=$1
seconds=${LOAD_SECONDS:-60}
clients=${LOAD_CLIENTS:-64}
seed=${LOAD_SEED:-1}
results=$build/load-results
rm -rf "$results"
mkdir -p "$results"
server=""
passed=0 failed=0
trap '[[ -z $server ]] || kill -KILL "$server" 2> /dev/null' EXIT

claim() { # HOLDS TEXT
  if (($1)); then passed=$((passed + 1)); else failed=$((failed + 1)); fi
  printf '%s  %s\n' "$( (($1)) && echo pass || echo FAIL)" "$2"
}

finish() {
  ((failed == 0)) || tail -n 20 "$results/server.log"
  echo "$passed passed, $failed failed"
  ((failed == 0))
  exit
}

# step NAME SUBCOMMAND ARGUMENTS...: one call of serve_load, with its table and its claims.
step() {
  local name=$1 log=$results/$1.log status failures
  shift
  echo "--- serve_load $*"
  "$build/tests/load/serve_load" "$@" --url "$url" --model minnow --seed "$seed" \
    --json "$results/$name.json" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  failures=$(grep -c '^FAIL  ' "$log")
  passed=$((passed + $(grep -c '^pass  ' "$log")))
  failed=$((failed + failures))
  # It ended for another reason than a claim.
  ((status == 0 || failures > 0)) || claim 0 "serve_load $1 ended with status $status"
}

# Fewer connections than the flood opens, and far fewer answers at a time than there are clients.
"$build/plumb" serve --model models/minnow --port 0 --parallel 16 --context 40960 \
  --max-connections 256 --log "$results/requests.log" 2> "$results/server.log" &
server=$!
url=""
for ((i = 0; i < 300 && ${#url} == 0; i++)); do
  sleep 0.1
  url=$(sed -n 's/^Serving .* on \(http:[^ ]*\) .*/\1/p' "$results/server.log")
  kill -0 "$server" 2> /dev/null || break
done
if [[ -z $url ]]; then
  claim 0 "the server does not start"
  finish
fi

step press run --clients "$clients" --seconds "$seconds" --cancel 0.2 --slow 0.1 --api mix \
  --pid "$server" --metrics
# The server's own share of a token's time, which slow readers would hide.
step own-time run --clients 16 --seconds 10 --api mix --metrics
step flood flood --attempts 10000 --parallel 500
step beside beside --writers 4 --long-tokens 32000 --seconds 10

from=$SECONDS
kill -TERM "$server"
wait "$server"
status=$?
server=""
claim $((status == 0)) "SIGTERM ends the server in $((SECONDS - from)) s with status $status"
finish
