#!/bin/bash
# Shows what a newcomer meets: fresh Debian 12 systems in which only git and make were installed, one
# for root and one for an ordinary user with sudo. In each, `make run PROMPT=...` must install, build,
# answer and exit 0 within LIMIT seconds, and again with the first token within 3 s; then `make test`
# and the README's commands that need such a system.
#
# Usage, as root:  tools/bare_debian.sh [WORK_DIR]        (default: a temporary directory)
# Environment:
#   SYSTEMS="root user"   which of the two to try
#   STEPS="run test readme"  what to try in each: deps, run, test, readme
#   LIMIT=720             seconds for the first `make run`
#   PACKAGE_CACHE=DIR     keeps downloaded packages, so that a second time is cheap
#   MIRROR=URL            default: the mirror this system's apt uses
#   http_proxy, https_proxy, no_proxy     passed on to apt in the new systems
#   APT_CONF=FILE         an apt.conf for them;  CA_FILE=FILE  certificates for them
# Tries the committed tree (HEAD), not the files beside it. Prints one line per claim.
set -euo pipefail
cd "$(dirname "$0")/.."
[[ $(id -u) -eq 0 ]] || { echo "debootstrap and chroot need root." >&2; exit 1; }
tools/bootstrap.sh bare

work=${1:-}
keep=1
if [[ -z $work ]]; then work=$(mktemp -d); keep=0; fi
mkdir -p "$work"
work=$(readlink -f "$work")
cache=${PACKAGE_CACHE:-$work/packages}
mkdir -p "$cache"
cache=$(readlink -f "$cache")
question=${PROMPT:-What is your name?}
limit=${LIMIT:-720}
claims=0 broken=0

mirror_of_this_system() {
  sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' \
    /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2> /dev/null | head -n 1
}

mounted=()
unmount_all() {
  local i
  for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount -l "${mounted[i]}" || true; done
  mounted=()
}
clean_up() {
  unmount_all
  if ((!keep)); then rm -rf --one-file-system "$work"; fi
}
trap clean_up EXIT

attach() {  # system directory
  mkdir -p "$1/var/cache/apt/archives"
  mount -t proc proc "$1/proc" && mounted+=("$1/proc")
  mount --rbind /dev "$1/dev" && mount --make-rslave "$1/dev" && mounted+=("$1/dev")
  mount --bind "$cache" "$1/var/cache/apt/archives" && mounted+=("$1/var/cache/apt/archives")
}

inside() {  # system directory, user, command...: a login-like environment with nothing of ours in it
  local system=$1 user=$2 home=/root
  shift 2
  [[ $user == root ]] || home=/home/$user
  chroot --userspec="$user" "$system" /usr/bin/env -i HOME="$home" USER="$user" LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb CI=true \
    ${JOBS:+JOBS=$JOBS} bash -c "cd ~/plumb 2>/dev/null || cd ~; $*" < /dev/null
}

make_base() {
  local base=$work/base mirror=${MIRROR:-$(mirror_of_this_system)}
  [[ -e $base/.complete ]] && return
  rm -rf --one-file-system "$base"
  echo "debootstrap from $mirror"
  debootstrap --variant=minbase --include=ca-certificates --cache-dir="$cache" bookworm "$base" "$mirror" \
    > "$work/debootstrap.log" || { tail -n 20 "$work/debootstrap.log"; exit 1; }
  cp /etc/resolv.conf "$base/etc/resolv.conf"
  rm -f "$base/etc/apt/sources.list"
  cp /etc/apt/sources.list "$base/etc/apt/" 2> /dev/null || true
  cp /etc/apt/sources.list.d/debian.sources "$base/etc/apt/sources.list.d/" 2> /dev/null || true
  if ! grep -rqs bookworm "$base/etc/apt/sources.list" "$base/etc/apt/sources.list.d"; then
    echo "deb $mirror bookworm main" > "$base/etc/apt/sources.list"
  fi
  local conf=$base/etc/apt/apt.conf.d
  echo 'Binary::apt-get::APT::Keep-Downloaded-Packages "true";' > "$conf/90keep"
  [[ -z ${http_proxy:-} ]] || echo "Acquire::http::Proxy \"$http_proxy\";" >> "$conf/91proxy"
  [[ -z ${https_proxy:-} ]] || echo "Acquire::https::Proxy \"$https_proxy\";" >> "$conf/91proxy"
  [[ -z ${APT_CONF:-} ]] || cp "$APT_CONF" "$conf/92given"
  if [[ -n ${CA_FILE:-} ]]; then
    cp "$CA_FILE" "$base/usr/local/share/ca-certificates/given.crt"
    chroot "$base" update-ca-certificates > /dev/null
  fi
  touch "$base/.complete"
}

