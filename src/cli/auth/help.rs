//! `auth help`

use crate::cli::failure::{Failure, LOCAL};
use crate::cli::mount::{self, cell};
use crate::cli::session::{Session, mount_path};
use crate::client::{GET, Request};

/// Print how to log in with an auth method
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The method's type, or where it is mounted.
    #[arg(value_name = "TYPE|PATH")]
    method: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let given = args.method.trim().trim_end_matches('/');
    if let Some(text) = usage(given, given, session.program) {
        return session.io.print(&text);
    }
    let failed = |error| Failure::during("Error listing auth methods", error);
    let response = session.client()?.send(&Request::new(GET, "sys/auth")).await.map_err(failed)?;
    let mounts = mount::mounts(&response.envelope().map_err(failed)?.unwrap_or_default());
    let path = mount_path(given);
    let mount = mounts.get(&path).ok_or_else(|| {
        Failure::remote(format!("No auth method available on the server at {path:?}"))
            .exit(LOCAL)
            .hint("auth list", "shows which auth methods exist, and where")
    })?;
    let kind = cell(mount, "type");
    let text = usage(&kind, given, session.program);
    session.io.print(&text.unwrap_or_else(|| generic(&kind, given, session.program)))
}

/// How to log in with a method whose parameters are known here.
fn usage(kind: &str, path: &str, program: &str) -> Option<String> {
    let flags = if kind == path {
        format!("-method={kind}")
    } else {
        format!("-method={kind} -path={path}")
    };
    let (command, words) = match kind {
        "token" => (
            format!("{program} login TOKEN"),
            "Logs in with a token that exists. Without TOKEN it is asked for; with - it is read\n\
             from standard input.",
        ),
        "userpass" | "ldap" | "radius" | "okta" => (
            format!("{program} login {flags} username=NAME"),
            "Logs in with a name and a password. The password is asked for, or given as\n\
             password=@FILE; without a name, that of the user of this machine is taken.",
        ),
        "approle" => (
            format!("{program} login {flags} role_id=ID secret_id=@FILE"),
            "Logs in as a role, with one of its secret IDs.",
        ),
        "jwt" | "kubernetes" => (
            format!("{program} login {flags} role=NAME jwt=@FILE"),
            "Logs in with a signed token that another system gave.",
        ),
        "oidc" => (
            format!("{program} login {flags} role=NAME"),
            "Logs in with an OpenID Connect provider, in a browser. skip_browser=true prints the\n\
             address alone; port=N is where the browser comes back to (8250).",
        ),
        "cert" => (
            format!("{program} login {flags} -client-cert=FILE -client-key=FILE name=ROLE"),
            "Logs in with a TLS certificate. Without name, the server looks for the role.",
        ),
        _ => return None,
    };
    Some(format!("Usage: {command}\n\n{words}"))
}

fn generic(kind: &str, path: &str, program: &str) -> String {
    format!(
        "Usage: {program} login -method={kind} -path={path} KEY=VALUE...\n\n\
         Writes the pairs to auth/{path}/login. `{program} path-help auth/{path}/login` shows \
         which there are."
    )
}
