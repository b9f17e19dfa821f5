#!/bin/bash
# hardened.sh PROGRAM [LIBRARY...]: fails unless the program is hardened as cmake/Kedge.cmake says, and every object of the
# libraries (only where the compiler knows x86's CET) is marked for it. The program as a whole carries that mark only where
# the C library's start code does.
set -euo pipefail
program=$1
shift

missing=0
# expect WHAT PATTERN: in what readelf says of the program.
facts=$(readelf -hldW "$program"; readelf -sW --dyn-syms "$program")
expect() {
  grep -qE "$2" <<<"$facts" || { echo "missing: $1" && missing=1; }
}
expect 'position-independent program' 'Type: +DYN'
expect 'read-only tables (RELRO)' 'GNU_RELRO'
expect 'symbols resolved at the start (BIND_NOW)' '\(FLAGS_1\).*NOW'
expect 'a stack that cannot be executed' 'GNU_STACK .* RW +0x'
expect 'stack protector' '__stack_chk_fail'
expect 'checked buffers (_FORTIFY_SOURCE)' '__[a-z]+_chk'

for library in "$@"; do
  notes=$(readelf -nW "$library")
  objects=$(grep -c '^File: ' <<<"$notes") marked=$(grep -c 'x86 feature: IBT, SHSTK' <<<"$notes" || true)
  ((objects > 0 && objects == marked)) ||
    { echo "missing: CET in $((objects - marked)) of $objects objects of $library" && missing=1; }
done
exit "$missing"