claim() {  # what, 0 or 1
  claims=$((claims + 1))
  if [[ $2 -eq 0 ]]; then echo "yes: $1"; else echo "NO:  $1"; broken=$((broken + 1)); fi
}

try_run() {  # system, user
  local log=$work/run-$2.log from=$SECONDS status=0 took
  inside "$1" "$2" "make run PROMPT='$question'" > "$log" 2>&1 || status=$?
  took=$((SECONDS - from))
  ((status == 0)) || tail -n 30 "$log"
  claim "as $2, make run installed, built, answered in $took s with status $status (limit $limit s): $(
    tail -n 1 "$log" | cut -c 1-100)" $((status != 0 || took > limit))
  # Only the answer goes to standard output, so its first byte is the first token.
  inside "$1" "$2" 'start=$(date +%s%3N)
    exec 3< <(make run PROMPT="'"$question"'" 2> /dev/null); read -r -N 1 -u 3 first
    echo "first=$(($(date +%s%3N) - start)) byte=$first"; cat <&3 > /dev/null' > "$log.again" 2>&1 || true
  local first
  first=$(sed -n 's/^first=\([0-9]*\) byte=.*/\1/p' "$log.again")
  claim "as $2, again: first token after ${first:-no} ms" $((${first:-99999} >= 3000))
}

try_command() {  # system, user, what, command
  local log=$work/$3-$2.log from=$SECONDS status=0
  inside "$1" "$2" "$4" > "$log" 2>&1 || status=$?
  ((status == 0)) || tail -n 40 "$log"
  claim "as $2, $3 ended with status $status in $((SECONDS - from)) s: $(tail -n 1 "$log")" "$status"
}

make_base
commit=$(git rev-parse --short=12 HEAD)
echo "commit $commit, $(nproc) cores"
for user in ${SYSTEMS:-root user}; do
  system=$work/system-$user
  rm -rf --one-file-system "$system"
  cp -a "$work/base" "$system"
  attach "$system"
  inside "$system" root "apt-get -q update && apt-get -q install -y git make" > "$work/apt-$user.log" 2>&1 ||
    { tail -n 20 "$work/apt-$user.log"; exit 1; }
  home=/root
  if [[ $user != root ]]; then
    home=/home/$user
    inside "$system" root "apt-get -q install -y sudo && useradd -m -s /bin/bash $user &&
      echo '$user ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/$user" >> "$work/apt-$user.log" 2>&1
  fi
  git clone -q --no-hardlinks . "$system$home/plumb"
  chroot "$system" chown -R "$user:" "$home/plumb"
  for step in ${STEPS:-run test readme}; do
    case $step in
      run) try_run "$system" "$user" ;;
      deps) try_command "$system" "$user" deps "make deps" ;;
      test) try_command "$system" "$user" test "make test" ;;
      readme) try_command "$system" "$user" readme 'set -e; eval "$(tools/readme_commands.sh bare)"' ;;
      *) echo "There is no step $step." >&2; exit 1 ;;
    esac
  done
  unmount_all
done
echo "$((claims - broken)) of $claims claims hold"
((broken == 0))
