//! What each shell is given.

/// `program` is what the command is called.
pub(super) fn of(shell: &str, program: &str) -> String {
    let function = program.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let script = match shell {
        "zsh" => ZSH,
        "fish" => FISH,
        "powershell" => POWERSHELL,
        _ => BASH,
    };
    script.replace("FUNCTION", &function).replace("PROGRAM", program)
}

const BASH: &str = r#"# bash completion for PROGRAM
_FUNCTION_complete() {
    COMPREPLY=()
    local candidate
    while IFS= read -r candidate; do
        COMPREPLY+=("$candidate")
    done < <(COMP_LINE=$COMP_LINE COMP_POINT=$COMP_POINT STRONGROOM_COMPLETION=bash "$1" 2>/dev/null)
    # What ends in a slash goes on.
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _FUNCTION_complete PROGRAM
"#;

const ZSH: &str = r#"#compdef PROGRAM
_FUNCTION_complete() {
    local -a found
    found=("${(@f)$(COMP_LINE="${words[1,CURRENT-1]} $PREFIX" STRONGROOM_COMPLETION=zsh "${words[1]}" 2>/dev/null)}")
    found=(${found:#})
    # What ends in a slash goes on.
    compadd -S '' -- ${(M)found:#*/}
    compadd -- ${found:#*/}
}
compdef _FUNCTION_complete PROGRAM
"#;

const FISH: &str = r#"# fish completion for PROGRAM
function __FUNCTION_complete
    set -l program (commandline -opc)[1]
    set -lx STRONGROOM_COMPLETION fish
    set -lx COMP_LINE (commandline -cp)
    command $program 2>/dev/null
end
complete -c PROGRAM -f -a '(__FUNCTION_complete)'
"#;

const POWERSHELL: &str = r#"# PowerShell completion for PROGRAM
Register-ArgumentCompleter -Native -CommandName PROGRAM -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $line = $commandAst.ToString()
    $start = $commandAst.Extent.StartOffset
    $line = $line.PadRight($cursorPosition - $start).Substring(0, $cursorPosition - $start)
    $env:COMP_LINE = $line
    $env:STRONGROOM_COMPLETION = 'powershell'
    try {
        & $commandAst.CommandElements[0].Value 2>$null | ForEach-Object {
            [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
        }
    } finally {
        Remove-Item Env:COMP_LINE, Env:STRONGROOM_COMPLETION
    }
}
"#;
