use prost::Message as _;

use std::collections::BTreeMap;

use super::*;
use crate::request::{Auth, Body, Lease, RawBody, Then, TokenType, WrapInfo};

fn through(error: Error) -> Error {
    let answer = encode_answer(Outcome::Answered(Err(error)), 1).encode_to_vec();
    let answer = proto::Answer::decode(answer.as_slice()).unwrap();
    match decode_answer(answer).unwrap() {
        Outcome::Answered(Err(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    for operation in [
        Operation::Create,
        Operation::Delete,
        Operation::Header,
        Operation::Help,
        Operation::List,
        Operation::Patch,
        Operation::Read,
        Operation::Update,
    ] {
        let params =
            serde_json::json!({"z": 1.10, "a": {"n": 123456789012345678901234567890_u128}});
        let request = Request {
            id: "id".into(),
            known_as: Some(RequestId::Numbered { origin: OriginId([5; 16]), number: 7 }),
            operation,
            namespace: "team/".into(),
            path: "secret/data/a".into(),
            params: params.as_object().unwrap().clone(),
            token: Some(Arc::new(Secret::new("token".into()))),
            wrap_ttl: Some(Duration::from_millis(1500)),
            remote: Some("[::1]:99".parse().unwrap()),
            client_certificates: vec![vec![1, 2], vec![3]],
            headers: BTreeMap::from([("x-a".into(), vec!["1".into(), "2".into()])]),
            forwarded_from: None,
        };
        let sent = Forwarded {
            request,
            wanted: Wanted::Verdict,
            remaining: Duration::from_secs(9),
            hops: 1,
            finished: vec![(3, 4)],
            leader_term: 9,
        };
        let message = encode(&sent).unwrap();
        assert_eq!(format!("{message:?}"), "Request(..)", "a token would be shown");
        let bytes = message.encode_to_vec();
        let got = decode(proto::Request::decode(bytes.as_slice()).unwrap()).unwrap();
        assert_eq!(format!("{got:?}"), format!("{sent:?}"));
        assert!(got.request.token.unwrap().matches(b"token"));
        let order: Vec<_> = got.request.params.keys().cloned().collect();
        assert_eq!(order, ["z", "a"]);
    }
}

#[test]
fn a_request_without_all_its_parts_arrives_too() {
    let sent = Forwarded {
        request: Request::default(),
        wanted: Wanted::Answer,
        remaining: Duration::ZERO,
        hops: 0,
        finished: Vec::new(),
        leader_term: 0,
    };
    let got = decode(encode(&sent).unwrap()).unwrap();
    assert_eq!(format!("{got:?}"), format!("{sent:?}"));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let forwarded = || Forwarded {
        request: Request::default(),
        wanted: Wanted::Answer,
        remaining: Duration::ZERO,
        hops: 0,
        finished: Vec::new(),
        leader_term: 0,
    };
    type Change = fn(&mut proto::Request);
    let changes: [(&str, Change); 7] = [
        ("half a range of numbers", |message| message.finished = vec![1]),
        ("a request id that is none", |message| message.origin = Bytes::from_static(b"id")),
        ("a newer version", |message| message.version = VERSION + 1),
        ("an unknown operation", |message| message.operation = 99),
        ("nothing wanted", |message| message.wanted = 0),
        ("parameters that are no object", |message| message.parameters = Bytes::from_static(b"[]")),
        ("an address that is none", |message| message.remote = Some("here".into())),
    ];
    for (why, change) in changes {
        let mut message = encode(&forwarded()).unwrap();
        change(&mut message);
        assert!(decode(message).is_err(), "{why}");
    }
    assert!(decode_answer(proto::Answer { result: None, applied: 1 }).is_err());
}

#[test]
fn a_reply_arrives_as_it_was_given() {
    let data = serde_json::json!({"b": 1, "a": [null, "x"]});
    let lease = || Then::AwaitLease { mount: "kv_1".into(), id: "kv/a/1".into() };
    let prefix = || Then::AwaitPrefix { job: "job".into(), prefix: "kv/".into() };
    let raw = RawBody { content_type: "text/plain".into(), bytes: Bytes::from_static(b"x") };
    for (body, then) in [
        (Body::Empty, lease()),
        (Body::Data(data.as_object().unwrap().clone()), prefix()),
        (Body::Bare(serde_json::json!([1])), lease()),
        (Body::Raw(raw), prefix()),
    ] {
        let reply = Reply {
            body,
            warnings: vec!["careful".into()],
            auth: Some(Auth {
                client_token: "token".into(),
                policies: vec!["default".into()],
                metadata: BTreeMap::from([("user".into(), "me".into())]),
                ttl: Duration::from_secs(60),
                token_type: TokenType::Batch,
                bound_cidrs: vec!["10.0.0.0/8".into()],
                num_uses: 3,
                ..Auth::default()
            }),
            lease: Some(Lease {
                id: "lease".into(),
                ttl: Duration::from_secs(1),
                renewable: true,
                ..Lease::default()
            }),
            wrap_info: Some(WrapInfo {
                token: "wrapping".into(),
                accessor: "accessor".into(),
                ttl: Duration::from_secs(2),
                creation_time: Timestamp(5),
                creation_path: "path".into(),
                wrapped_accessor: None,
            }),
            status: Some(202),
            headers: BTreeMap::from([("x-a".into(), "1".into())]),
            mount_type: "kv".into(),
            then: Some(then),
        };
        let shown = format!("{reply:?}");
        let answer = encode_answer(Outcome::Answered(Ok(reply)), 1).encode_to_vec();
        let answer = proto::Answer::decode(answer.as_slice()).unwrap();
        let Outcome::Answered(Ok(got)) = decode_answer(answer).unwrap() else { panic!() };
        assert_eq!(format!("{got:?}"), shown);
    }
    let answer = encode_answer(Outcome::NotActive, 1);
    assert!(matches!(decode_answer(answer).unwrap(), Outcome::NotActive));
}

#[test]
fn an_error_arrives_as_it_was_given() {
    for error in [
        Error::BadRequest("text".into()),
        Error::Conflict,
        Error::Denied,
        Error::Forbidden("text".into()),
        Error::Failed("text".into()),
        Error::LeadershipLost,
        Error::NotFound,
        Error::NotFoundWith(Box::new(Reply::default().warn("text"))),
        Error::NoRoute("text".into()),
        Error::StateNotPresent,
        Error::Missing("text".into()),
        Error::Sealed,
        Error::Unavailable("text".into()),
        Error::DiskFull,
        Error::TooLarge("text".into()),
        Error::TooMany("text".into()),
        Error::Uninitialized,
        Error::UnsupportedPath,
        Error::UnsupportedOperation,
    ] {
        let shown = format!("{error:?}");
        assert_eq!(format!("{:?}", through(error)), shown);
    }
    let Error::Internal(source) = through(Error::internal("disk")) else { panic!() };
    assert_eq!(source.to_string(), "on the active node: disk");
}
