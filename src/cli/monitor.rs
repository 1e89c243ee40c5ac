//! `monitor`

use http_body_util::BodyExt as _;

use super::failure::{Failure, REMOTE};
use super::session::Session;
use crate::client::{GET, Request};

/// Show the log of the server as it is written
#[derive(clap::Args)]
pub(super) struct Args {
    /// What is shown, at least: trace, debug, info, warn or error.
    #[arg(long, default_value = "info")]
    log_level: String,
    /// How it is shown: standard or json.
    #[arg(long, default_value = "standard")]
    log_format: String,
}

/// Until the server ends it, or the terminal does.
pub(super) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let failed = |error| Failure::during("Error monitoring the log", error);
    let request = Request::new(GET, "sys/monitor")
        .query("log_level", &args.log_level)
        .query("log_format", &args.log_format);
    let (_, mut body) = session.client()?.open(&request).await.map_err(failed)?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failure::local(format!("Error monitoring the log: {error}")).exit(REMOTE)
        })?;
        // An empty line only shows that the server is there.
        let bytes = frame.data_ref().filter(|bytes| bytes.as_ref() != b"\n");
        if let Some(bytes) = bytes {
            session.io.output.write_all(bytes)?;
            session.io.output.flush()?;
        }
    }
    Ok(())
}
