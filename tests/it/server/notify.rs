//! What a service manager is told, over a real socket.

use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::process::Signal;
use strongroom::client::{Address, Client, Config, PUT, Request};

use super::process::{DEADLINE, Process, exchange, get};

struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, heard: Vec::new() }
    }

    /// Reads on until a message holds `words`.
    fn hears(&mut self, words: &str) -> String {
        let mut buffer = [0; 1024];
        loop {
            let received = self.socket.recv(&mut buffer);
            let length =
                received.unwrap_or_else(|error| panic!("{words}: {error} {:?}", self.heard));
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            self.heard.push(text.clone());
            if text.contains(words) {
                return text;
            }
        }
    }
}

const INMEM: &str = "storage \"inmem\" {}\nlistener \"tcp\" {\n  address = \"127.0.0.1:0\"\n  tls_disable = true\n}\n";

fn put(address: &str, path: &str, body: &serde_json::Value) -> serde_json::Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = Address::parse(&format!("http://{address}")).unwrap();
    let client = Client::new(Config::new(address)).unwrap();
    let request = Request::new(PUT, path).json(body);
    runtime.block_on(client.send(&request)).unwrap().json().unwrap()
}

#[test]
fn a_service_manager_is_told_of_readiness_state_reload_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.hcl");
    fs::write(&config, INMEM).unwrap();
    let path = folder.path().join("notify");
    let name = format!("strongroom-{}", folder.path().display());
    let named = SocketAddr::from_abstract_name(&name).unwrap();
    for (socket, variable) in [
        (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
        (UnixDatagram::bind_addr(&named).unwrap(), format!("@{name}")),
    ] {
        let mut manager = Manager::new(socket);
        let flags = ["-config", config.to_str().unwrap()];
        let mut server = Process::start(&flags, &[("NOTIFY_SOCKET", &variable)]);
        manager.hears("EXTEND_TIMEOUT_USEC=");
        assert_eq!(manager.hears("READY"), "READY=1");
        // Requests are let in by then.
        let address = server.address();
        assert!(exchange(&address, &get("/v1/sys/health")).starts_with("HTTP/1.1 501"));
        manager.hears("STATUS=not initialized");
        let shares = serde_json::json!({ "secret_shares": 2, "secret_threshold": 2 });
        let init = put(&address, "sys/init", &shares);
        manager.hears("STATUS=sealed: 0 of 2 unseal keys given");
        put(&address, "sys/unseal", &serde_json::json!({ "key": init["keys"][0] }));
        manager.hears("STATUS=sealed: 1 of 2 unseal keys given");
        put(&address, "sys/unseal", &serde_json::json!({ "key": init["keys"][1] }));
        manager.hears("STATUS=active");

        server.signal(Signal::HUP);
        let reloading = manager.hears("RELOADING=1");
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(time.parse::<u64>().unwrap() > 0);
        manager.hears("READY=1");

        server.signal(Signal::TERM);
        manager.hears("STOPPING=1");
        assert_eq!(server.ended().code(), Some(0), "{}", server.said);
        let signs = manager.heard.iter().filter(|text| text.contains("WATCHDOG")).count();
        assert_eq!(signs, 0, "nobody asked for signs of life: {:?}", manager.heard);
        assert_eq!(manager.heard.iter().filter(|text| *text == "READY=1").count(), 2);
    }
}

#[test]
fn signs_of_life_come_as_often_as_the_watchdog_asks() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.hcl");
    let data = folder.path().join("data");
    let text = INMEM.replace("\"inmem\" {}", &format!("\"raft\" {{ path = {data:?} }}"));
    fs::write(&config, text).unwrap();
    let path = folder.path().join("notify");
    let mut manager = Manager::new(UnixDatagram::bind(&path).unwrap());
    let env = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "3000000")];
    let mut server = Process::start(&["-config", config.to_str().unwrap()], &env);
    manager.hears("READY=1");
    for _ in 0..3 {
        assert_eq!(manager.hears("WATCHDOG"), "WATCHDOG=1");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(0), "{}", server.said);

    let mut wrong = Process::start(
        &["-config", config.to_str().unwrap()],
        &[("NOTIFY_SOCKET", "relative"), ("WATCHDOG_USEC", "3000000")],
    );
    assert_eq!(wrong.ended().code(), Some(1));
    assert!(wrong.said.contains("NOTIFY_SOCKET"), "{}", wrong.said);
}

#[test]
fn a_start_waits_for_its_data_folder_as_long_as_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let text = |wait: &str| {
        let raft = format!("\"raft\" {{\n  path = {data:?}\n  path_wait = {wait:?}\n}}");
        INMEM.replace("\"inmem\" {}", &raft)
    };
    let mut late = Process::configured(folder.path(), &text("300ms"));
    assert_eq!(late.ended().code(), Some(1));
    let last = late.said.lines().last().unwrap();
    assert!(last.contains("no such file or directory") && last.contains("path_wait"), "{last}");
    assert!(!data.exists(), "it was made, perhaps below a mount point");

    // A signal ends a start that waits.
    let mut ended = Process::configured(folder.path(), &text("1h"));
    ended.line_with("waiting for the data folder");
    ended.signal(Signal::TERM);
    assert_eq!(ended.ended().code(), Some(0), "{}", ended.said);

    let mut waiting = Process::configured(folder.path(), &text("1h"));
    waiting.line_with("waiting for the data folder");
    fs::create_dir(&data).unwrap();
    waiting.address();
    assert!(data.join("log").exists());
}
