#!/bin/bash
# Fails where an algorithm of the program is missing from a list that is written by hand: that of the algorithms, the public headers and
# their page, its own page, and the runs that show that a change changes no byte.
#   scripts/listed.sh PROGRAM
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")/.."

missing=0
# has FILE TEXT: says so if the file lacks it.
has() {
  grep -qF -- "$2" "$1" && return
  echo "$1: lacks \"$2\"; see 'Adding an algorithm' in CONTRIBUTING.md"
  missing=1
}

algorithms=$("$program" list | sed -n '/^algorithms/,/^$/s/^  \([a-z_]*\) .*/\1/p')
[[ -n $algorithms ]] || { echo "$program list names no algorithm" >&2 && exit 1; }
for algorithm in $algorithms; do
  [[ -f docs/algorithms/$algorithm.md ]] || { echo "docs/algorithms/$algorithm.md is missing" && missing=1; }
  has docs/algorithms/index.md "($algorithm.md)"
  has docs/api.md "$algorithm.h"
  has kedge/CMakeLists.txt "algorithms/$algorithm.h"
  has scripts/same_bytes.sh "[$algorithm]"
done
((missing == 0)) && echo "$(wc -w <<<"$algorithms") algorithms are in every list"
