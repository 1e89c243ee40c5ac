//! What `secrets` and `auth` have in common: flags of a mount, lists of mounts, moving one.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::args;
use super::failure::Failure;
use super::format::Format;
use super::go_text;
use super::session::Session;
use crate::client::{Envelope, GET, POST, Request};

/// What `enable` and `tune` of both set.
#[derive(clap::Args)]
pub(super) struct Tuning {
    /// How long leases and tokens of this mount live by default.
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    default_lease_ttl: Option<String>,
    /// How long they live at most.
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    max_lease_ttl: Option<String>,
    /// A key of requests that the audit log shows as it is; may be repeated.
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    audit_non_hmac_request_keys: Option<Vec<String>>,
    /// A key of replies that the audit log shows as it is; may be repeated.
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    audit_non_hmac_response_keys: Option<Vec<String>>,
    /// Whether those who are not logged in see the mount: unauth or hidden.
    #[arg(long)]
    listing_visibility: Option<String>,
    /// A header of requests that the mount may read; may be repeated.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    passthrough_request_headers: Option<Vec<String>>,
    /// A header of replies that the mount may set; may be repeated.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    allowed_response_headers: Option<Vec<String>>,
    /// An option of the mount, as key=value; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = args::pair)]
    options: Vec<(String, String)>,
    /// The version of the plugin.
    #[arg(long)]
    plugin_version: Option<String>,
}

impl Tuning {
    /// The settings without the options, as both `config` and `tune` take them.
    pub(super) fn config(&self) -> Map<String, Value> {
        let mut config = Map::new();
        for (name, value) in [
            ("default_lease_ttl", &self.default_lease_ttl),
            ("max_lease_ttl", &self.max_lease_ttl),
            ("listing_visibility", &self.listing_visibility),
            ("plugin_version", &self.plugin_version),
        ] {
            if let Some(value) = value {
                config.insert(name.into(), json!(value));
            }
        }
        for (name, values) in [
            ("audit_non_hmac_request_keys", &self.audit_non_hmac_request_keys),
            ("audit_non_hmac_response_keys", &self.audit_non_hmac_response_keys),
            ("passthrough_request_headers", &self.passthrough_request_headers),
            ("allowed_response_headers", &self.allowed_response_headers),
        ] {
            if let Some(values) = values {
                config.insert(name.into(), json!(values));
            }
        }
        config
    }

    /// The options, and the version of a key-value engine with them.
    pub(super) fn options(&self, version: Option<u64>) -> Map<String, Value> {
        let mut options: Map<String, Value> =
            self.options.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        if let Some(version) = version.filter(|version| *version > 0) {
            options.insert("version".into(), json!(version.to_string()));
        }
        options
    }
}

/// What `enable` of both sets besides, and cannot be changed later.
#[derive(clap::Args)]
pub(super) struct Nature {
    /// Words for people.
    #[arg(long)]
    description: Option<String>,
    /// Keep it in this cluster alone.
    #[arg(long)]
    local: bool,
    /// Wrap its values with the seal as well.
    #[arg(long)]
    seal_wrap: bool,
    /// Let it use randomness of the seal.
    #[arg(long)]
    external_entropy_access: bool,
    /// Let it keep what it is given unread.
    #[arg(long)]
    force_no_cache: bool,
    /// The plugin's name, where the type is `plugin`.
    #[arg(long)]
    plugin_name: Option<String>,
}

impl Nature {
    /// The type as given, or the plugin's name.
    pub(super) fn kind<'a>(&'a self, given: &'a str) -> Result<&'a str, Failure> {
        match (given, &self.plugin_name) {
            ("plugin", Some(name)) => Ok(name),
            ("plugin", None) => Err(Failure::local("Must specify -plugin-name for type plugin")),
            (given, _) => Ok(given),
        }
    }

    /// The whole of a request that enables a mount.
    pub(super) fn body(
        &self,
        kind: &str,
        mut config: Map<String, Value>,
        options: Map<String, Value>,
    ) -> Value {
        if self.force_no_cache {
            config.insert("force_no_cache".into(), json!(true));
        }
        let mut body = Map::new();
        body.insert("type".into(), json!(kind));
        body.insert("description".into(), json!(self.description.as_deref().unwrap_or_default()));
        body.insert("local".into(), json!(self.local));
        body.insert("seal_wrap".into(), json!(self.seal_wrap));
        body.insert("external_entropy_access".into(), json!(self.external_entropy_access));
        body.insert("config".into(), Value::Object(config));
        if !options.is_empty() {
            body.insert("options".into(), Value::Object(options));
        }
        Value::Object(body)
    }
}

