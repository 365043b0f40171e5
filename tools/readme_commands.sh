#!/bin/sh
# Prints the commands of the README's ```sh blocks, so that tests can run them.
# Usage: tools/readme_commands.sh here|bare [README]
# "bare": blocks under the comment <!-- run on a bare system -->, which install packages;
# "here": all others.
set -eu
kind=$1
readme=${2:-$(dirname "$0")/../README.md}
awk -v kind="$kind" '
  /<!-- run on a bare system -->/ { bare = 1 }
  /^```/ {
    if (inside) { inside = 0; bare = 0 }
    else if ($0 == "```sh") inside = 1
    else inside = 2
    next
  }
  inside == 1 && (kind == "bare") == bare { print }
' "$readme"
