//! What a command works with: the flags, the environment, the client, and ways to print.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::env::Env;
use super::failure::{Failure, REMOTE};
use super::format::{self, Format};
use super::global::GlobalFlags;
use super::io::Io;
use super::{args, go_text, table};
use crate::client::{Client, Envelope, Response};
use crate::config::env;

pub(super) struct Session<'a, 'io> {
    pub(super) io: &'a mut Io<'io>,
    pub(super) env: &'a Env,
    pub(super) global: &'a GlobalFlags,
    pub(super) format: Format,
    /// What the program is called, for messages that name a command.
    pub(super) program: &'a str,
    client: OnceLock<Arc<Client>>,
}

impl<'a, 'io> Session<'a, 'io> {
    pub(super) fn new(
        io: &'a mut Io<'io>,
        env: &'a Env,
        global: &'a GlobalFlags,
        program: &'a str,
    ) -> Result<Self, Failure> {
        let format = global.format(env)?;
        Ok(Self { io, env, global, format, program, client: OnceLock::new() })
    }

    /// Made on first use: a command that needs no server needs no valid address.
    pub(super) fn client(&self) -> Result<Arc<Client>, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(self.global.client(self.env)?);
        Ok(Arc::clone(self.client.get_or_init(|| client)))
    }

    /// Whether lists show all that is known.
    pub(super) fn is_detailed(&self, flag: bool) -> bool {
        flag || self.env.get(env::DETAILED).is_some_and(|value| args::go_bool(value) == Ok(true))
    }

    /// For a command that cannot print a reply as it came.
    pub(super) fn refuse_raw(&self) -> Result<(), Failure> {
        match self.format {
            Format::Raw => {
                Err(Failure::local("This command does not support the -format=raw option."))
            }
            Format::Pretty => Err(Failure::local(
                "Could not parse output: cannot use the pretty formatter for this type",
            )),
            _ => Ok(()),
        }
    }

    /// A message that only people want: nothing in JSON or YAML.
    pub(super) fn success(&mut self, message: &str) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.io.print(message),
            _ => Ok(()),
        }
    }

    /// The envelope of a reply to a write; `message` where it is empty.
    pub(super) fn print_written(
        &mut self,
        envelope: Option<&Envelope>,
        message: &str,
    ) -> Result<(), Failure> {
        match (envelope, &self.global.field) {
            (None, None) => self.success(message),
            (None, Some(field)) => Err(missing_field(field, "secret")),
            (Some(envelope), _) => self.print_envelope(envelope),
        }
    }

    /// The whole of an envelope, or the field that `-field` names.
    pub(super) fn print_envelope(&mut self, envelope: &Envelope) -> Result<(), Failure> {
        if let Some(field) = self.global.field.clone() {
            let value = format::field(envelope, &field);
            return self.print_field(value.as_ref(), &field, "secret");
        }
        self.refuse_raw()?;
        if self.format != Format::Table {
            return self.print_value(&format::envelope_value(envelope));
        }
        self.warn_all(&envelope.warnings);
        let rows = format::envelope_rows(envelope);
        if rows.is_empty() { Ok(()) } else { self.io.print(&table::of_pairs(&rows)) }
    }

    /// A map that is no envelope: as it is in JSON, `rows` in a table, or one field.
    pub(super) fn print_map(
        &mut self,
        map: &Map<String, Value>,
        rows: &[(String, String)],
    ) -> Result<(), Failure> {
        if let Some(field) = self.global.field.clone() {
            return self.print_field(map.get(&field), &field, "map");
        }
        self.refuse_raw()?;
        match self.format {
            Format::Table => self.io.print(&table::of_pairs(rows)),
            _ => self.print_value(&Value::Object(map.clone())),
        }
    }

    /// A value that has a shape of its own, in JSON or YAML.
    pub(super) fn print_value(&mut self, value: &Value) -> Result<(), Failure> {
        let text = match self.format {
            Format::Yaml => format::yaml_text(value),
            _ => format::json_text(value),
        };
        self.io.print(&text)
    }

    pub(super) fn print_field(
        &mut self,
        value: Option<&Value>,
        field: &str,
        holder: &str,
    ) -> Result<(), Failure> {
        let value =
            value.filter(|value| !value.is_null()).ok_or_else(|| missing_field(field, holder))?;
        let text = match self.format {
            Format::Json => format::json_text(&format::sorted(value)),
            Format::Yaml => format::yaml_text(value),
            _ => go_text::text(value),
        };
        self.io.print_raw(text.as_bytes())
    }

    /// Names, one a line, below `Keys`.
    pub(super) fn print_list(&mut self, envelope: &Envelope, path: &str) -> Result<(), Failure> {
        self.refuse_raw()?;
        let keys = envelope.keys().filter(|keys| !keys.is_empty());
        match (keys, self.format) {
            (Some(keys), Format::Table) => {
                self.warn_all(&envelope.warnings);
                let mut rows = vec![vec!["Keys".to_owned()]];
                rows.extend(keys.iter().map(|key| vec![go_text::text(key)]));
                self.io.print(&table::with_header(&rows))
            }
            (Some(keys), _) => self.print_value(&Value::Array(keys.clone())),
            (None, _) => self.print_nothing_listed(Some(envelope), path),
        }
    }

    /// What a list answers where there is nothing.
    pub(super) fn print_nothing_listed(
        &mut self,
        envelope: Option<&Envelope>,
        path: &str,
    ) -> Result<(), Failure> {
        let warnings = envelope.map(|envelope| envelope.warnings.as_slice()).unwrap_or_default();
        if self.format != Format::Table {
            self.print_value(&Value::Object(Map::new()))?;
            return Err(Failure::silent(REMOTE));
        }
        if warnings.is_empty() {
            return Err(no_value(path));
        }
        self.warn_all(warnings);
        Ok(())
    }

    pub(super) fn warn_all(&mut self, warnings: &[String]) {
        if warnings.is_empty() {
            return;
        }
        let bullets: Vec<String> = warnings.iter().map(|text| format::bullet(text)).collect();
        let title = "WARNING! The following warnings were returned from Vault:";
        self.io.warn(&format!("{title}\n\n{}\n", bullets.join("\n\n")));
    }

    /// A table of several columns, or the value in JSON or YAML.
    pub(super) fn print_table(
        &mut self,
        rows: &[Vec<String>],
        value: &Value,
    ) -> Result<(), Failure> {
        self.refuse_raw()?;
        match self.format {
            Format::Table => self.io.print(&table::with_header(rows)),
            _ => self.print_value(value),
        }
    }

    /// The body as it came, for `-format=raw`.
    pub(super) fn print_body(&mut self, response: &Response) -> Result<(), Failure> {
        self.io.output.write_all(&response.body)?;
        self.io.output.write_all(b"\n")?;
        Ok(())
    }
}

pub(super) fn no_value(path: &str) -> Failure {
    Failure::remote(format!("No value found at {path}"))
}

fn missing_field(field: &str, holder: &str) -> Failure {
    Failure::local(format!("Field {field:?} not present in {holder}"))
}

/// Without spaces and slashes around it, as Vault's commands read a path.
pub(super) fn trimmed_path(path: &str) -> &str {
    path.trim().trim_matches('/')
}

/// With exactly one slash at its end, as mounts are shown.
pub(super) fn mount_path(path: &str) -> String {
    format!("{}/", trimmed_path(path))
}