/// The mounts that a list answers, by path.
///
/// They are in `data`; what is beside it is the same again, for older clients.
pub(super) fn mounts(envelope: &Envelope) -> Map<String, Value> {
    let mounts = envelope.data().into_iter().flatten();
    let mut mounts: Vec<_> = mounts.filter(|(_, mount)| mount.is_object()).collect();
    mounts.sort_by_key(|(path, _)| *path);
    mounts.into_iter().map(|(path, mount)| (path.clone(), mount.clone())).collect()
}

/// One cell of a list.
pub(super) fn cell(mount: &Value, name: &str) -> String {
    mount.get(name).filter(|value| !value.is_null()).map(go_text::text).unwrap_or_default()
}

/// The cells that the detailed lists of both end with.
pub(super) fn last_cells(mount: &Value) -> Vec<String> {
    let options = mount.get("options").filter(|options| options.is_object());
    let is_local = mount.get("local") == Some(&Value::Bool(true));
    vec![
        if is_local { "local" } else { "replicated" }.to_owned(),
        cell(mount, "seal_wrap"),
        cell(mount, "external_entropy_access"),
        options.map_or_else(|| "map[]".to_owned(), go_text::text),
        cell(mount, "description"),
        cell(mount, "uuid"),
        cell(mount, "plugin_version"),
        cell(mount, "running_plugin_version"),
        cell(mount, "running_sha256"),
        cell(mount, "deprecation_status"),
    ]
}

pub(super) const LAST_COLUMNS: [&str; 10] = [
    "Replication",
    "Seal Wrap",
    "External Entropy Access",
    "Options",
    "Description",
    "UUID",
    "Version",
    "Running Version",
    "Running SHA256",
    "Deprecation Status",
];

/// The time of a mount in seconds, or that the system's counts.
pub(super) fn ttl_cell(mount: &Value, name: &str) -> String {
    match mount.get("config").and_then(|config| config.get(name)).and_then(Value::as_u64) {
        Some(0) | None => "system".into(),
        Some(seconds) => seconds.to_string(),
    }
}

pub(super) fn config_cell(mount: &Value, name: &str) -> String {
    mount.get("config").map(|config| cell(config, name)).unwrap_or_default()
}

/// Prints the mounts, as the paths of JSON or as the rows of a table.
pub(super) fn print_mounts(
    session: &mut Session<'_, '_>,
    mounts: Map<String, Value>,
    rows: &[Vec<String>],
) -> Result<(), Failure> {
    match session.format {
        Format::Table => session.print_table(rows, &Value::Null),
        _ => session.print_value(&Value::Object(mounts)),
    }
}

/// Moves a mount, and waits until it has arrived.
pub(super) async fn move_mount(
    session: &mut Session<'_, '_>,
    noun: &str,
    from: &str,
    to: &str,
    prefix: &str,
) -> Result<(), Failure> {
    let client = session.client()?;
    let failed = |error| Failure::during(format_args!("Error moving {noun} {from} to {to}"), error);
    let body = json!({ "from": format!("{prefix}{from}"), "to": format!("{prefix}{to}") });
    let response =
        client.send(&Request::new(POST, "sys/remount").json(&body)).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    let Some(id) = envelope.data().and_then(|data| data.get("migration_id")).map(go_text::text)
    else {
        return session.success(&format!("Success! Moved {noun} {from} to: {to}"));
    };
    let route = format!("{noun} {from} to {to}, with migration ID {id}");
    session.success(&format!("Started moving {route}"))?;
    loop {
        let request = Request::new(GET, &format!("sys/remount/status/{id}"));
        let response = client.send(&request).await.map_err(failed)?;
        let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
        let state = envelope
            .data()
            .and_then(|data| data.get("migration_info")?.get("status"))
            .map(go_text::text)
            .unwrap_or_default();
        match state.as_str() {
            "success" => return session.success(&format!("Success! Finished moving {route}")),
            "in-progress" => tokio::time::sleep(MOVE_POLL).await,
            _ => return Err(Failure::remote(format!("Failure! Error encountered moving {route}"))),
        }
    }
}

const MOVE_POLL: Duration = Duration::from_millis(200);
