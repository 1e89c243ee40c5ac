//! `secrets list`

use crate::cli::failure::Failure;
use crate::cli::mount::{
    self, LAST_COLUMNS, cell, config_cell, last_cells, print_mounts, ttl_cell,
};
use crate::cli::session::Session;
use crate::client::{GET, Request};

/// List the secrets engines that are mounted
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Show their settings too.
    #[arg(long)]
    detailed: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let is_detailed = session.is_detailed(args.detailed);
    let failed = |error| Failure::during("Error listing secrets engines", error);
    let response =
        session.client()?.send(&Request::new(GET, "sys/mounts")).await.map_err(failed)?;
    let mounts = mount::mounts(&response.envelope().map_err(failed)?.unwrap_or_default());
    let mut rows: Vec<Vec<String>> = Vec::new();
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    if is_detailed {
        let mut header =
            owned(&["Path", "Plugin", "Accessor", "Default TTL", "Max TTL", "Force No Cache"]);
        header.extend(owned(&LAST_COLUMNS));
        rows.push(header);
    } else {
        rows.push(owned(&["Path", "Type", "Accessor", "Description"]));
    }
    for (path, mount) in &mounts {
        let kind = cell(mount, "type");
        let accessor = cell(mount, "accessor");
        if !is_detailed {
            rows.push(vec![path.clone(), kind, accessor, cell(mount, "description")]);
            continue;
        }
        // These two hold nothing that ends by itself.
        let has_ttl = !matches!(kind.as_str(), "system" | "cubbyhole");
        let ttl = |name| if has_ttl { ttl_cell(mount, name) } else { String::new() };
        let (default_ttl, max_ttl) = (ttl("default_lease_ttl"), ttl("max_lease_ttl"));
        let no_cache = config_cell(mount, "force_no_cache");
        let mut row = vec![path.clone(), kind, accessor, default_ttl, max_ttl, no_cache];
        row.extend(last_cells(mount));
        rows.push(row);
    }
    print_mounts(session, mounts, &rows)
}
