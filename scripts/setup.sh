#!/bin/bash
# Installs what kedge needs and is missing, by package name, on Debian and Ubuntu. Run `scripts/setup.sh --help`.
set -euo pipefail
cd "$(dirname "$0")/.."

groups=(build pages test bench plot docs dev python package)
declare -A packages_of=(
  [build]="g++ cmake ninja-build make libeigen3-dev libtbb-dev libhdf5-dev libtomlplusplus-dev libcli11-dev libfmt-dev \
libhwy-dev libnlopt-dev libpng-dev libtinyxml2-dev nlohmann-json3-dev zlib1g-dev"
  [pages]="nodejs npm"
  [test]="libgtest-dev libgmock-dev python3 python3-numpy python3-h5py qemu-user chromium-headless-shell ffmpeg"
  [bench]="libbenchmark-dev libopenblas-dev"
  [plot]="gnuplot-nox"
  [docs]="doxygen python3-sphinx python3-myst-parser furo python3-sphinx-copybutton"
  [dev]="clang-format clang-tidy ccache debootstrap"
  [python]="python3-dev python3-venv"
  [package]="debhelper dpkg-dev lintian groff mandoc zsh fish"
)

# MuJoCo's library and headers are taken from its Python wheel, by version and checksum, into a folder of that version.
# .deps/mujoco is a link to the one that is used, or to /usr for Debian's package.
mujoco_default=3.14.0  # viewer/package.json has the same version for the pages
declare -A mujoco_sha256=(
  [3.3.7-x86_64]=1afdf8880badccc6fdbef33e09967b6d8feeed3b951da881c4cc41addd1ecde9
  [3.3.7-aarch64]=19ece543ab1fba444d0b33d42740bd1b0c212445ddcbdb51bf81b6989dd21349
  [3.14.0-x86_64]=7042bfc7cf3e67e885463ff053fc1c28947b75c5ca0cce8d3f780dff4f83f055
  [3.14.0-aarch64]=f2f72463083b4d319874a93f91a54d46e5d538caea2706f18be874d4307b0264
)
mujoco_link=.deps/mujoco
python_folder=.deps/python

usage() {
  cat <<TEXT
usage: scripts/setup.sh [--check | --dry-run] [--mujoco VERSION|default|package] [GROUP]...

Installs the packages of the named groups that are missing. Nothing is changed, and no network is used, when nothing is
missing. Needs root or sudo to install Debian's packages, and none for the rest. Without a group: build.

  --check           only say what is missing; exit 1 if something is
  --dry-run         show the commands instead of running them
  --mujoco VERSION  from now on use this MuJoCo, from its Python wheel: $(mujoco_versions); default: $mujoco_default
  --mujoco package  from now on use Debian's package, libmujoco-dev

  MUJOCO_ROOT=DIR in the environment: use the MuJoCo in that folder, and fetch none
  KEDGE_SKIP_SETUP=1 in the environment: do nothing (you provide everything yourself)

groups:
TEXT
  local group
  for group in "${groups[@]}"; do
    printf '  %-7s %s\n' "$group" "${packages_of[$group]}"
  done
  echo "  build: then MuJoCo $mujoco_default, or what --mujoco chose before, into .deps/; an installed libmujoco-dev is not used"
  echo "         unless it is chosen"
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

mujoco_versions() { printf '%s\n' "${!mujoco_sha256[@]}" | sed 's/-.*//' | sort -uV | paste -sd ' '; }

# What $mujoco_link leads to: a version, package, or nothing. A folder there is of an older setup.sh: of some version.
mujoco_used() {
  [[ -e $mujoco_link/include/mujoco/mujoco.h ]] || return 0
  case $(readlink "$mujoco_link") in
    mujoco-*) readlink "$mujoco_link" | sed 's/mujoco-//' ;;
    /usr) echo package ;;
    *) echo unknown ;;
  esac
}

mujoco_is_there() {
  [[ -n ${MUJOCO_ROOT:-} ]] && return 0
  local used
  used=$(mujoco_used)
  [[ $used && ($mujoco_asked == "" || $used == "$mujoco_asked") ]]
}

