//! What clients send that they should not, and the listener that has no address.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use super::process::{DEADLINE, Process, command, exchange, exchange_over, get};

fn server(keys: &str) -> (Process, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:0\"\n  \
         tls_disable = true\n  {keys}\n}}\n"
    );
    let mut process = Process::configured(folder.path(), &text);
    let address = process.address();
    (process, address, folder)
}

#[test]
fn requests_that_cannot_be_served_are_answered_and_the_server_goes_on() {
    let (_process, address, _folder) = server("http_read_header_timeout = \"300ms\"");
    let put = |length: usize, body: &str| {
        let head =
            "PUT /v1/sys/unseal HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: ";
        format!("{head}{length}\r\n\r\n{body}").into_bytes()
    };
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(400), "]".repeat(400));
    for (name, request, status) in [
        ("33 MiB", put(33 * 1024 * 1024, ""), "413"),
        ("deep JSON", put(deep.len(), &deep), "400"),
        ("no JSON", put(1, "{"), "400"),
        ("not UTF-8", put(5, "\"\u{80}\"{").into_iter().map(|byte| byte | 0x80).collect(), "400"),
        ("dots", get("/v1/secret/../sys/health"), "307"),
        ("encoded dots", get("/v1/secret/%2e%2e/sys/health"), "400"),
        ("path that is not UTF-8", get("/v1/secret/%ff"), "400"),
        ("no HTTP", b"\x16\x03\x01\x02\x00 hello\r\n\r\n".to_vec(), "400"),
        ("slow headers", b"GET /v1/sys/health HTTP/1.1\r\nHo".to_vec(), "408"),
    ] {
        let answer = exchange(&address, &request);
        let is_refused = answer.starts_with(&format!("HTTP/1.1 {status} ")) || answer.is_empty();
        assert!(is_refused, "{name}: {answer}");
        let answer = exchange(&address, &get("/v1/sys/seal-status"));
        assert!(answer.starts_with("HTTP/1.1 200"), "after {name}: {answer}");
    }
}

#[test]
fn connections_beyond_the_most_are_told_so() {
    let (_process, address, _folder) = server("max_connections = 2");
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(b"GET /v1/sys/seal-status HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        open.push(stream);
    }
    let answer = exchange(&address, b"");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("too many connections"), "{answer}");
}

#[test]
fn a_socket_in_the_file_system_serves_clients_and_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    // Left by a process that was killed.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let text = format!(
        "storage \"inmem\" {{}}\napi_addr = \"http://127.0.0.1:8200\"\n\
         listener \"unix\" {{\n  address = {socket:?}\n  socket_mode = \"600\"\n}}\n"
    );
    let mut server = Process::configured(folder.path(), &text);
    let line = server.line_with("Listener 1: ");
    assert!(line.contains(&format!("unix (addr: {socket:?})")), "{line}");
    server.line_with("server started!");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let stream = UnixStream::connect(&socket).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let answer = exchange_over(stream, &get("/v1/sys/seal-status"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let url = format!("unix://{}", socket.display());
    let run = |arguments: &[&str]| {
        let output = command(&[("VAULT_ADDR", &url)]).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let text = run(&["operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"]);
    let made: serde_json::Value = serde_json::from_str(&text).unwrap();
    run(&["operator", "unseal", made["unseal_keys_b64"][0].as_str().unwrap()]);
    assert!(run(&["status"]).contains("Sealed"));

    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.ended().code(), Some(0), "{}", server.said);
    assert!(!socket.exists());
}
