# fish completion for kedge: the program itself says what may follow.

function __kedge_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] "$last" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$last"
            case :folders
                __fish_complete_directories "$last" ''
            case '*'
                echo $line
        end
    end
end
complete -c kedge -f -a '(__kedge_complete)'
