#!/bin/bash
# Writes the tables of options in docs/algorithms/ from the program, which has them from the one description of each
# option (kedge/core/option.h). With --check it changes nothing, names the pages that differ, and fails.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=write
if [[ ${1:-} == --check ]]; then mode=check && shift; fi
if (($# > 1)) || [[ ${1:-} == -* ]]; then
  echo "usage: scripts/option_tables.sh [--check] [PROGRAM]   (default: build/release/kedge)" >&2
  exit 2
fi
program=${1:-build/release/kedge}

algorithms=$("$program" list | sed -n '/^algorithms/,/^$/s/^  \([a-z_]*\) .*/\1/p')
[[ -n $algorithms ]] || { echo "$program list names no algorithm" >&2 && exit 1; }
failed=0
for algorithm in $algorithms; do
  page=docs/algorithms/$algorithm.md
  table=$("$program" list --options "$algorithm" --markdown)
  # The lines between the two marks, each of which must be there once.
  new=$(TABLE=$table awk '
    /^<!-- options: / { opened++; print; print ""; print ENVIRON["TABLE"]; print ""; inside = 1 }
    /^<!-- end of options -->/ { closed += inside; inside = 0 }
    !inside
    END { exit !(opened == 1 && closed == 1) }' "$page") || {
    echo "$page: must exist, with one line '<!-- options: $algorithm -->' and, after it, '<!-- end of options -->'" >&2
    failed=1
    continue
  }
  if [[ $new == "$(<"$page")" ]]; then continue; fi
  if [[ $mode == check ]]; then
    echo "$page: its table of options is not that of $program; run scripts/option_tables.sh" >&2
    failed=1
  else
    printf '%s\n' "$new" >"$page"
    echo "$page: written"
  fi
done
exit "$failed"
