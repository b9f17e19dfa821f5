# bash completion for kedge: the program itself says what may follow. To try it: source this file.

_kedge() {
  local cur=${COMP_WORDS[COMP_CWORD]} words=() word line
  COMPREPLY=()
  # bash takes --seed=3 for three words.
  for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if ((${#words[@]})) && [[ $word == = || ${words[-1]} == *= ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
  done
  while IFS= read -r line; do
    case $line in
      :files) compopt -o filenames && mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur") ;;
      :folders) compopt -o filenames && mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$cur") ;;
      *)
        word=${line%%$'\t'*}
        [[ ${words[-1]} != *=* ]] || word=${word#"${words[-1]%=*}="}
        [[ $word != *= ]] || compopt -o nospace
        COMPREPLY+=("$word")
        ;;
    esac
  done < <("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null)
}
complete -F _kedge kedge
