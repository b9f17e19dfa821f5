#!/bin/bash
# Installs what kedge needs and is missing, by package name, on Debian and Ubuntu. Run `scripts/setup.sh --help`.
set -euo pipefail
cd "$(dirname "$0")/.."

groups=(build pages test bench plot docs dev python)
declare -A packages_of=(
  [build]="g++ cmake ninja-build make libeigen3-dev libtbb-dev libhdf5-dev libtomlplusplus-dev libcli11-dev libfmt-dev \
libhwy-dev libnlopt-dev libpng-dev libtinyxml2-dev nlohmann-json3-dev zlib1g-dev"
  [pages]="nodejs npm"
  [test]="libgtest-dev libgmock-dev python3 python3-numpy python3-h5py qemu-user chromium-headless-shell ffmpeg"
  [bench]="libbenchmark-dev libopenblas-dev"
  [plot]="gnuplot-nox"
  [docs]="doxygen"
  [dev]="clang-format clang-tidy ccache debootstrap"
  [python]="python3-dev python3-venv"
)

# MuJoCo is a package (libmujoco-dev) on Debian 12 and later. Where a distribution has none, the library and its
# headers are taken from the official Python wheel, by version and checksum.
mujoco_version=3.3.7
mujoco_sha256_x86_64=1afdf8880badccc6fdbef33e09967b6d8feeed3b951da881c4cc41addd1ecde9
mujoco_sha256_aarch64=19ece543ab1fba444d0b33d42740bd1b0c212445ddcbdb51bf81b6989dd21349
mujoco_folder=.deps/mujoco
python_folder=.deps/python

usage() {
  cat <<TEXT
usage: scripts/setup.sh [--check | --dry-run] [--mujoco-wheel] [GROUP]...

Installs the packages of the named groups that are missing. Nothing is changed, and no network is used, when nothing is
missing. Needs root or sudo to install. Without a group: build.

  --check         only say what is missing; exit 1 if something is
  --dry-run       show the commands instead of running them
  --mujoco-wheel  use MuJoCo $mujoco_version from its Python wheel ($mujoco_folder) although there may be a package

  KEDGE_SKIP_SETUP=1 in the environment: do nothing (you provide everything yourself)

groups:
TEXT
  local group
  for group in "${groups[@]}"; do
    printf '  %-6s %s\n' "$group" "${packages_of[$group]}"
  done
  echo "  build also needs MuJoCo: libmujoco-dev, or the wheel where there is no such package"
  echo "  pages: Node.js 18 or newer with npm, whoever installed it; then the npm packages of viewer/package-lock.json."
  echo "         Where they cannot be had, kedge is built without its browser pages"
  echo "  python: then the packages of python/requirements.txt, in a virtual environment ($python_folder)"
}

say() { echo "setup: $*"; }
fail() {
  echo "setup: error: $*" >&2
  exit 1
}
run() {
  if [[ $mode == dry-run ]]; then echo "  would run: $*"; else "$@"; fi
}

# The packages among the arguments that are not installed, one a line.
missing_of() {
  local installed
  installed=$(dpkg-query -W -f '${Package}:${db:Status-Abbrev}\n' "$@" 2>/dev/null || true)  # 1: some are unknown
  installed=" $(sed -n 's/:ii *$//p' <<<"$installed" | tr '\n' ' ')"
  local package
  for package in "$@"; do
    [[ $installed == *" $package "* ]] || echo "$package"
  done
}

has_candidate() {
  local candidate
  candidate=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p')
  [[ -n $candidate && $candidate != "(none)" ]]
}

mujoco_is_there() {
  [[ -n ${MUJOCO_ROOT:-} || -e $mujoco_folder/include/mujoco/mujoco.h ]] && return 0
  [[ $mujoco_wheel == no && -z $(missing_of libmujoco-dev) ]]
}

