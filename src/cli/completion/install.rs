//! `-autocomplete-install` and `-autocomplete-uninstall`: the same lines in the same files as
//! Vault's program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Env;
use super::scripts;
use crate::cli::failure::Failure;
use crate::cli::io::Io;

/// A shell of this user, and what makes it complete.
struct Shell {
    file: PathBuf,
    /// Each is there once, wherever in the file.
    lines: Vec<String>,
    /// Whether the file is this program's alone.
    is_own: bool,
}

/// Those whose files are there.
fn shells(env: &Env, program: &str) -> Result<Vec<Shell>, Failure> {
    let home = env.home().ok_or_else(|| Failure::local("HOME is not set"))?;
    let path = std::env::current_exe()?.display().to_string();
    let quoted = match path.contains(|c: char| !c.is_ascii_alphanumeric() && !"/._-+".contains(c)) {
        true => format!("'{}'", path.replace('\'', r"'\''")),
        false => path,
    };
    let mut shells = Vec::new();
    let bash = [".bashrc", ".bash_profile", ".bash_login", ".profile"];
    let bash = bash.map(|name| home.join(name)).into_iter().find(|file| file.is_file());
    shells.extend(bash.map(|file| Shell {
        file,
        lines: vec![format!("complete -C {quoted} {program}")],
        is_own: false,
    }));
    let zsh = Some(home.join(".zshrc")).filter(|file| file.is_file());
    shells.extend(zsh.map(|file| Shell {
        file,
        lines: vec![
            "autoload -U +X bashcompinit && bashcompinit".to_owned(),
            format!("complete -o nospace -C {quoted} {program}"),
        ],
        is_own: false,
    }));
    let config = env.plain("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
    let fish = Some(config.join("fish")).filter(|folder| folder.is_dir());
    shells.extend(fish.map(|folder| Shell {
        file: folder.join("completions").join(format!("{program}.fish")),
        lines: scripts::of("fish", program).lines().map(str::to_owned).collect(),
        is_own: true,
    }));
    if shells.is_empty() {
        return Err(Failure::local(
            "found no shell to install completion for: no ~/.bashrc, ~/.zshrc or ~/.config/fish",
        )
        .hint("completion bash", "prints it, to be put where your shell reads it"));
    }
    Ok(shells)
}

pub(in crate::cli) fn install(env: &Env, program: &str, io: &mut Io<'_>) -> Result<(), Failure> {
    let mut is_new = false;
    for Shell { file, lines, is_own } in shells(env, program)? {
        let before = read(&file)?;
        // The last line is the one that names the program.
        if lines.last().is_some_and(|last| before.lines().any(|line| line == last)) {
            io.warn(&format!("already installed in {}", file.display()));
            continue;
        }
        let mut text = if is_own { String::new() } else { before };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        for line in &lines {
            if is_own || !text.lines().any(|found| found == line) {
                text.push_str(&format!("{line}\n"));
            }
        }
        write(&file, &text)?;
        is_new = true;
        io.print(&format!("Completion is installed in {}: begin a new shell.", file.display()))?;
    }
    if is_new { Ok(()) } else { Err(Failure::silent(1)) }
}

pub(in crate::cli) fn uninstall(env: &Env, program: &str, io: &mut Io<'_>) -> Result<(), Failure> {
    let mut was_there = false;
    for Shell { file, lines, is_own } in shells(env, program)? {
        let before = read(&file)?;
        let Some(last) = lines.last() else { continue };
        if !before.lines().any(|line| line == last) {
            continue;
        }
        was_there = true;
        if is_own {
            fs::remove_file(&file).map_err(|error| failed(&file, &error))?;
        } else {
            // Other programs may need the line of zsh's that comes before.
            let kept = before.lines().filter(|line| line != last);
            write(&file, &kept.map(|line| format!("{line}\n")).collect::<String>())?;
        }
        io.print(&format!("Completion is removed from {}.", file.display()))?;
    }
    match was_there {
        true => Ok(()),
        false => Err(Failure::local("completion is not installed")),
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(failed(file, &error)),
    }
}

/// Beside and renamed, with the permissions of before: a shell's file must never be half of one. A
/// link, as people have who keep these files elsewhere, is followed.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let written = || -> io::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".strongroom-new");
        let beside = file.with_file_name(name);
        fs::write(&beside, text)?;
        if let Ok(before) = file.metadata() {
            fs::set_permissions(&beside, before.permissions())?;
        }
        fs::rename(&beside, &file)
    };
    written().map_err(|error| failed(&file, &error))
}

fn failed(file: &Path, error: &io::Error) -> Failure {
    Failure::local(format!("{}: {error}", file.display()))
}
