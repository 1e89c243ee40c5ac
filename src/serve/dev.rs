//! `server -dev`: its flags, and what it tells.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use super::dev_tls::DevTls;
use super::logging::{LogOptions, Logging};
use super::told;
use crate::cli::env::Env;
use crate::cli::failure::Failure;
use crate::cli::io::Io;
use crate::cli::server::{Args, store_token};
use crate::clock::SystemClock;
use crate::config::Version;
use crate::http::TlsSettings;
use crate::rng::SystemRng;
use crate::secret::Secret;
use crate::server::{Dev, DevServer, Signals, start_dev};

/// Returns when the server has ended.
pub(super) async fn run(args: &Args, env: &Env, io: &mut Io<'_>) -> Result<(), Failure> {
    let logging = Logging::start(&LogOptions::new(args, env, None)?)?;
    let mut signals = Signals::new()?;
    if !args.config.is_empty() {
        tracing::warn!("`-config` has no effect with `-dev`");
    }
    let flag_or = |flag: &Option<String>, variable: &str| {
        let given = flag.clone().or_else(|| env.get(variable).map(str::to_owned));
        given.filter(|text| !text.is_empty())
    };
    let listen = flag_or(&args.dev_listen_address, "DEV_LISTEN_ADDRESS");
    let listen = address(listen.as_deref().unwrap_or("127.0.0.1:8200"))?;
    let tls = match args.dev_tls {
        true => {
            let folder = args.dev_tls_cert_dir.as_deref();
            Some(DevTls::make(folder, listen, &SystemClock, &SystemRng)?)
        }
        false => None,
    };
    let dev = Dev {
        listen,
        tls: tls.as_ref().map(|files| TlsSettings::new(files.certificate(), files.key())),
        root_token: flag_or(&args.dev_root_token_id, "DEV_ROOT_TOKEN_ID").map(Secret::new),
        kv_v1: args.dev_kv_v1,
        version: reported_version(env)?,
    };
    let server = start_dev(dev).await.map_err(|error| Failure::local(told(error.as_ref())))?;
    let stored = match args.dev_no_store_token {
        true => Stored::No,
        // The server is of use without it, and may run where there is no home.
        false => match store_token(env, &server.root_token) {
            Ok(()) => Stored::Yes,
            Err(failure) => {
                tracing::warn!("{}", failure.message);
                Stored::No
            }
        },
    };
    // Whoever closed standard output does not read it.
    drop(io.print(&announcement(&server, tls.as_ref().map(DevTls::ca).as_deref(), stored)));
    drop(io.output.flush());
    server.running.until_signal(&mut signals, &|| logging.reopen(), &super::notify(env)?).await?;
    Ok(())
}

/// Whether `~/.vault-token`, or what stands in for it, has the root token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stored {
    No,
    Yes,
}

/// Scripts read it: lines that begin with `Unseal Key: `, `Root Token: ` and `    $ export ` stay
/// as they are.
fn announcement(server: &DevServer, ca: Option<&Path>, stored: Stored) -> String {
    let DevServer { address, unseal_key, root_token, .. } = server;
    let mut text = format!(
        "==> Strongroom is running in development mode: unsealed, in memory, one root token.\n\
         ==> What you write is gone when it ends. Never use it for real secrets.\n\n\
         In another terminal:\n\n    $ export VAULT_ADDR='{address}'\n"
    );
    if let Some(ca) = ca {
        text.push_str(&format!("    $ export VAULT_CACERT='{}'\n", ca.display()));
    }
    text.push_str(match stored {
        Stored::Yes => "\nThe command line is logged in with the root token.\n",
        Stored::No => "\nLog in with the root token, or set VAULT_TOKEN to it.\n",
    });
    let (unseal_key, root_token) = (unseal_key.expose(), root_token.expose());
    text.push_str(&format!("\nUnseal Key: {unseal_key}\nRoot Token: {root_token}\n"));
    text
}

pub(super) fn address(text: &str) -> Result<SocketAddr, Failure> {
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| {
        Failure::local(format!("`{text}` is no address to listen on, such as 127.0.0.1:8200"))
    })
}

fn reported_version(env: &Env) -> Result<String, Failure> {
    let Some(text) = env.get("REPORTED_VERSION") else {
        return Ok(Version::default().to_string());
    };
    let version = Version::parse(text).map(|version| version.to_string());
    version.ok_or_else(|| {
        Failure::local(format!("VAULT_REPORTED_VERSION: `{text}` is no version such as 1.19.0"))
    })
}
