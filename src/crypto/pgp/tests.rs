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
        // Its agent outlives it otherwise; as it ends, it still changes what is in the folder.
        for _ in 0..100 {
            let mut kill = Command::new("gpgconf");
            drop(kill.arg("--homedir").arg(self.0.path()).args(["--kill", "all"]).output());
            if std::fs::remove_dir_all(self.0.path()).is_ok() {
                break;
            }
        }
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

/// The packets of a binary export, headers included.
fn packets(export: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut rest = export;
    while let [tag, first, ..] = *rest {
        assert_eq!(tag >> 6, 0b10, "GnuPG writes the old format");
        let length = match tag & 3 {
            0 => 2 + usize::from(first),
            1 => 3 + usize::from(first) * 256 + usize::from(rest[2]),
            other => panic!("no length of kind {other} is expected"),
        };
        packets.push(rest[..length].to_vec());
        rest = &rest[length..];
    }
    packets
}

/// A signature that does not hold.
fn broken(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    *packet.last_mut().unwrap() ^= 1;
    packet
}

/// Primary key, user, its signature, subkey, its signature.
fn exported(gpg: &Gpg) -> Vec<Vec<u8>> {
    gpg.run(&["--quick-generate-key", "a@example.org", "ed25519", "cert,sign", "never"], b"");
    gpg.run(&["--quick-add-key", &gpg.fingerprint(), "cv25519", "encr", "2d"], b"");
    let packets = packets(&gpg.run(&["--export"], b""));
    assert_eq!(packets.len(), 5);
    packets
}

fn read(packets: &[&[&[u8]]]) -> Result<PgpKey, PgpError> {
    PgpKey::parse(&STANDARD.encode(packets.concat().concat()), now())
}

#[test]
fn a_certificate_is_checked_within_bounds() {
    let Some(gpg) = Gpg::new() else { return };
    let made = exported(&gpg);
    let parts: Vec<&[u8]> = made.iter().map(Vec::as_slice).collect();
    let (whole, subkey) = (&parts[..], &parts[3..]);
    read(&[whole]).unwrap();
    let many: Vec<&[&[u8]]> = std::iter::repeat_n(subkey, 16).collect();
    read(&[&parts[..3]].into_iter().chain(many).collect::<Vec<_>>()).unwrap();
    let many: Vec<&[&[u8]]> = std::iter::repeat_n(subkey, 17).collect();
    let told = read(&[&parts[..3]].into_iter().chain(many).collect::<Vec<_>>());
    assert_eq!(told.err(), Some(PgpError::TooMany));

    let bad = broken(parts[4]);
    let with = |bad_signatures: usize| {
        let bad = vec![bad.as_slice(); bad_signatures];
        read(&[&parts[..4], &bad, &parts[4..]])
    };
    with(3).unwrap();
    assert_eq!(with(16).err(), Some(PgpError::TooMany));
    assert_eq!(read(&[&parts[..4], &[&bad]]).err(), Some(PgpError::NoEncryptionKey));
    let bad_user = broken(parts[2]);
    let bad_users = vec![bad_user.as_slice(); 16];
    assert_eq!(read(&[&parts[..2], &bad_users, &parts[2..]]).err(), Some(PgpError::TooMany));
}

#[test]
fn a_key_is_revoked_by_itself_alone() {
    let revocation = |gpg: &Gpg| {
        let file = format!("openpgp-revocs.d/{}.rev", gpg.fingerprint().to_uppercase());
        let text = std::fs::read_to_string(gpg.0.path().join(file)).unwrap();
        let armour = text.split_once("\n:").unwrap().1;
        packets(&gpg.run(&["--dearmor"], armour.as_bytes())).remove(0)
    };
    let (Some(one), Some(other)) = (Gpg::new(), Gpg::new()) else { return };
    let (made, _) = (exported(&one), exported(&other));
    let parts: Vec<&[u8]> = made.iter().map(Vec::as_slice).collect();
    let with = |revocation: &[u8]| read(&[&parts[..1], &[revocation], &parts[1..]]);
    assert_eq!(with(&revocation(&one)).err(), Some(PgpError::Revoked));
    with(&revocation(&other)).unwrap();
    with(&broken(&revocation(&one))).unwrap();
}

#[test]
fn of_several_keys_the_one_that_is_refused_is_named() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let parse = |texts: Vec<String>| runtime.block_on(PgpKey::parse_all(texts, 0));
    assert!(parse(Vec::new()).unwrap().is_empty());
    assert_eq!(parse(texts(&["keybase:a", "a"])).err(), Some((0, PgpError::Keybase)));
    assert_eq!(parse(texts(&["YWJj"])).err(), Some((0, PgpError::Certificate)));
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_and_never_panic(bytes: Vec<u8>) {
        proptest::prop_assert!(PgpKey::parse(&STANDARD.encode(bytes), 0).is_err());
    }
}
