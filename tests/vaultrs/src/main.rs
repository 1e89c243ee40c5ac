//! Drives a server that is not initialised yet with vaultrs, as people's programs do.
//!
//! `strongroom-vaultrs http://127.0.0.1:8200` prints a line for each step; the first that goes
//! wrong ends it.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::time::{Duration, Instant};

use vaultrs::api::kv2::requests::SetSecretRequestOptions;
use vaultrs::api::sys::requests::EnableEngineRequest;
use vaultrs::api::token::requests::CreateTokenRequest;
use vaultrs::api::transit::KeyType;
use vaultrs::api::transit::requests::CreateKeyRequest;
use vaultrs::client::{Client as _, VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;
use vaultrs::sys::ServerStatus;
use vaultrs::{kv1, kv2, sys, token, transit};

type Done = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let address = std::env::args().nth(1).ok_or("where the server listens is missing")?;
    let mut client = client(&address, "")?;
    let root = initialise(&mut client).await?;
    println!("ok: a node is initialised and unsealed");
    mounts(&client).await?;
    println!("ok: mounts are made, read, moved and taken away");
    version_1(&client).await?;
    println!("ok: secrets of version 1 live their life");
    version_2(&client).await?;
    println!("ok: secrets of version 2 live their life");
    policies(&client).await?;
    println!("ok: policies are written, read, listed and deleted");
    tokens(&client, &address).await?;
    println!("ok: tokens are made, looked up, limited, renewed and revoked");
    encryption(&client).await?;
    println!("ok: transit encrypts, signs and rotates");
    client.set_token(&root);
    sys::seal(&client).await?;
    assert!(matches!(sys::status(&client).await?, ServerStatus::SEALED));
    println!("ok: a node is sealed");
    Ok(())
}

async fn initialise(client: &mut VaultClient) -> Result<String, Box<dyn Error>> {
    assert!(matches!(sys::status(client).await?, ServerStatus::UNINITIALIZED));
    let made = sys::start_initialization(client, 3, 2, None).await?;
    assert_eq!((made.keys.len(), made.keys_base64.len()), (3, 3));
    assert!(matches!(sys::status(client).await?, ServerStatus::SEALED));
    let first = sys::unseal(client, made.keys.first().cloned(), None, None).await?;
    assert_eq!((first.sealed, first.progress, first.threshold, first.n_shares), (true, 1, 2, 3));
    let second = sys::unseal(client, made.keys_base64.last().cloned(), None, None).await?;
    assert!(!second.sealed);
    client.set_token(&made.root_token);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !matches!(sys::status(client).await, Ok(ServerStatus::OK)) {
        assert!(Instant::now() < deadline, "the node does not become active");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(sys::health(client).await?.initialized);
    Ok(made.root_token)
}

async fn mounts(client: &VaultClient) -> Done {
    sys::mount::enable(client, "one", "kv", None).await?;
    let mut options = EnableEngineRequest::builder();
    options.options(HashMap::from([("version".to_owned(), "2".to_owned())])).description("second");
    sys::mount::enable(client, "two", "kv", Some(&mut options)).await?;
    let listed = sys::mount::list(client).await?;
    assert_eq!(listed["one/"].mount_type, "kv");
    assert_eq!(listed["two/"].description, "second");
    let read = sys::mount::get_configuration_of_a_secret_engine(client, "two").await?;
    assert_eq!(read.accessor, listed["two/"].accessor);
    refused(400, sys::mount::enable(client, "two", "kv", None).await);
    sys::mount::enable(client, "old", "kv", None).await?;
    let moved = sys::remount::remount(client, "old", "new").await?;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let status = sys::remount::remount_status(client, &moved.migration_id).await?;
        if status.migration_info.status == "success" {
            break;
        }
        assert!(Instant::now() < deadline, "{}", status.migration_info.status);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!sys::mount::list(client).await?.contains_key("old/"));
    sys::mount::disable(client, "new").await?;
    assert!(!sys::mount::list(client).await?.contains_key("new/"));
    assert!(sys::auth::list(client).await?.contains_key("token/"));
    Ok(())
}

async fn version_1(client: &VaultClient) -> Done {
    kv1::set(client, "one", "a/b", &HashMap::from([("text", "ä"), ("more", "1")])).await?;
    let read: BTreeMap<String, String> = kv1::get(client, "one", "a/b").await?;
    assert_eq!(read["text"], "ä");
    assert_eq!(kv1::list(client, "one", "").await?.data.keys, ["a/"]);
    assert_eq!(kv1::list(client, "one", "a").await?.data.keys, ["b"]);
    kv1::delete(client, "one", "a/b").await?;
    refused(404, kv1::get_raw(client, "one", "a/b").await);
    Ok(())
}

