use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{LINES_MAX, Log, WATCHERS_MAX, WatchFilter, WatchLayer, log};
use crate::config::LogLevel;
use crate::request::Error;
use tracing_subscriber::Layer as _;

#[test]
fn levels_take_effect_and_go_back() {
    let log: &'static Log = Box::leak(Box::new(Log::new()));
    let applied = Arc::new(Mutex::new(String::new()));
    let seen = applied.clone();
    log.connect(LogLevel::Info, move |directives| {
        // A filter asks back, and other events come meanwhile: neither may wait for ever.
        drop((log.levels(), log.most()));
        *seen.lock().unwrap() = directives.to_owned();
    });
    let libraries = "openraft=error,h2=warn,hyper=warn";
    log.configure(LogLevel::Warn);
    assert_eq!(*applied.lock().unwrap(), format!("warn,{libraries}"));
    log.set(Some("raft"), Some("debug")).unwrap();
    assert_eq!(*applied.lock().unwrap(), format!("warn,{libraries},strongroom::raft=debug"));
    assert_eq!(log.levels()["raft"], "debug");
    assert_eq!(log.levels()["store"], "warn");
    log.set(None, Some("trace")).unwrap();
    assert_eq!(*applied.lock().unwrap(), format!("trace,{libraries}"));
    log.set(Some("raft"), Some("error")).unwrap();
    log.set(Some("raft"), None).unwrap();
    assert_eq!(log.levels()["raft"], "trace");
    log.set(None, None).unwrap();
    assert_eq!(log.levels()["raft"], "warn");
    for (logger, level) in [(Some("nosuch"), Some("info")), (None, Some("loud")), (Some("x"), None)]
    {
        assert!(matches!(log.set(logger, level), Err(Error::BadRequest(_))), "{logger:?}");
    }
}

#[test]
fn who_stops_watching_is_forgotten_at_once() {
    let log: &'static Log = Box::leak(Box::new(Log::new()));
    let (loud, quiet) = (log.watch("trace", "").unwrap(), log.watch("warn", "").unwrap());
    assert_eq!(log.most(), LevelFilter::TRACE);
    drop(loud);
    assert_eq!((log.most(), log.lock().watchers.len()), (LevelFilter::WARN, 1));
    drop(quiet);
    assert_eq!((log.most(), log.lock().watchers.len()), (LevelFilter::OFF, 0));
}

/// Over the process's own log, as a listener would: levels, formats, lost lines and the end.
#[tokio::test]
async fn whoever_watches_sees_what_is_logged_and_nobody_waits() {
    let subscriber = tracing_subscriber::registry().with(WatchLayer.with_filter(WatchFilter));
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut standard = log().watch("debug", "").unwrap();
    let mut json = log().watch("warn", "json").unwrap();
    tracing::debug!(target: "strongroom::raft::x", term = 7, "voted for \n {}", 5);
    tracing::warn!(target: "strongroom::store", name = "a b", "full");
    tracing::warn!(target: "hyper", "not ours");
    let line = String::from_utf8(standard.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(line.ends_with(" [DEBUG] raft.x: voted for   5: term=7\n"), "{line}");
    let line = String::from_utf8(standard.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(line.ends_with(" [WARN]  store: full: name=\"a b\"\n"), "{line}");
    let line = json.next().await.unwrap().unwrap();
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(line["@message"], "full");
    assert_eq!(
        (&line["@level"], &line["@module"], &line["name"]),
        (&"warn".into(), &"store".into(), &"a b".into())
    );

    for number in 0..LINES_MAX + 10 {
        tracing::debug!(target: "strongroom::raft", number, "many");
    }
    for _ in 0..LINES_MAX {
        drop(standard.next().await.unwrap().unwrap());
    }
    tracing::debug!(target: "strongroom::raft", "after");
    let line = String::from_utf8(standard.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert_eq!(line, "10 lines were lost: read faster\n");

    let many: Vec<_> = (2..WATCHERS_MAX).map(|_| log().watch("", "").unwrap()).collect();
    assert!(matches!(log().watch("", ""), Err(Error::TooMany(_))));
    drop(many);
    assert!(log().watch("", "").is_ok());
    for (level, format) in [("loud", ""), ("", "xml")] {
        assert!(matches!(log().watch(level, format), Err(Error::BadRequest(_))));
    }
    log().end_watchers();
    while standard.next().await.is_some() {}
}