# Node.js and npm by themselves: they may come from elsewhere than Debian.
node_is_there() {
  local version
  version=$(node --version 2>/dev/null) && command -v npm >/dev/null || return 1
  version=${version#v}
  ((${version%%.*} >= 18))
}

# npm leaves a copy of what it installed.
npm_packages_are_there() {
  local installed=viewer/node_modules/.package-lock.json
  [[ -e $installed && ! viewer/package-lock.json -nt $installed ]]
}

# The pages are the only part that kedge can be built without, so a failure is said and no more.
fetch_npm_packages() {
  say "fetching the npm packages of viewer/ into viewer/node_modules"
  if [[ $mode == dry-run ]]; then
    echo "  would run: npm ci (in viewer/)"
  elif ! node_is_there; then
    say "Node.js $(node --version 2>/dev/null || echo "") is too old or has no npm; kedge is built without its browser pages"
  elif ! (cd viewer && npm ci --no-progress >"$log" 2>&1); then
    tail -n 3 "$log" >&2
    say "could not fetch them; kedge is built without its browser pages"
  else
    touch viewer/node_modules/.package-lock.json
  fi
}

# The environment keeps a copy of the list that was installed.
python_packages_are_there() { cmp -s python/requirements.txt $python_folder/requirements.txt; }

fetch_python_packages() {
  say "fetching the packages of python/requirements.txt into $python_folder"
  if [[ $mode == dry-run ]]; then
    echo "  would run: python3 -m venv $python_folder; pip install -r python/requirements.txt (there)"
    return
  fi
  # Debian's Python, which has the headers of python3-dev, before any other on the path.
  { PATH=/usr/bin:$PATH python3 -m venv $python_folder &&
    $python_folder/bin/python -m pip install --quiet --disable-pip-version-check -r python/requirements.txt &&
    # For python/tests/try_wheel.sh: what a wheel of kedge needs, as files.
    $python_folder/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --dest $python_folder/wheels \
      "$(grep '^numpy==' python/requirements.txt)"; } >"$log" 2>&1 || {
    tail -n 3 "$log" >&2
    fail "could not fetch the packages of python/requirements.txt (is there a network?)"
  }
  cp python/requirements.txt $python_folder/
}

# Downloads the wheel, checks its checksum and unpacks library and headers into $mujoco_folder.
fetch_mujoco_wheel() {
  local machine checksum python=3.12 abi=cp312
  machine=$(uname -m)
  case $machine in
    x86_64) checksum=$mujoco_sha256_x86_64 ;;
    aarch64) checksum=$mujoco_sha256_aarch64 ;;
    *) fail "there is no MuJoCo wheel for $machine; build MuJoCo yourself and set MUJOCO_ROOT to its folder" ;;
  esac
  say "fetching MuJoCo $mujoco_version (Python wheel, $machine) into $mujoco_folder"
  if [[ $mode == dry-run ]]; then
    echo "  would run: pip download mujoco==$mujoco_version, check sha256 $checksum, unpack"
    return
  fi
  mkdir -p .deps
  work=$(mktemp -d .deps/fetch.XXXXXX)
  echo "mujoco==$mujoco_version --hash=sha256:$checksum" >"$work/requirements.txt"
  # The wheel's Python version is irrelevant: only the C library inside it is used.
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --python-version "$python" --implementation cp --abi "$abi" --platform "manylinux_2_28_$machine" \
    --dest "$work" --requirement "$work/requirements.txt" ||
    fail "could not fetch the MuJoCo $mujoco_version wheel; with no network, unpack a MuJoCo release yourself and set" \
      "MUJOCO_ROOT to its folder"
  python3 -m zipfile -e "$work"/mujoco-*.whl "$work"
  rm -rf "$mujoco_folder"
  mkdir "$mujoco_folder"
  mv "$work"/mujoco/include "$work"/mujoco/libmujoco.so.* "$work"/mujoco-*.dist-info "$mujoco_folder"
}

mode=install
mujoco_wheel=no
wanted=()
while (($#)); do
  case $1 in
    --check) mode=check ;;
    --dry-run) mode=dry-run ;;
    --mujoco-wheel) mujoco_wheel=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      [[ " ${groups[*]} " == *" $1 "* ]] || fail "unknown group or option \"$1\"; groups: ${groups[*]}"
      wanted+=("$1")
      ;;
  esac
  shift
