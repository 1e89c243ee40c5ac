//! The log: where it goes, how it looks and what is in it.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, reload};

use super::log_file::{LogFile, Rotation};
use crate::cli::env::Env;
use crate::cli::failure::Failure;
use crate::cli::server::Args;
use crate::clock::SystemClock;
use crate::config::{Config, LogFormat, LogLevel};
use crate::duration::SignedDuration;
use crate::server::{WatchFilter, WatchLayer, directives, log, word};

/// What flags, environment and file say together, in this order.
#[derive(Debug)]
pub(super) struct LogOptions {
    pub level: LogLevel,
    /// A flag holds against what the file says later.
    is_level_fixed: bool,
    format: LogFormat,
    file: Option<PathBuf>,
    rotation: Rotation,
    to_standard_output: bool,
}

impl LogOptions {
    /// `config` has the environment in it; without one, the environment is read here.
    ///
    /// # Errors
    /// Words that are no level, no format.
    pub(super) fn new(args: &Args, env: &Env, config: Option<&Config>) -> Result<Self, Failure> {
        let settings = config.map(|config| &config.settings);
        let flag_or = |flag: &Option<String>, variable: &str| {
            let variable = || env.get(variable).filter(|_| config.is_none()).map(str::to_owned);
            flag.clone().or_else(variable)
        };
        let level = flag_or(&args.log_level, "LOG_LEVEL")
            .map(|word| {
                LogLevel::from_word(&word).ok_or_else(|| Failure::local(wrong("level", &word)))
            })
            .transpose()?;
        let format = flag_or(&args.log_format, "LOG_FORMAT")
            .map(|word| {
                LogFormat::from_word(&word).ok_or_else(|| Failure::local(wrong("format", &word)))
            })
            .transpose()?;
        let configured = settings.map_or_else(Rotation::default, |settings| Rotation {
            bytes_max: settings.log_rotate_bytes.map_or(0, |size| size.0),
            age_max: settings.log_rotate_duration,
            files_max: settings.log_rotate_max_files,
        });
        let age = args.log_rotate_duration.as_deref().map(|text| {
            SignedDuration::parse(text)
                .ok()
                .and_then(SignedDuration::unsigned)
                .ok_or_else(|| Failure::local(format!("`-log-rotate-duration`: {text:?}")))
        });
        let files_max = args.log_rotate_max_files.unwrap_or(configured.files_max);
        if files_max < -1 {
            return Err(Failure::local("`-log-rotate-max-files` must be -1 or more"));
        }
        let in_file = settings.map(|settings| (settings.log_level, settings.log_format));
        let (level_in_file, format_in_file) =
            in_file.unwrap_or((LogLevel::Info, LogFormat::Standard));
        Ok(Self {
            level: level.unwrap_or(level_in_file),
            is_level_fixed: args.log_level.is_some(),
            format: format.unwrap_or(format_in_file),
            file: args.log_file.clone().or_else(|| settings?.log_file.clone()),
            rotation: Rotation {
                bytes_max: args.log_rotate_bytes.unwrap_or(configured.bytes_max),
                age_max: age.transpose()?.unwrap_or(configured.age_max),
                files_max,
            },
            to_standard_output: args.combine_logs,
        })
    }
}

/// The process's log, at work.
pub(super) struct Logging {
    file: Option<Arc<LogFile>>,
    is_level_fixed: bool,
}

impl Logging {
    /// `RUST_LOG`, where it is set, says what is logged instead of the level.
    ///
    /// # Errors
    /// Where the log file cannot be opened.
    pub(super) fn start(options: &LogOptions) -> Result<Self, Failure> {
        let file = options.file.as_ref().map(|path| {
            LogFile::open(path, options.rotation, Arc::new(SystemClock))
                .map(Arc::new)
                .map_err(|error| Failure::local(format!("log file {}: {error}", path.display())))
        });
        let file = file.transpose()?;
        let console = match options.to_standard_output {
            // Not `Stdout`, which the command that runs the server has locked.
            true => io::stdout().as_fd().try_clone_to_owned()?,
            false => io::stderr().as_fd().try_clone_to_owned()?,
        };
        let sink = Sink {
            console: File::from(console),
            file: file.clone(),
            has_failed: AtomicBool::new(false),
        };
        let from_environment = EnvFilter::try_from_default_env().ok();
        let is_level_fixed = options.is_level_fixed || from_environment.is_some();
        let filter = from_environment.unwrap_or_else(|| EnvFilter::new(directives(options.level)));
        let (filter, reloaded) = reload::Layer::new(filter);
        log().connect(options.level, move |directives| {
            // After the subscriber is gone there is nothing to filter.
            drop(reloaded.reload(EnvFilter::new(directives)));
        });
        let events = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(sink);
        let events = match options.format {
            LogFormat::Standard => events.boxed(),
            LogFormat::Json => events.json().boxed(),
        };
        // A second start in one process keeps the first log: tests do that.
        let watched = WatchLayer.with_filter(WatchFilter);
        let registry = tracing_subscriber::registry().with(events.with_filter(filter));
        drop(registry.with(watched).try_init());
        Ok(Self { file, is_level_fixed })
    }

    /// Takes over what the configuration says at this time, unless a flag or `RUST_LOG` holds.
    pub(super) fn set_level(&self, level: LogLevel) {
        if !self.is_level_fixed {
            log().configure(level);
            tracing::info!(level = word(level), "log level");
        }
    }

    pub(super) fn reopen(&self) {
        if let Some(file) = &self.file
            && let Err(error) = file.reopen()
        {
            tracing::error!(%error, "the log file cannot be opened again");
        }
    }
}

fn wrong(what: &str, word: &str) -> String {
    format!("`{word}` is no log {what}: see `server -help`")
}

/// Gets every event whole, in one call.
struct Sink {
    console: File,
    file: Option<Arc<LogFile>>,
    has_failed: AtomicBool,
}

impl Sink {
    /// A log that cannot be written ends no server; it is said once, until it can be again.
    fn write_to_file(&self, event: &[u8]) {
        let Some(file) = &self.file else { return };
        let result = file.write(event);
        let has_failed = self.has_failed.swap(result.is_err(), Ordering::Relaxed);
        if let Err(error) = result
            && !has_failed
        {
            drop(writeln!(&self.console, "the log file cannot be written: {error}"));
        }
    }
}

impl io::Write for &Sink {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.write_to_file(event);
        // Whoever closed the console does not read it.
        drop((&self.console).write_all(event));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests;
