//! `kv list`

use super::place::Place;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::Request;

/// List the secrets below a path
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Without it, all of the mount.
    #[arg(required_unless_present = "mount")]
    path: Option<String>,
    /// The mount; the path is then below it.
    #[arg(long)]
    mount: Option<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let path = args.path.as_deref().unwrap_or_default();
    let place = Place::find(session, args.mount.as_deref(), path).await?;
    let path = place.of_list();
    let failed = |error| Failure::during(format_args!("Error listing {path}"), error);
    let response = session.client()?.send(&Request::list(&path)).await.map_err(failed)?;
    match response.envelope().map_err(failed)? {
        Some(envelope) if envelope.wrap_info.is_some() => session.print_envelope(&envelope),
        Some(envelope) => session.print_list(&envelope, &path),
        None => session.print_nothing_listed(None, &path),
    }
}
