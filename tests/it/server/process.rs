//! A server's process, and what it says.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Killed when dropped.
pub(super) struct Process {
    child: Child,
    lines: Receiver<String>,
    /// Standard output and error, as they came.
    pub(super) said: String,
    home: TempDir,
}

impl Process {
    /// `server` with these flags, without any environment but these variables and a `HOME`.
    pub(super) fn start(flags: &[&str], env: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut child = command(env)
            .env("HOME", home.path())
            .arg("server")
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        read(child.stdout.take().unwrap(), sender.clone());
        read(child.stderr.take().unwrap(), sender);
        Self { child, lines, said: String::new(), home }
    }

    /// With this configuration, in `folder`.
    pub(super) fn configured(folder: &Path, text: &str) -> Self {
        let path = folder.join("config.hcl");
        std::fs::write(&path, text).unwrap();
        Self::start(&["-config", path.to_str().unwrap()], &[])
    }

    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads on until a line holds `words`, and returns it.
    pub(super) fn line_with(&mut self, words: &str) -> String {
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => {
                    self.said.push_str(&line);
                    self.said.push('\n');
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(error) => panic!("{words:?} does not come ({error}):\n{}", self.said),
            }
        }
    }

    /// Of a server with a TCP listener: `host:port`.
    pub(super) fn address(&mut self) -> String {
        let line = self.line_with(" Api Address: ");
        self.line_with("server started!");
        line.split_once("://").unwrap().1.to_owned()
    }

    pub(super) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Waits until it has ended by itself; all that it said is in `said` then.
    pub(super) fn ended(&mut self) -> ExitStatus {
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => {
                    self.said.push_str(&line);
                    self.said.push('\n');
                }
                // Both pipes are closed.
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.said),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The program with nothing of this process's environment.
pub(super) fn command(env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command.env_clear().envs(env.iter().copied());
    command
}

/// What comes back until the connection is closed.
pub(super) fn exchange(address: &str, request: &[u8]) -> String {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    exchange_over(stream, request)
}

pub(super) fn exchange_over(mut stream: impl Read + Write, request: &[u8]) -> String {
    // Whoever has answered already may not read to the end.
    drop(stream.write_all(request));
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&answer)),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

pub(super) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").into_bytes()
}

fn read(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}

/// Far more than a busy machine needs.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);
