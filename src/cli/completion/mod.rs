//! Completion of command lines, as Vault's program does it: the shell runs the program with
//! `COMP_LINE`, and each line that it prints is a candidate. `complete -C strongroom strongroom` is
//! all that bash needs; `completion SHELL` prints what each shell is best served with.

mod install;
mod live;
mod scripts;

use std::path::Path;

use clap::{Arg, ArgAction, Command};

pub(super) use install::{install, uninstall};

use super::env::Env;
use super::failure::Failure;
use super::session::Session;
use live::{Live, What};

/// Print what lets a shell complete commands, flags and paths
///
/// bash: `source <(strongroom completion bash)` in ~/.bashrc. zsh: the same in ~/.zshrc, after
/// compinit. fish: `strongroom completion fish > ~/.config/fish/completions/strongroom.fish`.
/// PowerShell: `strongroom completion powershell | Out-String | Invoke-Expression` in $PROFILE.
/// Mounts and paths are asked of the server, with the present token.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The shell: bash, zsh, fish or powershell.
    #[arg(value_name = "SHELL", value_parser = ["bash", "zsh", "fish", "powershell"])]
    shell: String,
}

pub(super) fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let script = scripts::of(&args.shell, session.program);
    session.io.print(script.trim_end())
}

/// The line that is to be completed, where a shell asks for that.
pub(super) fn asked(env: &Env) -> Option<String> {
    let line = env.plain("COMP_LINE")?;
    let point = env.plain("COMP_POINT").and_then(|point| point.parse().ok());
    let until = point.and_then(|point: usize| line.get(..point)).unwrap_or(line);
    Some(until.to_owned())
}

/// One candidate a line; nothing where anything goes wrong.
pub(super) fn candidates(line: &str, root: &Command, env: &Env) -> Vec<String> {
    let mut words = split(line);
    let Some(partial) = words.pop() else { return Vec::new() };
    let words = words.get(1..).unwrap_or_default();
    let at = Position::of(root, words);
    let (prefix, partial, mut found) = match (&at.wants, flag_of(&partial, &at)) {
        // `-mount secret/`
        (Some(flag), _) => ("", partial.as_str(), values(flag, &partial, &at, env)),
        // `-mount=secret/`: bash replaces what is after the equals sign alone.
        (None, Some((flag, value))) => {
            let whole = env.plain(SHELL).is_some_and(|shell| shell != "bash");
            let before = partial.len().saturating_sub(value.len());
            let prefix = partial.get(..before).filter(|_| whole).unwrap_or_default();
            (prefix, value, values(flag, value, &at, env))
        }
        (None, None) if partial.starts_with('-') => ("", partial.as_str(), at.flags(&partial)),
        (None, None) => ("", partial.as_str(), at.words(&partial, env)),
    };
    found.retain(|candidate| candidate.starts_with(partial));
    found.sort();
    found.dedup();
    found.into_iter().map(|candidate| format!("{prefix}{candidate}")).collect()
}

/// Where in the command tree the cursor is.
struct Position<'a> {
    root: &'a Command,
    command: &'a Command,
    /// Names below the program's.
    path: Vec<&'a str>,
    /// Words that are no flags, after the command's name.
    arguments: Vec<String>,
    /// All flags so far, as written, with their values.
    flags: Vec<(String, String)>,
    /// The flag whose value is next.
    wants: Option<&'a Arg>,
}

impl<'a> Position<'a> {
    fn of(root: &'a Command, words: &[String]) -> Self {
        let mut at = Self {
            root,
            command: root,
            path: Vec::new(),
            arguments: Vec::new(),
            flags: Vec::new(),
            wants: None,
        };
        for word in words {
            if let Some(flag) = at.wants.take() {
                at.flags.push((name_of(flag).to_owned(), word.clone()));
            } else if let Some(name) = word.strip_prefix('-').filter(|name| !name.is_empty()) {
                let name = name.trim_start_matches('-');
                match name.split_once('=') {
                    Some((name, value)) => at.flags.push((name.to_owned(), value.to_owned())),
                    None => match at.flag(name).filter(|flag| takes_value(flag)) {
                        Some(flag) => at.wants = Some(flag),
                        None => at.flags.push((name.to_owned(), String::new())),
                    },
                }
            } else {
                at.enter(word);
            }
        }
        at
    }

    fn enter(&mut self, word: &str) {
        let below = self.command.find_subcommand(word).filter(|_| self.arguments.is_empty());
        match below {
            Some(below) => {
                self.command = below;
                self.path.push(below.get_name());
            }
            None => self.arguments.push(word.to_owned()),
        }
    }

    /// Of the command, or of all commands.
    fn all_flags(&self) -> impl Iterator<Item = &'a Arg> + use<'a> {
        let global = self.root.get_arguments().filter(|flag| flag.is_global_set());
        let own = self.command.get_arguments();
        own.chain(global).filter(|flag| !flag.is_positional() && !flag.is_hide_set())
    }

