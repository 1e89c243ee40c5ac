//! The process's log as `sys/loggers` and `sys/monitor` work with it.
//!
//! A process has one log, however many nodes run in it: so there is one [`Log`], too.
//!
//! **Invariant:** whoever watches the log and does not read it loses lines; nobody waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock as _, SystemClock};
use crate::config::{LogFormat, LogLevel};
use crate::request::Error;

/// The process's.
pub fn log() -> &'static Log {
    static LOG: Log = Log::new();
    &LOG
}

pub struct Log {
    state: Mutex<State>,
    /// The most that any watcher is told. Apart from the state: filters ask for it wherever an
    /// event or a new filter comes from, also while the state is locked.
    most: AtomicU8,
    /// Held while a filter is set, and never together with the state: setting one waits for
    /// events under way, and those wait for the state.
    setting: Mutex<()>,
}

type SetFilter = Arc<dyn Fn(&str) + Send + Sync>;

struct State {
    /// As configured: where a logger goes back to.
    configured: LogLevel,
    /// Set through `sys/loggers` for all, on top.
    level: Option<LogLevel>,
    levels: BTreeMap<&'static str, LogLevel>,
    /// To directives such as `info,strongroom::raft=debug`.
    set_filter: Option<SetFilter>,
    watchers: Vec<Watcher>,
}

struct Watcher {
    level: LogLevel,
    format: LogFormat,
    lines: mpsc::Sender<Bytes>,
    /// Since the last line that went through.
    lost: u64,
}

impl Log {
    const fn new() -> Self {
        let state = State {
            configured: LogLevel::Info,
            level: None,
            levels: BTreeMap::new(),
            set_filter: None,
            watchers: Vec::new(),
        };
        Self { state: Mutex::new(state), most: AtomicU8::new(0), setting: Mutex::new(()) }
    }

    /// From now on levels take effect by this, which is given directives such as
    /// `info,strongroom::raft=debug`. `level` is in effect already.
    pub fn connect(&self, level: LogLevel, set_filter: impl Fn(&str) + Send + Sync + 'static) {
        let mut state = self.lock();
        state.configured = level;
        state.set_filter = Some(Arc::new(set_filter));
    }

    /// What the configuration says. What was set through `sys/loggers` stays.
    pub fn configure(&self, level: LogLevel) {
        self.lock().configured = level;
        self.apply();
    }

    /// By logger.
    pub fn levels(&self) -> BTreeMap<String, String> {
        let state = self.lock();
        let level = |name| word(state.levels.get(name).copied().unwrap_or_else(|| state.base()));
        LOGGERS.iter().map(|name| ((*name).to_owned(), level(*name).to_owned())).collect()
    }

    /// # Errors
    /// [`Error::BadRequest`] where there is no such logger or level.
    pub fn set(&self, logger: Option<&str>, level: Option<&str>) -> Result<(), Error> {
        let level = level.map(level_of).transpose()?;
        let mut state = self.lock();
        match logger {
            Some(name) => {
                let known = LOGGERS.iter().find(|known| **known == name);
                let known =
                    known.ok_or_else(|| Error::BadRequest(format!("logger {name:?} not found")))?;
                match level {
                    Some(level) => drop(state.levels.insert(*known, level)),
                    None => drop(state.levels.remove(*known)),
                }
            }
            None => {
                state.levels.clear();
                state.level = level;
            }
        }
        drop(state);
        self.apply();
        Ok(())
    }

    /// # Errors
    /// [`Error::BadRequest`] for a word that is no level or format, [`Error::TooMany`] where too
    /// many watch.
    pub fn check(&self, level: &str, format: &str) -> Result<(LogLevel, LogFormat), Error> {
        let level = match level.trim() {
            "" => LogLevel::Info,
            word => {
                LogLevel::from_word(word).ok_or_else(|| Error::bad_request("unknown log level"))?
            }
        };
        let format = match format.trim() {
            "" => LogFormat::Standard,
            word => LogFormat::from_word(word)
                .ok_or_else(|| Error::bad_request("unknown log format"))?,
        };
        self.lock().check_room()?;
        Ok((level, format))
    }

    /// The log's lines from now on, until the client leaves or the node ends.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn watch(
        &'static self,
        level: &str,
        format: &str,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Error> {
        let (level, format) = self.check(level, format)?;
        let (sender, receiver) = mpsc::channel(LINES_MAX);
        let mut state = self.lock();
        state.check_room()?;
        state.watchers.push(Watcher { level, format, lines: sender, lost: 0 });
        drop(state);
        let receiver = Watching { log: self, lines: receiver };
        self.count();
        let next = |mut receiver: Watching| async move {
            let line = match tokio::time::timeout(SILENCE_MAX, receiver.lines.recv()).await {
                Ok(line) => line?,
                // Finds out whether the client is there: otherwise who leaves while nothing is
                // logged would be kept.
                Err(_) => Bytes::from_static(b"\n"),
            };
            Some((Ok(line), receiver))
        };
        Ok(Box::pin(futures_util::stream::unfold(receiver, next)))
    }

    /// Ends what watchers read: the node ends.
    pub fn end_watchers(&self) {
        self.lock().watchers.clear();
        self.count();
    }