# Packages without which the wanted MuJoCo cannot be had.
packages_for_mujoco() {
  if [[ $mujoco == package ]]; then
    echo libmujoco-dev
  elif ! python3 -m pip --version >/dev/null 2>&1; then
    printf '%s\n' python3 python3-pip
  fi
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

# Downloads a wheel, checks its checksum and unpacks library, headers and licences into .deps/mujoco-$mujoco.
fetch_mujoco_wheel() {
  local machine checksum
  machine=$(uname -m)
  checksum=${mujoco_sha256[$mujoco-$machine]:-}
  [[ $checksum ]] || fail "there is no MuJoCo wheel for $machine; build MuJoCo yourself and set MUJOCO_ROOT to its folder"
  say "fetching MuJoCo $mujoco (Python wheel, $machine) into .deps/mujoco-$mujoco"
  if [[ $mode == dry-run ]]; then
    echo "  would run: pip download mujoco==$mujoco, check sha256 $checksum, unpack"
    return
  fi
  work=$(mktemp -d .deps/fetch.XXXXXX)
  echo "mujoco==$mujoco --hash=sha256:$checksum" >"$work/requirements.txt"
  # The wheel's Python version is irrelevant: only the C library inside it is used.
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --python-version 3.12 --implementation cp --abi cp312 --platform "manylinux_2_28_$machine" \
    --dest "$work" --requirement "$work/requirements.txt" >"$log" 2>&1 || {
    tail -n 3 "$log" >&2
    fail "could not fetch MuJoCo $mujoco (is there a network?). Debian's package will do for most: scripts/setup.sh" \
      "--mujoco package. Or unpack a MuJoCo release yourself and set MUJOCO_ROOT to its folder"
  }
  python3 -m zipfile -e "$work"/mujoco-*.whl "$work"
  mkdir "$work/kept"
  mv "$work"/mujoco/include "$work"/mujoco/libmujoco.so.* "$work"/mujoco-*.dist-info/licenses "$work/kept"
  rm -rf ".deps/mujoco-$mujoco"
  mv "$work/kept" ".deps/mujoco-$mujoco"
}

# Makes $mujoco_link lead to the wanted MuJoCo, which is fetched if it is not there. CMake follows at the next build.
use_mujoco() {
  local target=mujoco-$mujoco
  [[ $mujoco == package ]] && target=/usr
  [[ $mode == dry-run ]] || mkdir -p .deps
  [[ $mujoco == package || -e .deps/$target/include/mujoco/mujoco.h ]] || fetch_mujoco_wheel
  say "$mujoco_link is from now on ${target/#\/usr/the one in \/usr}"
  run rm -rf "$mujoco_link"
  run ln -s "$target" "$mujoco_link"
}

mode=install
mujoco_asked=
wanted=()
while (($#)); do
  case $1 in
    --check) mode=check ;;
    --dry-run) mode=dry-run ;;
    --mujoco)
      mujoco_asked=${2:-nothing}
      [[ $mujoco_asked != default ]] || mujoco_asked=$mujoco_default
      [[ " package $(mujoco_versions) " == *" $mujoco_asked "* ]] ||
        fail "--mujoco \"${2:-}\": must be default, package or one of $(mujoco_versions); any other one by MUJOCO_ROOT"
      shift
      ;;
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
[[ " ${wanted[*]} " == *" build "* || $mujoco_asked ]] && needs_mujoco=yes
mujoco=${mujoco_asked:-$mujoco_default}
[[ -z $mujoco_asked || -z ${MUJOCO_ROOT:-} ]] || fail "MUJOCO_ROOT is set, so --mujoco $mujoco_asked would change nothing"

log=$(mktemp)
work=
trap 'rm -rf "$log" "$work"' EXIT

missing_npm=no
missing_python=no
missing_mujoco=no
if [[ $needs_python == yes ]] && ! python_packages_are_there; then missing_python=yes; fi
if [[ $needs_pages == yes ]] && ! npm_packages_are_there; then missing_npm=yes; fi
if [[ $needs_mujoco == yes ]] && ! mujoco_is_there; then missing_mujoco=yes; fi

# What needs no root.
fetch_the_rest() {
  [[ $missing_mujoco == no ]] || use_mujoco
  [[ $missing_npm == no ]] || fetch_npm_packages
  [[ $missing_python == no ]] || fetch_python_packages
}

if [[ $missing_mujoco == yes ]]; then mapfile -t -O "${#packages[@]}" packages < <(packages_for_mujoco); fi
if [[ $needs_pages == yes ]] && ! node_is_there; then packages+=(nodejs npm); fi
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  say "this is not Debian or Ubuntu, so no packages are installed; kedge needs the equivalents of: ${packages[*]}"
  [[ $mode == check ]] || fetch_the_rest
  exit 0
fi
# Ubuntu's Chromium is no package; without it the browser tests are left out.
grep -qs '^ID=ubuntu' /etc/os-release && packages=($(printf '%s\n' "${packages[@]}" | grep -vx chromium-headless-shell))

mapfile -t missing < <(missing_of "${packages[@]}")
names=("${missing[@]}")
if [[ $missing_mujoco == yes && $mujoco != package ]]; then names+=("MuJoCo $mujoco"); fi
if [[ $missing_npm == yes ]]; then names+=("npm packages of viewer/"); fi
if [[ $missing_python == yes ]]; then names+=("packages of python/requirements.txt"); fi
if [[ $mode == check ]]; then
  ((${#names[@]} == 0)) && [[ $missing_mujoco == yes ]] && names=("the link $mujoco_link to /usr")
  if ((${#names[@]} == 0)); then
    say "nothing is missing"
    exit 0
  fi
  say "missing: ${names[*]}"
  exit 1
fi

if ((${#missing[@]})); then
  as_root=()
  if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null ||
      fail "missing: ${names[*]}. To install packages, root is needed: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "missing: ${names[*]}"
  say "reading the package lists (apt-get update)"
  run "${as_root[@]}" apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
  if [[ $mode == install ]] && ! has_candidate cmake; then
    fail "there are no package lists (is there a network?), so these cannot be installed: ${missing[*]}"
  fi
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
elif [[ $missing_mujoco == no && $missing_npm == no && $missing_python == no ]]; then
  exit 0
fi
fetch_the_rest
say "done"
