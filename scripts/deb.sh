#!/bin/bash
# Makes a Debian package of the program from a build folder that is there. Run `scripts/deb.sh --help`.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<TEXT
usage: scripts/deb.sh [--build-dir DIR] [--out DIR]

Makes kedge_VERSION_ARCHITECTURE.deb (debian/) of what is built in DIR (build/release), as lintian wants it, and writes it to dist/, or
to the DIR of --out. Seconds. \`dpkg-buildpackage -us -uc -b\` makes the same from a clean checkout, and compiles for as long as that
takes.
TEXT
}

build=build/release
out=dist
. scripts/packing_arguments.sh
read_packing_arguments "$@"
((${#rest[@]} == 0)) || { usage >&2; exit 2; }
[[ -e $build/CMakeCache.txt ]] || {
  echo "deb: error: $build: is no build folder (make build)" >&2
  exit 2
}
! grep -q '^SKBUILD:' "$build/CMakeCache.txt" || {
  echo "deb: error: $build: has the settings of a wheel; remove its CMakeCache.txt and build it anew" >&2
  exit 2
}

build=$(realpath --no-symlinks "$build")

# dpkg writes beside the source, so in a folder of its own: copies of the files here, links to the folders.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/kedge"
find "$PWD" -mindepth 1 -maxdepth 1 -type d ! -name debian ! -name .git -exec ln -s {} "$work/kedge" \;
find "$PWD" -mindepth 1 -maxdepth 1 -type f -exec cp {} "$work/kedge" \;
cp -r debian "$work/kedge"
(cd "$work/kedge" && DEB_KEDGE_BUILD=$build dpkg-buildpackage -us -uc -b -d >"$work/log" 2>&1) || {
  tail -n 20 "$work/log" >&2
  exit 1
}
lintian --fail-on error,warning --tag-display-limit 0 "$work"/*.changes
mkdir -p "$out"
cp "$work"/kedge_*.deb "$out/"
echo "deb: $out/$(basename "$work"/kedge_*.deb)"
