//! The command `server`: from flags and files to a node at work.

mod data_folder;
mod dev;
mod dev_tls;
mod log_file;
mod logging;
mod pid_file;
mod three;

use std::io;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cli::env::Env;
use crate::cli::failure::Failure;
use crate::cli::io::Io;
use crate::cli::server::Args;
use crate::config::sockaddr::Interface;
use crate::config::{Config, ConfigErrors, Listener, Storage, Warning};
use crate::crypto::{LockedKey, memory_is_locked};
use crate::rng::SystemRng;
use crate::server::{self, Notify, Running, Signals, Tasks, plain, word};
use logging::{LogOptions, Logging};
use pid_file::PidFile;

/// Returns when the server has ended.
///
/// # Errors
/// With what to mend, where it cannot start.
pub fn run(args: &Args, env: &Env, io: &mut Io<'_>) -> Result<(), Failure> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::local(format!("the runtime cannot start: {error}")))?;
    let ended = runtime.block_on(async {
        match (args.dev, args.dev_three_node) {
            (_, true) => three::run(args, env, io).await,
            (true, false) => dev::run(args, env, io).await,
            (false, false) => run_node(args, env, io).await,
        }
    });
    // What has not finished in its time is not waited for.
    runtime.shutdown_background();
    ended
}

async fn run_node(args: &Args, env: &Env, io: &mut Io<'_>) -> Result<(), Failure> {
    if args.config.is_empty() {
        return Err(Failure::local("must specify at least one config path using -config"));
    }
    let (config, warnings) = load(args, env)?
        .map_err(|errors| Failure::local(format!("the configuration cannot be used:\n{errors}")))?;
    let options = LogOptions::new(args, env, Some(&config))?;
    let logging = Logging::start(&options)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    if !config.settings.disable_mlock {
        warn_of_unlocked_memory();
    }
    let mut signals = Signals::new()?;
    let notify = notify(env)?;
    let starting = Tasks::default();
    if notify.is_wanted() {
        starting.spawn("starting", notify.clone().keep_starting());
    }
    let started = tokio::select! {
        started = start(&config, &notify) => started,
        () = signals.end() => return Ok(()),
    };
    drop(starting);
    let running = started?;
    let pid_file = config.settings.pid_file.as_deref().map(PidFile::write).transpose()?;
    // Whoever closed standard output does not read it.
    drop(io.print(&announcement(&config, &running, word(options.level))));
    drop(io.output.flush());
    let reload = || {
        logging.reopen();
        match load(args, env) {
            Ok(Ok((config, _))) => logging.set_level(config.settings.log_level),
            Ok(Err(errors)) => tracing::error!(%errors, "the configuration was not read again"),
            Err(failure) => tracing::error!("{}", failure.message),
        }
    };
    running.until_signal(&mut signals, &reload, &notify).await?;
    drop(pid_file);
    Ok(())
}

async fn start(config: &Config, notify: &Notify) -> Result<Running, Failure> {
    if let Storage::Raft(raft) = &config.settings.storage {
        data_folder::wait_for(&raft.path, raft.path_wait, notify).await?;
    }
    notify.status("starting: reading the log");
    server::start(config).await.map_err(|error| Failure::local(told(error.as_ref())))
}

/// The service manager that has started this process, if one has.
fn notify(env: &Env) -> Result<Arc<Notify>, Failure> {
    let notify = Notify::of(&|name| env.plain(name).map(str::to_owned));
    notify.map(Arc::new).map_err(Failure::local)
}

type Loaded = Result<(Config, Vec<Warning>), ConfigErrors>;

fn load(args: &Args, env: &Env) -> Result<Loaded, Failure> {
    let interfaces =
        Interface::all().map_err(|error| Failure::local(format!("network interfaces: {error}")))?;
    let variable = |name: &str| env.plain(name).map(str::to_owned);
    Ok(Config::load(&args.config, &variable, &interfaces))
}

/// Every connection is a file, and the usual limit dates from programs that could not have more.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // What is not granted shows where a connection cannot be accepted.
    let _raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Tries it out: whether a page may be locked depends on more than a limit.
fn warn_of_unlocked_memory() {
    drop(LockedKey::generate(&SystemRng));
    if !memory_is_locked() {
        tracing::warn!(
            "memory cannot be locked, so that keys may be written to swap: allow it (systemd: \
             LimitMEMLOCK=infinity; containers: --ulimit memlock=-1), or turn swap off or encrypt \
             it and set `disable_mlock`"
        );
    }
}

fn announcement(config: &Config, running: &Running, level: &str) -> String {
    let identity = running.node.control.identity();
    let settings = &config.settings;
    let mut rows = vec![("Api Address".to_owned(), identity.api_address.clone())];
    if !identity.cluster_address.is_empty() {
        rows.push(("Cluster Address".to_owned(), identity.cluster_address.clone()));
    }
    for (number, (listener, address)) in
        settings.listener.iter().zip(running.addresses()).enumerate()
    {
        let text = match listener {
            Listener::Unix(_) => format!("unix (addr: \"{address}\")"),
            Listener::Tcp(tcp) => {
                let tls = if tcp.tls().is_some() { "enabled" } else { "disabled" };
                format!("tcp (addr: \"{address}\", tls: \"{tls}\")")
            }
        };
        rows.push((format!("Listener {}", number.saturating_add(1)), text));
    }
    rows.push(("Log Level".to_owned(), level.to_owned()));
    let storage = match &settings.storage {
        Storage::Raft(raft) => format!("raft ({})", raft.path.display()),
        Storage::Inmem(_) => "inmem".to_owned(),
    };
    rows.push(("Storage".to_owned(), storage));
    let version = env!("CARGO_PKG_VERSION");
    let version = format!("Strongroom v{version} (Vault {} to clients)", identity.version);
    rows.push(("Version".to_owned(), version));
    let mut text = "==> Strongroom server configuration:\n\n".to_owned();
    for (name, value) in rows {
        text.push_str(&format!("{name:>24}: {value}\n"));
    }
    text.push_str("\n==> Strongroom server started! Log data will stream in below:\n");
    text
}

/// An error with all that led to it.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Some tell their source themselves.
        if !text.ends_with(&error.to_string()) {
            text.push_str(": ");
            match error.downcast_ref::<io::Error>() {
                Some(error) => text.push_str(&plain(error)),
                None => text.push_str(&error.to_string()),
            }
        }
        source = error.source();
    }
    text
}
