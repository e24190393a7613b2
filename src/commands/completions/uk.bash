# Completion of uk for bash.
_uk() {
  mapfile -t COMPREPLY < <(command uk __complete bash "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
  if [ "${COMPREPLY[*]}" = files ]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "${2#=}")
    return
  fi
  COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
  if [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -F _uk uk
