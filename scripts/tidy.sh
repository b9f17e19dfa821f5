#!/bin/bash
# Runs clang-tidy (.clang-tidy) over the sources of the library and the program, or over those named, as build/release
# compiles them.
set -euo pipefail
cd "$(dirname "$0")/.."

clang_tidy=$(command -v clang-tidy-14 || command -v clang-tidy)
[[ -e build/release/compile_commands.json ]] || cmake --preset release -DKEDGE_TESTS=OFF
if (($#)); then files=("$@"); else mapfile -t files < <(git ls-files 'kedge/*.cpp' 'cli/*.cpp'); fi

# GCC's precompiled headers mean nothing to Clang.
database=$(mktemp -d)
trap 'rm -r "$database"' EXIT
sed 's| -Winvalid-pch||; s| -fpch-preprocess||; s| -include [^ ]*/cmake_pch.hxx||' build/release/compile_commands.json \
  >"$database/compile_commands.json"

printf '%s\0' "${files[@]}" |
  xargs -0 -n 1 -P "$(nproc)" "$clang_tidy" --quiet -p "$database" --extra-arg=-Wno-unknown-warning-option
echo "tidy: ${#files[@]} files"
