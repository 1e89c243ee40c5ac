//! Real databases, each in a folder of its own, reached over a Unix socket.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

/// PostgreSQL, with the administrator `root`, whose password is `first`.
pub(crate) struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    child: Option<Child>,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").unwrap();
        own(folder.path());
        let password = folder.path().join("password");
        std::fs::write(&password, "first").unwrap();
        own(&password);
        let made = as_owner(&programs.join("initdb"))
            .args(["--username=root", "--auth=scram-sha-256", "--no-sync", "--no-instructions"])
            .arg(format!("--pwfile={}", password.display()))
            .arg(format!("--pgdata={}", folder.path().join("data").display()))
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = Self { folder, programs, child: None };
        server.begin();
        server
    }

    pub(crate) fn begin(&mut self) {
        let folder = self.folder.path();
        let child = as_owner(&self.programs.join("postgres"))
            .args(["-F", "-c", "listen_addresses=", "-c", "max_connections=20"])
            .args(["-c", "log_statement=all"])
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(folder)
            .current_dir(folder)
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.try_ask("SELECT 1", "root", "first").is_none() {
            assert!(Instant::now() < deadline, "PostgreSQL does not start:\n{}", self.log());
            std::thread::yield_now();
        }
    }

    /// As the process dies: nothing is told to anyone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        // Its own children end once they see that it is gone.
        let pid = self.folder.path().join("data/postmaster.pid");
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.is_used() {
            assert!(Instant::now() < deadline, "PostgreSQL's processes do not end");
            std::thread::yield_now();
        }
        std::fs::remove_file(pid).ok();
    }

    fn is_used(&self) -> bool {
        let data = self.folder.path().join("data");
        let mut open = std::fs::read_dir("/proc").unwrap().flatten();
        open.any(|process| {
            std::fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder == data)
        })
    }

    /// What the tests themselves ask by: a second administrator.
    pub(crate) fn with_observer(self) -> Self {
        self.ask("CREATE ROLE observer SUPERUSER LOGIN PASSWORD 'observer'");
        self
    }

    pub(crate) fn url(&self) -> String {
        let host = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgresql://{{{{username}}}}:{{{{password}}}}@{host}/postgres")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn ask(&self, query: &str) -> Vec<String> {
        let answer = self.try_ask(query, "root", "first");
        let answer = answer.or_else(|| self.try_ask(query, "observer", "observer"));
        answer.unwrap_or_else(|| panic!("{query}:\n{}", self.log()))
    }

    pub(crate) fn try_ask(&self, query: &str, user: &str, password: &str) -> Option<Vec<String>> {
        let done = Command::new(self.programs.join("psql"))
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--no-password"])
            .args(["--set=ON_ERROR_STOP=1", "--username", user, "--host"])
            .arg(self.folder.path())
            .args(["--command", query, "postgres"])
            .env("PGPASSWORD", password)
            .output()
            .unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        done.status.success().then(|| text.lines().map(str::to_owned).collect())
    }

    /// Users that the engine has made.
    pub(crate) fn made(&self) -> Vec<String> {
        self.ask("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%' ORDER BY 1")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).max();
    found.expect("PostgreSQL is missing: tests/run installs it")
}

/// Nobody runs PostgreSQL as root.
fn as_owner(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn own(path: &Path) {
    if is_root() {
        let (user, group) = postgres_ids();
        chown(path, Some(user), Some(group)).unwrap();
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn postgres_ids() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:")).unwrap();
    let mut fields = line.split(':').skip(2);
    (fields.next().unwrap().parse().unwrap(), fields.next().unwrap().parse().unwrap())
}
