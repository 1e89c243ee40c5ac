//! Vault's way of writing flags, made clap's before clap sees it.

use clap::{Arg, ArgAction, Command, builder::ValueParser};

use crate::duration::SignedDuration;

/// Turns `-flag` into `--flag`: Go's flags take either. A lone `-`, negative numbers and what
/// follows `--` stay.
pub(super) fn with_double_dashes(arguments: Vec<String>) -> Vec<String> {
    let mut are_flags_over = false;
    arguments
        .into_iter()
        .map(|argument| {
            are_flags_over |= argument == "--";
            let is_flag = !are_flags_over
                && argument
                    .strip_prefix('-')
                    .is_some_and(|rest| rest.starts_with(|first: char| first.is_alphabetic()));
            if is_flag { format!("-{argument}") } else { argument }
        })
        .collect()
}

/// The other way round, for what clap says about flags: Vault's commands and scripts write one
/// dash.
pub(super) fn with_single_dashes(text: &str) -> String {
    let text = text.replace("[=<BOOL>]", "         ");
    let mut words = text.split("--");
    let mut single = words.next().unwrap_or_default().to_owned();
    for word in words {
        let is_flag = word.starts_with(|first: char| first.is_ascii_alphabetic())
            && !single.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '-');
        single.push_str(if is_flag { "-" } else { "--" });
        single.push_str(word);
    }
    let lines: Vec<&str> = single.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// Makes all flags of a command and its subcommands behave as Go's: a flag may be repeated (the
/// last one counts), and a switch also reads `-flag=false`.
pub(super) fn with_go_flags(command: Command) -> Command {
    let command =
        command.args_override_self(true).mut_args(|argument| match argument.get_action() {
            ArgAction::SetTrue => as_go_switch(argument),
            ArgAction::Set if !argument.is_positional() => argument.allow_negative_numbers(true),
            _ => argument,
        });
    let names: Vec<String> =
        command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, with_go_flags))
}

fn as_go_switch(argument: Arg) -> Arg {
    argument
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .hide_default_value(true)
        .hide_possible_values(true)
        .value_parser(ValueParser::new(go_bool))
        .value_name("BOOL")
}

/// As Go's `strconv.ParseBool` reads it.
pub(super) fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// A duration as flags take it: `90`, `90s`, `1h30m`, `1.5h`, `2d`; the answer is in seconds, as
/// text that every server reads, such as `5400s`.
pub(super) fn duration(text: &str) -> Result<String, String> {
    seconds(text).map(|seconds| format!("{seconds}s"))
}

/// As [`duration`], as a number; parts of a second are dropped.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    let read = SignedDuration::parse(text);
    read.map(SignedDuration::whole_seconds)
        .map_err(|_| format!("`{text}` is no duration, such as `90s` or `1h30m`"))
}

/// `key=value`, as `-metadata` and `-header` take it.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("missing = in `{text}`"))?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests;
