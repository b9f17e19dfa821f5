#!/bin/bash
# Runs the README's two commands as a new user would, in a minimal Debian 12 with git and make and nothing else. Run
# `scripts/fresh_machine.sh --help`.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly release=bookworm cannot=77
readonly commands='make demo && make test'

usage() {
  cat <<TEXT
usage: scripts/fresh_machine.sh [--carry FILE] [COMMAND]

Makes a minimal Debian 12 ($release) in a temporary folder (TMPDIR, or /var/tmp; about 6 GB) with debootstrap, puts a
clean clone of the last commit into it, and runs COMMAND there, in a chroot as root: "$commands".
Of this machine it carries in where packages come from: apt's mirror, proxies and settings, npm's and pip's settings, and the
certificates that are trusted; the kernel that OpenBLAS is told to use; and FILE, into /root. Everything else must come
from COMMAND itself. Nothing is left behind: mounts and processes end with namespaces of their own, and the folder is removed.

Needs root, debootstrap and a network. Exit status: that of COMMAND; $cannot if the system cannot be made here.
TEXT
}

carried_file=
if [[ ${1:-} == --carry && $# -gt 1 ]]; then
  carried_file=$2
  shift 2
fi
if [[ ${1:-} == --help || ${1:-} == -h || $# -gt 1 ]]; then
  usage
  exit $(($# > 1 ? 2 : 0))
fi

say() { echo "fresh machine: $*"; }
cannot() {
  say "cannot be made here: $*"
  exit $cannot
}

[[ $(id -u) -eq 0 ]] || cannot "root is needed"
command -v debootstrap >/dev/null || cannot "debootstrap is missing (scripts/setup.sh dev)"
isolated=(unshare --mount --pid --fork --kill-child --mount-proc)
"${isolated[@]}" true 2>/dev/null || cannot "namespaces of our own are not allowed"

# Debian's own package sources of this machine, "URI suite component"; the first is the mirror.
mapfile -t sources < <(apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
  grep -E " $release(-updates|-security)? main\$" | sort -u)
((${#sources[@]})) || sources=("http://deb.debian.org/debian $release main")
mirror=$(printf '%s\n' "${sources[@]}" | sed -n "s/ $release main\$//p" | head -n 1)

folder=$(mktemp -d "${TMPDIR:-/var/tmp}/kedge-fresh-XXXXXX")
root=$folder/root
inside=

# What runs inside ends with its first process; then nothing is mounted here, and only then is anything removed.
clean_up() {
  trap '' INT TERM HUP
  if [[ $inside ]]; then
    pkill -KILL -P "$inside" || true
    wait "$inside" || true
  fi
  if grep -qF " $folder" /proc/self/mountinfo; then
    say "$folder is left: something is mounted there"
    return
  fi
  rm -rf --one-file-system "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# isolate COMMAND...: runs it in the foreground of this script, with mounts and processes of its own. As a job with a
# group of its own, so that signals reach this script at once, and the command only through clean_up.
isolate() {
  local status=0
  set -m
  "${isolated[@]}" "$@" </dev/null &
  inside=$!
  set +m
  wait "$inside" || status=$?
  inside=
  return "$status"
}

say "debootstrap of $release"
isolate debootstrap --variant=minbase --include=git,make "$release" "$root" "$mirror" >"$folder/log" 2>&1 || {
  tail -n 3 "$folder/log"
  cannot "debootstrap failed (is there a network?)"
}

printf 'deb %s\n' "${sources[@]}" >"$root/etc/apt/sources.list"
apt-config dump Acquire | grep -vE '^Acquire::(IndexTargets|Changelogs)' >"$root/etc/apt/apt.conf.d/99of-the-machine"
echo 'Acquire::Retries "3";' >"$root/etc/apt/apt.conf.d/99retries"
cp -a /etc/apt/auth.conf.d /etc/apt/trusted.gpg.d "$root/etc/apt/"
for file in /etc/resolv.conf /etc/hosts /etc/npmrc /etc/pip.conf; do
  [[ ! -e $file ]] || cp -L "$file" "$root$file"
done
[[ ! $carried_file ]] || cp "$carried_file" "$root/root/"
[[ ! -e ~/.npmrc ]] || cp ~/.npmrc "$root/root/"
# A proxy's certificate must outlive the installation of Debian's own.
certificates=/etc/ssl/certs/ca-certificates.crt
if [[ -e $certificates ]]; then
  mkdir -p "$root/etc/ssl/certs" "$root/usr/local/share/ca-certificates"
  cp "$certificates" "$root$certificates"
  cp "$certificates" "$root/usr/local/share/ca-certificates/of-the-machine.crt"
fi
[[ -z ${PIP_CERT:-} || ! -e $certificates ]] || export PIP_CERT=$certificates
mapfile -t carried < <(env | grep -iE '^((http|https|ftp|all|no)_proxy|NODE_EXTRA_CA_CERTS|PIP_CERT|SSL_CERT_FILE|SSL_CERT_DIR|OPENBLAS_CORETYPE|OPENBLAS_L2_SIZE)=')

[[ -z $(git status --porcelain) ]] || say "what is not committed is not tried"
git -c safe.directory='*' clone --quiet --no-local . "$root/root/kedge"

say "$(git log -1 --format='%h %s'): ${1:-$commands}"
isolate bash -euc '
  root=$1
  shift
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys" || true
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
  exec chroot "$root" env -i HOME=/root USER=root TERM=dumb \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
' inside "$root" "${carried[@]}" bash -c "cd /root/kedge && ${1:-$commands}"
