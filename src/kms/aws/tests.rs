use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers each request by the next of its answers (status and body), and keeps what it was asked.
struct Service {
    url: String,
    asked: std::sync::Arc<Mutex<Vec<String>>>,
}

impl Service {
    #[expect(
        clippy::disallowed_methods,
        reason = "a server of this test alone, which ends with it"
    )]
    async fn start(answers: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
        let kept = std::sync::Arc::clone(&asked);
        let answers: Vec<(String, String)> =
            answers.iter().map(|(status, body)| ((*status).into(), (*body).into())).collect();
        tokio::spawn(async move {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = Vec::new();
                let head = loop {
                    let mut piece = [0; 4096];
                    let count = stream.read(&mut piece).await.unwrap();
                    text.extend_from_slice(piece.get(..count).unwrap());
                    if let Some(at) = text.windows(4).position(|four| four == b"\r\n\r\n") {
                        break at + 4;
                    }
                };
                let whole = String::from_utf8_lossy(&text).into_owned();
                let length = whole.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    let is_length = name.eq_ignore_ascii_case("content-length");
                    is_length.then(|| value.trim().parse::<usize>().unwrap())
                });
                while text.len() < head + length.unwrap_or(0) {
                    let mut piece = [0; 4096];
                    let count = stream.read(&mut piece).await.unwrap();
                    text.extend_from_slice(piece.get(..count).unwrap());
                }
                kept.lock().unwrap().push(String::from_utf8_lossy(&text).into_owned());
                let reply = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn seal(endpoint: &str, env: &[(&str, &str)]) -> Result<AwsKmsSeal, String> {
    let env: BTreeMap<String, String> =
        env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let options = AwsKmsOptions {
        region: "eu-central-1".into(),
        key: "alias/strongroom".into(),
        endpoint: Some(endpoint.into()),
        access_key: None,
        profile: Profile::default(),
    };
    AwsKmsSeal::new(options, &|name| env.get(name).cloned())
}

const FIXED: &[(&str, &str)] =
    &[("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")];

fn opened(key: &LockedKey) -> String {
    json!({ "Plaintext": STANDARD.encode(key.expose()) }).to_string()
}

#[test]
fn a_request_is_signed_and_its_key_is_named_when_unwrapped() {
    block_on(async {
        let key = LockedKey::generate(&crate::rng::SystemRng);
        let wrapped =
            json!({ "CiphertextBlob": STANDARD.encode("w"), "KeyId": "arn:k" }).to_string();
        let service = Service::start(&[("200 OK", &wrapped), ("200 OK", &opened(&key))]).await;
        let seal = seal(&service.url, FIXED).unwrap();
        assert_eq!(seal.current_key_id(), None);
        let (id, bytes) = seal.wrap(&key).await.unwrap();
        assert_eq!((id.as_str(), bytes.as_slice()), ("arn:k", b"w".as_slice()));
        assert_eq!(seal.current_key_id(), Some("arn:k"));
        assert_eq!(seal.unwrap(&id, &bytes).await.unwrap().expose(), key.expose());
        let asked = service.asked();
        assert!(asked[0].contains("x-amz-target: TrentService.Encrypt"), "{}", asked[0]);
        assert!(
            asked[0].contains("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
                && asked[0]
                    .contains("/eu-central-1/kms/aws4_request, SignedHeaders=content-type;host;"),
            "{}",
            asked[0]
        );
        assert!(asked[1].contains(r#""KeyId":"arn:k""#), "{}", asked[1]);
    });
}

#[test]
fn what_may_pass_is_asked_again_and_a_refusal_is_final() {
    block_on(async {
        let key = LockedKey::generate(&crate::rng::SystemRng);
        let busy = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;
        let service = Service::start(&[("400 Bad", busy), ("200 OK", &opened(&key))]).await;
        let seal = seal(&service.url, FIXED).unwrap();
        assert_eq!(seal.unwrap("k", b"w").await.unwrap().expose(), key.expose());
        for (answer, expected) in [
            (
                ("400 Bad", r#"{"__type":"com.amazonaws.kms#NotFoundException","message":"gone"}"#),
                "the key service refuses: 400 NotFoundException: gone",
            ),
            (("403 Forbidden", "<html>"), "the key service refuses: 403 : "),
            (("200 OK", "{}"), "what is stored was not wrapped by this key"),
        ] {
            let service = Service::start(&[answer]).await;
            let seal = tests::seal(&service.url, FIXED).unwrap();
            let error = seal.unwrap("k", b"w").await.err().unwrap();
            assert_eq!(error.to_string(), expected);
            assert_eq!(service.asked().len(), 1);
        }
    });
}

#[test]
fn credentials_that_ended_before_their_time_are_asked_for_again() {
    block_on(async {
        let key = LockedKey::generate(&crate::rng::SystemRng);
        let ended = r#"{"__type":"ExpiredTokenException","message":"ended"}"#;
        let service = Service::start(&[("400 Bad", ended), ("200 OK", &opened(&key))]).await;
        let of = |id: &str| {
            json!({ "AccessKeyId": id, "SecretAccessKey": "s", "Token": "t",
                    "Expiration": "2999-01-01T00:00:00Z" })
            .to_string()
        };
        let container =
            Service::start(&[("200 OK", &of("FIRST")), ("200 OK", &of("SECOND"))]).await;
        let env = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url.as_str()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer b"),
        ];
        let seal = seal(&service.url, &env).unwrap();
        assert_eq!(seal.unwrap("k", b"w").await.unwrap().expose(), key.expose());
        let asked = service.asked();
        assert!(asked[0].contains("Credential=FIRST/") && asked[1].contains("Credential=SECOND/"));
        assert!(asked[1].contains("x-amz-security-token: t"), "{}", asked[1]);
        assert!(container.asked()[0].contains("authorization: Bearer b"));
    });
}

#[test]
fn a_machine_is_asked_with_a_token_and_kept_credentials_are_used() {
    block_on(async {
        let key = LockedKey::generate(&crate::rng::SystemRng);
        let body = opened(&key);
        let service = Service::start(&[("200 OK", &body), ("200 OK", &body)]).await;
        let role = r#"{"AccessKeyId":"ROLE","SecretAccessKey":"s","Token":"t","Expiration":"2999-01-01T00:00:00Z"}"#;
        let machine =
            Service::start(&[("200 OK", "token"), ("200 OK", "role-a"), ("200 OK", role)]).await;
        let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.url.as_str())];
        let seal = seal(&service.url, &env).unwrap();
        for _ in 0..2 {
            assert!(seal.unwrap("k", b"w").await.is_ok());
        }
        let asked = machine.asked();
        assert!(asked[0].starts_with("PUT /latest/api/token "), "{}", asked[0]);
        assert!(asked[2].starts_with("GET /latest/meta-data/iam/security-credentials/role-a "));
        assert!(asked[2].contains("x-aws-ec2-metadata-token: token"), "{}", asked[2]);
    });
}

#[test]
fn a_web_identity_takes_a_role() {
    block_on(async {
        let key = LockedKey::generate(&crate::rng::SystemRng);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "a.b+c/d\n").unwrap();
        let answer = "<AssumeRoleWithWebIdentityResponse><Credentials><AccessKeyId>WEB</AccessKeyId>\
            <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
            <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResponse>";
        let denied = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
        let service = Service::start(&[("200 OK", &opened(&key))]).await;
        let tokens = Service::start(&[("403 Forbidden", denied), ("200 OK", answer)]).await;
        let env = [
            ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
            ("AWS_ENDPOINT_URL_STS", tokens.url.as_str()),
        ];
        let seal = seal(&service.url, &env).unwrap();
        let error = seal.unwrap("k", b"w").await.err().unwrap().to_string();
        assert!(error.ends_with("AccessDenied: no"), "{error}");
        assert!(seal.unwrap("k", b"w").await.is_ok());
        let body = tokens.asked()[1].clone();
        assert!(
            body.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=strongroom")
        );
        assert!(body.ends_with("WebIdentityToken=a.b%2Bc%2Fd"), "{body}");
    });
}

#[test]
fn a_profile_is_read_from_its_file_each_time() {
    block_on(async {
        let key = LockedKey::generate(&crate::rng::SystemRng);
        let body = opened(&key);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials");
        let service = Service::start(&[("200 OK", &body), ("200 OK", &body)]).await;
        let env = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap()), ("AWS_PROFILE", "p")];
        let seal = seal(&service.url, &env).unwrap();
        let refused = |error: KmsError, told: &str| {
            let error = error.to_string();
            assert!(error.contains(told), "{error}");
        };
        refused(seal.unwrap("k", b"w").await.err().unwrap(), "credentials: No such file");
        std::fs::write(&file, "[default]\naws_access_key_id=X\n").unwrap();
        refused(seal.unwrap("k", b"w").await.err().unwrap(), "there is no profile [p]");
        std::fs::write(&file, "[p]\naws_access_key_id=X\n").unwrap();
        refused(seal.unwrap("k", b"w").await.err().unwrap(), "`aws_secret_access_key`");
        for id in ["ONE", "TWO"] {
            let text =
                format!("[p]\n# c = d\naws_access_key_id = {id}\naws_secret_access_key = s\n");
            std::fs::write(&file, text).unwrap();
            assert!(seal.unwrap("k", b"w").await.is_ok());
        }
        let asked = service.asked();
        assert!(asked[0].contains("Credential=ONE/") && asked[1].contains("Credential=TWO/"));
    });
}

#[test]
fn a_token_is_not_sent_in_clear_to_another_machine() {
    for (url, is_taken) in [
        ("https://elsewhere.example/", true),
        ("http://169.254.170.23/v1", true),
        ("http://[::1]:80/", true),
        ("http://127.0.0.2/", true),
        ("http://elsewhere.example/", false),
        ("http://localhost.elsewhere.example/", false),
        ("ftp://127.0.0.1/", false),
    ] {
        let seal = seal("http://127.0.0.1:1", &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)]);
        assert_eq!(seal.is_ok(), is_taken, "{url}");
    }
    let none = seal("http://127.0.0.1:1", &[("AWS_EC2_METADATA_DISABLED", "true")]);
    assert!(none.err().unwrap().contains("`access_key`"));
}
