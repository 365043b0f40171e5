#!/bin/sh
# Installs the Debian packages of the given groups of packages.txt (default: build test).
# Usage: tools/bootstrap.sh [GROUP...]
# Does nothing, quickly, when all are there. Otherwise says what it will install and does it, as root
# or through sudo. Packages of another architecture (group cross) have dpkg learn of it first.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- build test

wanted=""
for group in "$@"; do
  wanted="$wanted $(awk -v g="$group" '!/^#/ && $2 == g { print $1 }' packages.txt)"
done

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
  echo "This is not a Debian system. Plumb needs what these Debian packages hold:" $wanted
  echo "Going on; the build names whatever is missing."
  exit 0
fi

# A library may be there for several architectures.
native=$(dpkg --print-architecture)
missing=""
for package in $wanted; do
  architecture=$native
  case "$package" in *:*) architecture=${package#*:} ;; esac
  dpkg-query -W -f '${Architecture} ${db:Status-Status}\n' "$package" 2>/dev/null |
    grep -qxE "($architecture|all) installed" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "Installing Debian packages:$missing"
foreign=""
case "$missing" in *:arm64*) foreign=arm64 ;; esac
as_root=""
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "This needs root, and there is no sudo. As root, run:" >&2
    [ -z "$foreign" ] || echo "  dpkg --add-architecture $foreign && apt-get update" >&2
    echo "  apt-get install$missing" >&2
    exit 1
  fi
  as_root="sudo"
fi
# env: sudo does not pass the variable on by itself.
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 "$@"; }
[ -z "$foreign" ] || $as_root dpkg --add-architecture "$foreign"
apt update || echo "The package lists could not be refreshed; trying with those at hand." >&2
apt install -y --no-install-recommends $missing
