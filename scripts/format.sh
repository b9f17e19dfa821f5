#!/bin/bash
# Lays out every C++ file of the repository by .clang-format; with --check only names those that differ, and fails.
set -euo pipefail
if (($# > 1)) || [[ ${1:---check} != --check ]]; then
  echo "usage: scripts/format.sh [--check]" >&2
  exit 2
fi
cd "$(dirname "$0")/.."

# Versions differ in details: the one of Debian 12 decides.
clang_format=$(command -v clang-format-14 || command -v clang-format)
mapfile -d '' -t files < <(git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cpp')
if [[ ${1:-} == --check ]]; then
  "$clang_format" --dry-run --Werror "${files[@]}"
  echo "format: ${#files[@]} files are laid out by .clang-format"
else
  "$clang_format" -i "${files[@]}"
fi
