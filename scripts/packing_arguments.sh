# Of the scripts that pack what is built; to be sourced.

# read_packing_arguments ARGUMENT...: sets `build` by --build-dir and `out` by --out, and `rest` to what else there is. Help
# is what `usage` prints.
read_packing_arguments() {
  rest=()
  while (($#)); do
    case $1 in
      -h | --help) usage; exit 0 ;;
      --build-dir | --out)
        (($# > 1)) || { echo "$(basename "$0" .sh): error: $1: needs a folder" >&2; exit 2; }
        if [[ $1 == --out ]]; then out=$2; else build=$2; fi
        shift
        ;;
      *) rest+=("$1") ;;
    esac
    shift
  done
}
