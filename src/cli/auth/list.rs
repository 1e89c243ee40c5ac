//! `auth list`

use crate::cli::failure::Failure;
use crate::cli::mount::{
    self, LAST_COLUMNS, cell, config_cell, last_cells, print_mounts, ttl_cell,
};
use crate::cli::session::Session;
use crate::client::{GET, Request};

/// List the auth methods that are mounted
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Show their settings too.
    #[arg(long)]
    detailed: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let is_detailed = session.is_detailed(args.detailed);
    let failed = |error| Failure::during("Error listing enabled authentications", error);
    let response = session.client()?.send(&Request::new(GET, "sys/auth")).await.map_err(failed)?;
    let mounts = mount::mounts(&response.envelope().map_err(failed)?.unwrap_or_default());
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let mut rows: Vec<Vec<String>> = Vec::new();
    if is_detailed {
        let mut header =
            owned(&["Path", "Plugin", "Accessor", "Default TTL", "Max TTL", "Token Type"]);
        header.extend(owned(&LAST_COLUMNS));
        rows.push(header);
    } else {
        rows.push(owned(&["Path", "Type", "Accessor", "Description", "Version"]));
    }
    for (path, mount) in &mounts {
        let mut row = vec![path.clone(), cell(mount, "type"), cell(mount, "accessor")];
        if is_detailed {
            row.push(ttl_cell(mount, "default_lease_ttl"));
            row.push(ttl_cell(mount, "max_lease_ttl"));
            row.push(config_cell(mount, "token_type"));
            row.extend(last_cells(mount));
        } else {
            row.push(cell(mount, "description"));
            row.push(cell(mount, "plugin_version"));
        }
        rows.push(row);
    }
    print_mounts(session, mounts, &rows)
}
