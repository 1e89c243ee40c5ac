//! `man`: manual pages, of the same tree that reads the command line.

use std::fs;
use std::path::PathBuf;

use clap::{Arg, Command};

use super::args::with_single_dashes;
use super::env::Env;
use super::failure::Failure;
use super::session::Session;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::config::env::{PREFIXES, Reads, VARIABLES};

/// Print the manual page, or write that of each command into a folder
///
/// `strongroom man | man -l -` shows the first; `-output=/usr/local/share/man/man1` writes all. The
/// date on them is today's, or that of SOURCE_DATE_EPOCH.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Write `strongroom.1`, `strongroom-kv.1` and so on into this folder.
    #[arg(long, short = 'o', value_name = "FOLDER")]
    output: Option<PathBuf>,
}

pub(super) fn run(
    session: &mut Session<'_, '_>,
    args: &Args,
    root: &Command,
) -> Result<(), Failure> {
    let date = date(session.env)?;
    let mut pages = Vec::new();
    walk(root, &[NAME.to_owned()], root, &date, &mut pages);
    let Some(folder) = &args.output else {
        let first = pages.first().map(|(_, text)| text.as_str()).unwrap_or_default();
        return session.io.print(first.trim_end());
    };
    let failed = |error: std::io::Error| Failure::local(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    for (name, text) in &pages {
        fs::write(folder.join(format!("{name}.1")), text).map_err(failed)?;
    }
    session.io.print(&format!("{} pages are in {}.", pages.len(), folder.display()))
}

fn date(env: &Env) -> Result<String, Failure> {
    let time = match env.plain("SOURCE_DATE_EPOCH") {
        None => SystemClock.now(),
        Some(text) => Timestamp::from_seconds(text.parse().map_err(|_| {
            Failure::local(format!("SOURCE_DATE_EPOCH: `{text}` is no number of seconds"))
        })?),
    };
    Ok(time.rfc3339().chars().take(10).collect())
}

fn walk(
    command: &Command,
    path: &[String],
    root: &Command,
    date: &str,
    into: &mut Vec<(String, String)>,
) {
    into.push((path.join("-"), page(command, path, root, date)));
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let mut path = path.to_vec();
        path.push(below.get_name().to_owned());
        walk(below, &path, root, date, into);
    }
}

fn page(command: &Command, path: &[String], root: &Command, date: &str) -> String {
    let is_root = path.len() == 1;
    let title = path.join("-");
    let version = env!("CARGO_PKG_VERSION");
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut page = Page(format!(
        ".TH {} 1 {date} \"Strongroom {version}\" \"Strongroom Manual\"\n",
        quoted(&title.to_uppercase())
    ));
    page.section("NAME");
    let about = about.trim_end_matches('.');
    page.line(&format!("{} \\- {}", escaped(&title), escaped(about)));
    page.section("SYNOPSIS");
    page.synopsis(command, path);
    page.section("DESCRIPTION");
    let long = command.get_long_about().map(ToString::to_string);
    page.paragraphs(&with_single_dashes(&long.unwrap_or_else(|| about.to_owned())));
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && (is_root || !argument.is_global_set()))
        .collect();
    let (positional, flags): (Vec<&Arg>, Vec<&Arg>) =
        own.into_iter().partition(|argument| argument.is_positional());
    page.arguments("ARGUMENTS", &positional);
    page.arguments("OPTIONS", &flags);
    let below: Vec<&Command> =
        command.get_subcommands().filter(|below| !below.is_hide_set()).collect();
    if !below.is_empty() {
        page.section("COMMANDS");
        for below in &below {
            let about = below.get_about().map(ToString::to_string).unwrap_or_default();
            page.item(
                &format!("\\fB{}\\fR", escaped(&format!("{title}-{}(1)", below.get_name()))),
                &about,
            );
        }
    }
    if is_root {
        page.environment();
    } else {
        page.section("FURTHER OPTIONS");
        page.line("Those of every command, and the environment, are in");
        page.line(&format!("\\fB{}\\fR(1).", escaped(root.get_name())));
    }
    page.section("EXIT STATUS");
    page.line(STATUS);
    page.0
}

/// Text in roff's man macros.
struct Page(String);

impl Page {
    fn section(&mut self, title: &str) {
        self.0.push_str(&format!(".SH {}\n", quoted(title)));
    }

    /// Already escaped.
    fn line(&mut self, text: &str) {
        let guard = if text.starts_with(['.', '\'']) { "\\&" } else { "" };
        self.0.push_str(&format!("{guard}{text}\n"));
    }

    fn synopsis(&mut self, command: &Command, path: &[String]) {
        let mut line = format!("\\fB{}\\fR", escaped(&path.join(" ")));
        if command.has_subcommands() {
            line.push_str(" [\\fIoptions\\fR] \\fIcommand\\fR");
        } else {
            line.push_str(" [\\fIoptions\\fR]");
        }
        for argument in command.get_positionals() {
            let dots = if argument.get_num_args().is_some_and(|many| many.max_values() > 1) {
                " ..."
            } else {
                ""
            };
            let name = format!("\\fI{}\\fR{dots}", escaped(&shown(argument)));
            match argument.is_required_set() {
                true => line.push_str(&format!(" {name}")),
                false => line.push_str(&format!(" [{name}]")),
            }
        }
        self.line(&line);
    }

    fn paragraphs(&mut self, text: &str) {
        for (index, paragraph) in text.split("\n\n").enumerate() {
            if index > 0 {
                self.0.push_str(".PP\n");
            }
            for line in paragraph.lines().map(str::trim).filter(|line| !line.is_empty()) {
                self.line(&escaped(line));
            }
        }
    }

    /// `label` is already escaped.
    fn item(&mut self, label: &str, text: &str) {
        self.0.push_str(".TP\n");
        self.line(label);
        let text = with_single_dashes(text);
        // An item without a text would swallow what follows it.
        if text.trim().is_empty() {
            self.line("\\&");
        }
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.line(&escaped(line));
        }
    }

    fn arguments(&mut self, title: &str, all: &[&Arg]) {
        if all.is_empty() {
            return;
        }
        self.section(title);
        for argument in all {
            let value = format!("\\fI{}\\fR", escaped(&shown(argument)));
            let label = match argument.get_long() {
                None => value,
                Some(name) if argument.is_require_equals_set() => {
                    format!("\\fB{}\\fR", escaped(&format!("-{name}")))
                }
                Some(name) => format!("\\fB{}\\fR={value}", escaped(&format!("-{name}"))),
            };
            let help = argument.get_long_help().or_else(|| argument.get_help());
            self.item(&label, &help.map(ToString::to_string).unwrap_or_default());
        }
    }

    fn environment(&mut self) {
        self.section("ENVIRONMENT");
        let prefixes = PREFIXES.join(" first, then ");
        self.line(&escaped(&format!("Each is looked up with the prefix {prefixes}.")));
        for variable in VARIABLES.iter().filter(|variable| variable.reads == Reads::Client) {
            let label = format!("\\fBVAULT_{}\\fR", escaped(variable.suffix));
            self.item(&label, variable.help);
        }
    }
}

fn shown(argument: &Arg) -> String {
    let names = argument.get_value_names().and_then(|names| names.first());
    names.map_or_else(|| argument.get_id().to_string(), ToString::to_string)
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('`', "\\(ga").replace('\'', "\\(aq")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

const NAME: &str = "strongroom";
const STATUS: &str = "0 for success, 1 where the command line or something on this machine is wrong, \
                      2 where the server refused or has no such thing.";

#[cfg(test)]
mod tests;