done
((${#wanted[@]})) || wanted=(build)
[[ ${KEDGE_SKIP_SETUP:-} ]] && exit 0

packages=()
for group in "${wanted[@]}"; do
  [[ $group == pages ]] && continue
  read -ra of_group <<<"${packages_of[$group]}"
  packages+=("${of_group[@]}")
done
needs_mujoco=no
needs_pages=no
needs_python=no
[[ " ${wanted[*]} " == *" python "* ]] && needs_python=yes
[[ " ${wanted[*]} " == *" pages "* ]] && needs_pages=yes
[[ " ${wanted[*]} " == *" build "* ]] && needs_mujoco=yes

log=$(mktemp)
work=
trap 'rm -rf "$log" "$work"' EXIT

if [[ $needs_pages == yes ]] && ! node_is_there; then packages+=(nodejs npm); fi
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  say "this is not Debian or Ubuntu, so nothing is installed; kedge needs the equivalents of: ${packages[*]} libmujoco-dev"
  if [[ $mode != check && $needs_pages == yes ]] && node_is_there && ! npm_packages_are_there; then fetch_npm_packages; fi
  if [[ $mode != check && $needs_python == yes ]] && ! python_packages_are_there; then fetch_python_packages; fi
  exit 0
fi
# Ubuntu's Chromium is no package; without it the browser tests are left out.
grep -qs '^ID=ubuntu' /etc/os-release && packages=($(printf '%s\n' "${packages[@]}" | grep -vx chromium-headless-shell))

mapfile -t missing < <(missing_of "${packages[@]}")
mujoco=there
npm=there
python=there
if [[ $needs_python == yes ]] && ! python_packages_are_there; then python=missing; fi
if [[ $needs_pages == yes ]] && ! npm_packages_are_there; then npm=missing; fi
if [[ $needs_mujoco == yes ]] && ! mujoco_is_there; then mujoco=missing; fi
if ((${#missing[@]} == 0)) && [[ $mujoco == there && $npm == there && $python == there ]]; then
  [[ $mode == check ]] && say "nothing is missing"
  exit 0
fi

names=("${missing[@]}")
if [[ $mujoco == missing && $mujoco_wheel == yes ]]; then
  names+=("MuJoCo $mujoco_version")
elif [[ $mujoco == missing ]]; then
  names+=(libmujoco-dev)
fi
if [[ $npm == missing ]]; then names+=("npm packages of viewer/"); fi
if [[ $python == missing ]]; then names+=("packages of python/requirements.txt"); fi
if [[ $mode == check ]]; then
  say "missing: ${names[*]}"
  exit 1
fi

if ((${#missing[@]} == 0)) && [[ $mujoco == there ]]; then  # nothing for root to do
  [[ $npm == missing ]] && fetch_npm_packages
  [[ $python == missing ]] && fetch_python_packages
  say "done"
  exit 0
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  command -v sudo >/dev/null ||
    fail "missing: ${names[*]}. To install them, root is needed: apt-get install ${names[*]}"
  as_root=(sudo)
fi

say "missing: ${names[*]}"
say "reading the package lists (apt-get update)"
run "${as_root[@]}" apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
if [[ $mode == install ]] && ! has_candidate cmake; then
  fail "there are no package lists (is there a network?), so these cannot be installed: ${names[*]}"
fi

if [[ $mujoco == missing ]]; then
  if [[ $mujoco_wheel == no ]] && has_candidate libmujoco-dev; then
    missing+=(libmujoco-dev)
    mujoco=there
  else
    [[ $mujoco_wheel == no ]] && say "this distribution has no package libmujoco-dev"
    mapfile -t -O "${#missing[@]}" missing < <(missing_of python3 python3-pip)
  fi
fi
if ((${#missing[@]})); then
  say "installing (a minute or two): ${missing[*]}"
  install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends
    -o DPkg::Lock::Timeout=120 "${missing[@]}")
  if [[ $mode == dry-run ]]; then
    echo "  would run: ${install[*]}"
  elif ! "${install[@]}" >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    fail "could not install: $(missing_of "${missing[@]}" | tr '\n' ' ')(is there a network? is this Debian 12 or" \
      "newer, or Ubuntu 24.04 or newer?)"
  fi
fi
[[ $mujoco == missing ]] && fetch_mujoco_wheel
[[ $npm == missing ]] && fetch_npm_packages
[[ $python == missing ]] && fetch_python_packages
say "done"