async fn version_2(client: &VaultClient) -> Done {
    let value = |text: &str| BTreeMap::from([("x".to_owned(), text.to_owned())]);
    assert_eq!(kv2::set(client, "two", "a", &value("1")).await?.version, 1);
    let cas = |cas| SetSecretRequestOptions { cas };
    assert_eq!(kv2::set_with_options(client, "two", "a", &value("2"), cas(1)).await?.version, 2);
    refused(400, kv2::set_with_options(client, "two", "a", &value("3"), cas(1)).await);
    let read: BTreeMap<String, String> = kv2::read(client, "two", "a").await?;
    assert_eq!(read, value("2"));
    let read: BTreeMap<String, String> = kv2::read_version(client, "two", "a", 1).await?;
    assert_eq!(read, value("1"));
    assert_eq!(kv2::list(client, "two", "").await?, ["a"]);
    kv2::delete_versions(client, "two", "a", vec![1]).await?;
    refused(404, kv2::read_version::<BTreeMap<String, String>>(client, "two", "a", 1).await);
    kv2::undelete_versions(client, "two", "a", vec![1]).await?;
    kv2::destroy_versions(client, "two", "a", vec![1]).await?;
    let metadata = kv2::read_metadata(client, "two", "a").await?;
    assert_eq!((metadata.current_version, metadata.versions["1"].destroyed), (2, true));
    kv2::delete_latest(client, "two", "a").await?;
    refused(404, kv2::read::<BTreeMap<String, String>>(client, "two", "a").await);
    kv2::delete_metadata(client, "two", "a").await?;
    refused(404, kv2::read_metadata(client, "two", "a").await);
    let configured = kv2::config::read(client, "two").await?;
    assert!(!configured.cas_required);
    Ok(())
}

const POLICY: &str = "path \"one/mine/*\" { capabilities = [\"create\", \"read\", \"update\"] }";

async fn policies(client: &VaultClient) -> Done {
    sys::policy::set(client, "mine", POLICY).await?;
    sys::policy::set(client, "gone", POLICY).await?;
    assert_eq!(sys::policy::read(client, "mine").await?.rules, POLICY);
    sys::policy::delete(client, "gone").await?;
    assert_eq!(sys::policy::list(client).await?.policies, ["default", "mine", "root"]);
    refused(404, sys::policy::read(client, "gone").await);
    refused(400, sys::policy::set(client, "bad", "path {").await);
    Ok(())
}

async fn tokens(client: &VaultClient, address: &str) -> Done {
    let mut asked = CreateTokenRequest::builder();
    asked.policies(vec!["mine".to_owned()]).ttl("1h").display_name("rust");
    let made = token::new(client, Some(&mut asked)).await?;
    assert_eq!((made.lease_duration, made.renewable), (3600, true));
    assert_eq!(made.policies, ["default", "mine"]);
    let looked = token::lookup(client, &made.client_token).await?;
    assert_eq!(looked.display_name, "token-rust");
    assert_eq!(token::lookup_accessor(client, &made.accessor).await?.accessor, made.accessor);
    let own = self::client(address, &made.client_token)?;
    kv1::set(&own, "one", "mine/a", &HashMap::from([("x", "1")])).await?;
    refused(403, kv1::get_raw(&own, "one", "theirs/a").await);
    let renewed = token::renew_self(&own, Some("30m")).await?;
    assert_eq!(renewed.client_token, made.client_token);
    assert_eq!(token::lookup_self(&own).await?.id, made.client_token);
    token::revoke_accessor(client, &made.accessor).await?;
    refused(403, token::lookup_self(&own).await);
    refused(403, token::lookup(client, &made.client_token).await);
    let orphan = token::new_orphan(client, None).await?;
    assert!(orphan.orphan);
    token::revoke_self(&self::client(address, &orphan.client_token)?).await?;
    token::role::set(client, "made", None).await?;
    assert_eq!(token::role::list(client).await?.keys, ["made"]);
    assert!(!token::new_role(client, "made", None).await?.client_token.is_empty());
    token::role::delete(client, "made").await?;
    Ok(())
}

async fn encryption(client: &VaultClient) -> Done {
    sys::mount::enable(client, "transit", "transit", None).await?;
    transit::key::create(client, "transit", "aes", None).await?;
    // "secret" in base64.
    let plain = "c2VjcmV0";
    let sealed = transit::data::encrypt(client, "transit", "aes", plain, None).await?.ciphertext;
    assert!(sealed.starts_with("vault:v1:"));
    transit::key::rotate(client, "transit", "aes").await?;
    let again = transit::data::rewrap(client, "transit", "aes", &sealed, None).await?.ciphertext;
    assert!(again.starts_with("vault:v2:"));
    for sealed in [&sealed, &again] {
        let opened = transit::data::decrypt(client, "transit", "aes", sealed, None).await?;
        assert_eq!(opened.plaintext, plain);
    }
    let mut options = CreateKeyRequest::builder();
    options.key_type(KeyType::Ed25519);
    transit::key::create(client, "transit", "ed", Some(&mut options)).await?;
    assert!(transit::key::read(client, "transit", "ed").await?.supports_signing);
    let signed = transit::data::sign(client, "transit", "ed", plain, None).await?.signature;
    assert!(signed.starts_with("vault:v1:"));
    assert_eq!(transit::key::list(client, "transit").await?.keys, ["aes", "ed"]);
    refused(400, transit::data::decrypt(client, "transit", "aes", "vault:v9:AAAA", None).await);
    Ok(())
}

fn client(address: &str, token: &str) -> Result<VaultClient, Box<dyn Error>> {
    let settings = VaultClientSettingsBuilder::default().address(address).token(token).build()?;
    Ok(VaultClient::new(settings)?)
}

fn refused<T>(status: u16, outcome: Result<T, ClientError>) {
    match outcome {
        Err(ClientError::APIError { code, .. }) => assert_eq!(code, status),
        // A 404 that tells of a deleted version has no list of errors.
        Err(ClientError::RestClientError { source }) => {
            let text = format!("{source:?}");
            assert!(text.contains(&format!("code: {status},")), "{text}");
        }
        Err(other) => panic!("not refused with {status}: {other:?}"),
        Ok(_) => panic!("not refused with {status}"),
    }
}
