#compdef uk
# Completion of uk for zsh.
_uk() {
  local line
  local -a said found open
  said=("${(@f)$(command uk __complete zsh "${(@Q)words[1,CURRENT]}" 2>/dev/null)}")
  if [[ $said[1] == files ]]; then
    [[ $PREFIX == --*=* ]] && compset -P '*='
    _files
    return
  fi
  for line in $said; do
    case $line in
      *=$'\t'*) open+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
      *$'\t'*) found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
    esac
  done
  _describe uk found -- open -S ''
}
if [[ $funcstack[1] == _uk ]]; then _uk "$@"; else compdef _uk uk; fi
