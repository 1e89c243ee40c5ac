use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::rng::SystemRng;

/// GnuPG with a home of its own; `None` where it is not installed.
struct Gpg(tempfile::TempDir);

impl Gpg {
    fn new() -> Option<Self> {
        Command::new("gpg").arg("--version").output().ok()?;
        Some(Self(tempfile::Builder::new().prefix("gpg").tempdir().unwrap()))
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let home: &Path = self.0.path();
        let mut child = Command::new("gpg")
            .arg("--homedir")
            .arg(home)
            .args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "gpg {arguments:?}: {said}");
        output.stdout
    }

    fn fingerprint(&self) -> String {
        let listed = String::from_utf8(self.run(&["--list-keys", "--with-colons"], b"")).unwrap();
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_lowercase()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // Its agent outlives it otherwise.
        drop(
            Command::new("gpgconf")
                .arg("--homedir")
                .arg(self.0.path())
                .args(["--kill", "all"])
                .output(),
        );
    }
}

fn now() -> u64 {
    crate::clock::Clock::now(&crate::clock::SystemClock).seconds()
}

#[test]
fn gnupg_decrypts_what_was_encrypted_for_its_keys() {
    for kind in ["rsa2048", "rsa4096", "future-default", "nistp256"] {
        let Some(gpg) = Gpg::new() else { return };
        if kind == "nistp256" {
            gpg.run(&["--quick-generate-key", "a@example.org", "nistp256", "cert", "never"], b"");
            let print = gpg.fingerprint();
            gpg.run(&["--quick-add-key", &print, "nistp256", "encr", "never"], b"");
        } else if kind.starts_with("rsa") {
            gpg.run(&["--quick-generate-key", "a@example.org", kind, "cert,sign", "never"], b"");
            let print = gpg.fingerprint();
            gpg.run(&["--quick-add-key", &print, kind, "encr", "1y"], b"");
        } else {
            gpg.run(&["--quick-generate-key", "a@example.org", kind, "default", "1y"], b"");
        }
        let binary = gpg.run(&["--export"], b"");
        let armoured = String::from_utf8(gpg.run(&["--armor", "--export"], b"")).unwrap();
        for text in [STANDARD.encode(&binary), STANDARD.encode(&armoured), armoured] {
            let key = PgpKey::parse(&text, now()).unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert_eq!(key.fingerprint(), gpg.fingerprint(), "{kind}");
            let message = key.encrypt(&SystemRng, b"a share of the key").unwrap();
            assert_eq!(gpg.run(&["--decrypt"], &message), b"a share of the key", "{kind}");
        }
        let secret = STANDARD.encode(gpg.run(&["--export-secret-keys"], b""));
        assert_eq!(PgpKey::parse(&secret, now()).err(), Some(PgpError::Certificate), "{kind}");
    }
}

#[test]
fn a_key_that_signs_only_or_has_ended_is_refused() {
    let Some(gpg) = Gpg::new() else { return };
    gpg.run(&["--quick-generate-key", "a@example.org", "ed25519", "cert,sign", "never"], b"");
    let exported = STANDARD.encode(gpg.run(&["--export"], b""));
    assert_eq!(PgpKey::parse(&exported, now()).err(), Some(PgpError::NoEncryptionKey));

    let print = gpg.fingerprint();
    gpg.run(&["--quick-add-key", &print, "cv25519", "encr", "2d"], b"");
    let exported = STANDARD.encode(gpg.run(&["--export"], b""));
    PgpKey::parse(&exported, now()).unwrap();
    let later = now() + 3 * 86_400;
    assert_eq!(PgpKey::parse(&exported, later).err(), Some(PgpError::NoEncryptionKey));

    gpg.run(&["--quick-set-expire", &print, "3d"], b"");
    let exported = STANDARD.encode(gpg.run(&["--export"], b""));
    let later = now() + 4 * 86_400;
    assert_eq!(PgpKey::parse(&exported, later).err(), Some(PgpError::Expired));
}

#[test]
fn what_is_no_public_key_is_refused_with_what_to_do() {
    for (text, expected) in [
        ("keybase:someone", PgpError::Keybase),
        ("", PgpError::Certificate),
        ("a", PgpError::Base64),
        ("YWJj", PgpError::Certificate),
        ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n", PgpError::Certificate),
        ("-----BEGIN PGP MESSAGE-----\n\nYWJj\n-----END PGP MESSAGE-----\n", PgpError::Certificate),
    ] {
        assert_eq!(PgpKey::parse(text, 0).err(), Some(expected), "{text:?}");
    }
    let long = "A".repeat(KEY_TEXT_MAX + 4);
    assert_eq!(PgpKey::parse(&long, 0).err(), Some(PgpError::TooLong));
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_and_never_panic(bytes: Vec<u8>) {
        proptest::prop_assert!(PgpKey::parse(&STANDARD.encode(bytes), 0).is_err());
    }
}
