#!/bin/bash
# Writes docs/reference/cli.md, the help of every verb, from the program. With --check it changes nothing, and fails if the
# page is another one.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=write
if [[ ${1:-} == --check ]]; then mode=check && shift; fi
if (($# > 1)) || [[ ${1:-} == -* ]]; then
  echo "usage: scripts/cli_page.sh [--check] [PROGRAM]   (default: build/release/kedge)" >&2
  exit 2
fi
program=${1:-build/release/kedge}
page=docs/reference/cli.md

# help [VERB]: as the program prints it, whatever its path.
help() {
  printf '\n```text\n%s\n```\n' "$("$program" "$@" --help | sed -E 's#^(Usage: )\S*kedge#\1kedge#' | cat -s)"
}

new=$(
  cat <<'TEXT'
# Command line

What `kedge --help` and `kedge VERB --help` print. [The program](../program.md) explains options, exit codes and files.
TEXT
  help
  for verb in $("$program" --help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z]*\)  .*/\1/p'); do
    printf '\n## kedge %s\n' "$verb"
    help "$verb"
  done
)
[[ $new == *"## kedge train"* ]] || { echo "$program --help names no verbs" >&2 && exit 1; }
if [[ -e $page && $new == "$(<$page)" ]]; then exit 0; fi
if [[ $mode == check ]]; then
  echo "$page: is not the help of $program; run scripts/cli_page.sh" >&2
  exit 1
fi
printf '%s\n' "$new" >$page
echo "$page: written"
