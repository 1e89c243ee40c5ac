//! The command `server`: from flags and files to a node at work.

use std::io::IsTerminal as _;
use std::net::{SocketAddr, ToSocketAddrs as _};

use tracing_subscriber::EnvFilter;

use crate::cli::env::Env;
use crate::cli::failure::Failure;
use crate::cli::io::Io;
use crate::cli::server::Args;
use crate::config::sockaddr::Interface;
use crate::config::{Config, LogFormat};
use crate::secret::Secret;
use crate::server::{self, Dev, DevServer, start_dev};

/// Returns when the server has ended.
///
/// # Errors
/// With what to mend, where it cannot start.
pub fn run(args: &Args, env: &Env, io: &mut Io<'_>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::local(format!("the runtime cannot start: {error}")))?;
    if args.dev {
        start_log(args.log_level.as_deref().unwrap_or("info"), false);
        return runtime.block_on(run_dev(args, env, io));
    }
    if args.config.is_empty() {
        return Err(Failure::local("must specify at least one config path using -config"));
    }
    let interfaces =
        Interface::all().map_err(|error| Failure::local(format!("network interfaces: {error}")))?;
    let variable = |name: &str| env.plain(name).map(str::to_owned);
    let loaded = Config::load(&args.config, &variable, &interfaces);
    let (config, warnings) = loaded
        .map_err(|errors| Failure::local(format!("the configuration cannot be used:\n{errors}")))?;
    let level = format!("{:?}", config.settings.log_level).to_lowercase();
    let json = args
        .log_format
        .as_deref()
        .map_or(config.settings.log_format == LogFormat::Json, |format| format == "json");
    start_log(args.log_level.as_deref().unwrap_or(&level), json);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    runtime.block_on(run_node(&config, io))
}

async fn run_node(config: &Config, io: &mut Io<'_>) -> Result<(), Failure> {
    let running = server::start(config, VAULT_VERSION)
        .await
        .map_err(|error| Failure::local(told(error.as_ref())))?;
    io.print("==> Strongroom server started! Log data will stream in below:\n")?;
    io.output.flush()?;
    running.until_signal().await?;
    Ok(())
}

async fn run_dev(args: &Args, env: &Env, io: &mut Io<'_>) -> Result<(), Failure> {
    let listen = args
        .dev_listen_address
        .clone()
        .or_else(|| env.get("DEV_LISTEN_ADDRESS").map(str::to_owned))
        .unwrap_or_else(|| "127.0.0.1:8200".into());
    let root_token = args
        .dev_root_token_id
        .clone()
        .or_else(|| env.get("DEV_ROOT_TOKEN_ID").map(str::to_owned))
        .filter(|token| !token.is_empty());
    let dev = Dev {
        listen: address(&listen)?,
        tls: None,
        root_token: root_token.map(Secret::new),
        kv_v1: args.dev_kv_v1,
        version: VAULT_VERSION.into(),
    };
    let server = start_dev(dev).await.map_err(|error| Failure::local(told(error.as_ref())))?;
    announce(&server, io)?;
    server.running.until_signal().await?;
    Ok(())
}

/// To standard error, where `RUST_LOG` can say more than `log_level`.
fn start_log(level: &str, json: bool) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{level},openraft=warn,h2=warn,hyper=warn")));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second start in one process keeps the first log: tests do that.
    drop(if json { log.json().try_init() } else { log.try_init() });
}

fn announce(server: &DevServer, io: &mut Io<'_>) -> Result<(), Failure> {
    let DevServer { address, unseal_key, root_token, .. } = server;
    io.print(&format!(
        "==> Strongroom is running in development mode: unsealed, in memory, one root token.\n\
         ==> What you write is gone when it ends. Never use it for real secrets.\n\n\
         In another terminal:\n\n    $ export VAULT_ADDR='{address}'\n\n\
         Unseal Key: {}\nRoot Token: {}\n",
        unseal_key.expose(),
        root_token.expose(),
    ))?;
    io.output.flush()?;
    Ok(())
}

fn address(text: &str) -> Result<SocketAddr, Failure> {
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| {
        Failure::local(format!("`{text}` is no address to listen on, such as 127.0.0.1:8200"))
    })
}

/// An error with all that led to it.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// What clients are told, because they tell features from it.
pub const VAULT_VERSION: &str = "1.19.0";