    fn flag(&self, name: &str) -> Option<&'a Arg> {
        self.all_flags().find(|flag| {
            name_of(flag) == name
                || flag.get_all_aliases().is_some_and(|others| others.contains(&name))
        })
    }

    fn flags(&self, partial: &str) -> Vec<String> {
        let dashes = if partial.starts_with("--") { "--" } else { "-" };
        let names = self.all_flags().map(name_of).chain(["help"]);
        names.map(|name| format!("{dashes}{name}")).collect()
    }

    /// Commands, or what the command takes.
    fn words(&self, partial: &str, env: &Env) -> Vec<String> {
        if self.command.has_subcommands() {
            if !self.arguments.is_empty() {
                // After a command that there is not.
                return Vec::new();
            }
            let below = self.command.get_subcommands().filter(|below| !below.is_hide_set());
            return below.map(|below| below.get_name().to_owned()).collect();
        }
        let positional = self.command.get_positionals().nth(self.arguments.len());
        let fixed = positional.map(fixed_values).unwrap_or_default();
        if !fixed.is_empty() {
            return fixed;
        }
        match What::of(&self.path, self.arguments.len()) {
            Some(What::File) => files(partial),
            Some(what) => self.live(env).find(what, partial),
            None => Vec::new(),
        }
    }

    fn live<'b>(&'b self, env: &'b Env) -> Live<'b> {
        Live { env, flags: &self.flags, is_kv: self.path.first() == Some(&"kv") }
    }
}

/// `-name=value` that is being written.
fn flag_of<'a, 'b>(partial: &'b str, at: &Position<'a>) -> Option<(&'a Arg, &'b str)> {
    let (name, value) = partial.strip_prefix('-')?.trim_start_matches('-').split_once('=')?;
    Some((at.flag(name)?, value))
}

fn name_of(flag: &Arg) -> &str {
    flag.get_long().unwrap_or_else(|| flag.get_id().as_str())
}

fn takes_value(flag: &Arg) -> bool {
    // Switches read `-flag=false` as well, but never the next word.
    matches!(flag.get_action(), ArgAction::Set | ArgAction::Append) && !flag.is_require_equals_set()
}

fn fixed_values(argument: &Arg) -> Vec<String> {
    let values = argument.get_possible_values();
    values.iter().map(|value| value.get_name().to_owned()).collect()
}

fn values(flag: &Arg, partial: &str, at: &Position<'_>, env: &Env) -> Vec<String> {
    let fixed = fixed_values(flag);
    if !fixed.is_empty() {
        return fixed;
    }
    let shown = flag.get_value_names().and_then(|names| names.first()).map(|name| name.as_str());
    match (name_of(flag), shown) {
        ("format", _) => FORMATS.iter().map(|format| (*format).to_owned()).collect(),
        ("log-level", _) => LEVELS.iter().map(|level| (*level).to_owned()).collect(),
        ("mount", _) => at.live(env).find(What::SecretMount, partial),
        ("policy", _) => at.live(env).find(What::Policy, partial),
        (_, Some("BOOL")) => vec!["true".to_owned(), "false".to_owned()],
        (name, Some("FILE" | "FOLDER" | "PATH")) if name != "path" => files(partial),
        _ => Vec::new(),
    }
}

/// Names of files; folders end in a slash.
fn files(partial: &str) -> Vec<String> {
    let (folder, hidden) = match partial.rsplit_once('/') {
        Some((folder, name)) => (format!("{folder}/"), name.starts_with('.')),
        None => (String::new(), partial.starts_with('.')),
    };
    let looked = if folder.is_empty() { Path::new(".") } else { Path::new(&folder) };
    let entries = std::fs::read_dir(looked).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let slash = if entry.path().is_dir() { "/" } else { "" };
        (hidden || !name.starts_with('.')).then(|| format!("{folder}{name}{slash}"))
    });
    names.take(FILES_MAX).collect()
}

/// As a shell would, as far as completion needs it: the last word is the one being written.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quote, mut is_escaped) = (None, false);
    for letter in line.chars() {
        let word = words.last_mut();
        match (letter, quote) {
            _ if is_escaped => {
                is_escaped = false;
                word.into_iter().for_each(|word| word.push(letter));
            }
            ('\\', None | Some('"')) => is_escaped = true,
            (_, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => quote = Some(letter),
            (' ' | '\t', None) => {
                if word.is_some_and(|word| !word.is_empty()) {
                    words.push(String::new());
                }
            }
            _ => word.into_iter().for_each(|word| word.push(letter)),
        }
    }
    words
}

const FORMATS: [&str; 5] = ["table", "json", "yaml", "pretty", "raw"];
const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];
const FILES_MAX: usize = 1000;
/// Set by the scripts of `completion`: which shell asks.
const SHELL: &str = "STRONGROOM_COMPLETION";

#[cfg(test)]
mod tests;