    /// Takes up what watchers want to be told.
    fn count(&self) {
        let most = self.lock().watchers.iter().map(|watcher| rank(watcher.level)).max();
        self.most.store(most.unwrap_or_default(), Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    fn apply(&self) {
        let _one_at_a_time = self.setting.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.lock();
        let (set_filter, directives) = (state.set_filter.clone(), state.directives());
        drop(state);
        if let Some(set_filter) = set_filter {
            set_filter(&directives);
        }
    }

    fn most(&self) -> LevelFilter {
        match self.most.load(Ordering::Relaxed) {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        }
    }

    fn tell(&self, event: &Event<'_>) {
        let mut state = self.lock();
        if state.watchers.is_empty() {
            return;
        }
        let mut told = Told::default();
        event.record(&mut told);
        let level = event.metadata().level();
        let target = event.metadata().target();
        let logger = target.strip_prefix("strongroom::").unwrap_or(target).replace("::", ".");
        let time = SystemClock.now().rfc3339();
        for watcher in &mut state.watchers {
            if level_filter(watcher.level) < *level {
                continue;
            }
            if watcher.lost > 0 {
                let note = format!("{} lines were lost: read faster\n", watcher.lost);
                if watcher.lines.try_send(note.into()).is_ok() {
                    watcher.lost = 0;
                }
            }
            let line = match watcher.format {
                LogFormat::Standard => told.standard(&time, *level, &logger),
                LogFormat::Json => told.json(&time, *level, &logger),
            };
            if watcher.lines.try_send(line.into()).is_err() {
                watcher.lost += 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's end. With it goes what was done for the client's sake.
struct Watching {
    log: &'static Log,
    lines: mpsc::Receiver<Bytes>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.lines.close();
        self.log.lock().watchers.retain(|watcher| !watcher.lines.is_closed());
        self.log.count();
    }
}

impl State {
    fn check_room(&self) -> Result<(), Error> {
        if self.watchers.len() < WATCHERS_MAX {
            return Ok(());
        }
        Err(Error::TooMany(format!("{WATCHERS_MAX} clients watch the log of this node already")))
    }

    fn base(&self) -> LogLevel {
        self.level.unwrap_or(self.configured)
    }

    fn directives(&self) -> String {
        let mut directives = directives(self.base());
        for (name, level) in &self.levels {
            directives.push_str(&format!(",strongroom::{name}={}", word(*level)));
        }
        directives
    }
}

/// What libraries tell of every connection would hide what the server tells.
pub fn directives(level: LogLevel) -> String {
    format!("{},openraft=error,h2=warn,hyper=warn", word(level))
}

/// As it stands in a configuration.
pub fn word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

fn level_of(word: &str) -> Result<LogLevel, Error> {
    LogLevel::from_word(word.trim()).ok_or_else(|| {
        Error::BadRequest(format!("invalid level provided: unknown log level: {word:.40}"))
    })
}

fn rank(level: LogLevel) -> u8 {
    match level {
        LogLevel::Error => 1,
        LogLevel::Warn => 2,
        LogLevel::Info => 3,
        LogLevel::Debug => 4,
        LogLevel::Trace => 5,
    }
}

fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Hands the process's events to those who watch.
pub struct WatchLayer;

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for WatchLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        log().tell(event);
    }
}

/// Nothing is asked of events while nobody watches.
pub struct WatchFilter;

impl<S> Filter<S> for WatchFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        metadata.target().starts_with("strongroom") && *metadata.level() <= log().most()
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target().starts_with("strongroom") && *metadata.level() <= log().most() {
            Interest::sometimes()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(log().most())
    }
}

/// An event's message and fields, as text.
#[derive(Default)]
struct Told {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Told {
    /// As Vault's log: `2026-11-24T07:51:00.123Z [INFO]  raft: message: key=value`.
    fn standard(&self, time: &str, level: Level, logger: &str) -> String {
        let level = format!("[{level}]");
        let mut line = format!("{time} {level:<7} {logger}: {}", self.message);
        for (at, (name, value)) in self.fields.iter().enumerate() {
            let colon = if at == 0 { ":" } else { "" };
            let text = match value {
                Value::String(text) if !text.contains([' ', '"', '\n', '=']) => text.clone(),
                other => other.to_string(),
            };
            line.push_str(&format!("{colon} {name}={text}"));
        }
        // An event is a line: what is in it starts none of its own.
        line = line.replace(['\n', '\r'], " ");
        line.push('\n');
        line
    }

    fn json(&self, time: &str, level: Level, logger: &str) -> String {
        let mut line = Map::new();
        line.insert("@level".into(), level.to_string().to_lowercase().into());
        line.insert("@message".into(), self.message.clone().into());
        line.insert("@module".into(), logger.into());
        line.insert("@timestamp".into(), time.into());
        let fields = self.fields.iter();
        line.extend(fields.map(|(name, value)| ((*name).to_owned(), value.clone())));
        format!("{}\n", Value::Object(line))
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", other) => self.message = other.to_string(),
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }
}

/// The modules that log, each a logger.
const LOGGERS: &[&str] =
    &["audit", "auth", "cluster", "http", "pipeline", "raft", "serve", "server", "store", "sys"];

/// Clients that watch at one time.
const WATCHERS_MAX: usize = 16;

/// Lines that wait for one client.
const LINES_MAX: usize = 512;

/// After it an empty line is sent.
const SILENCE_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
