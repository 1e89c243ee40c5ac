//! `auth move`

use crate::cli::failure::Failure;
use crate::cli::mount::move_mount;
use crate::cli::session::{Session, mount_path};

/// Move an auth method to another path; its tokens end
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    source: String,
    destination: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let below_auth = |path: &str| {
        let path = mount_path(path);
        path.strip_prefix("auth/").unwrap_or(&path).to_owned()
    };
    let (from, to) = (below_auth(&args.source), below_auth(&args.destination));
    move_mount(session, "auth method", &from, &to, "auth/").await
}
