# Completion of uk for fish.
function __uk_complete
    set -l token (commandline -ct)
    set -l said (command uk __complete fish (commandline -opc) "$token" 2>/dev/null)
    if test "$said" = files
        set -l lead (string match -r -- '^--[^=]*=' "$token")
        set -l files (__fish_complete_path (string replace -r -- '^--[^=]*=' '' "$token"))
        string join \n -- "$lead"$files
    else
        string join \n -- $said
    end
end
complete -c uk -f -a '(__uk_complete)'
