use std::sync::Arc;

use super::harness::*;
use crate::clock::{Clock as _, SystemClock};
use crate::cluster::*;
use crate::raft::{NodeInfo, Options};
use crate::rng::SystemRng;
use crate::secret::Secret;

fn newcomer(world: &World) -> Cluster {
    let key = Arc::new(Key(None.into()));
    Cluster::new(world.identity("new"), key, Arc::new(Cut::default()), &world.options.timing)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_makes_a_node_a_member_and_renewal_keeps_it_one() {
    let world = World::of(&["a"], Options::default()).await;
    let (address, info) = (&world.node("a").info.cluster_address, &world.node("a").info);
    let cluster = newcomer(&world);
    let named = NodeInfo { name: "new".into(), ..NodeInfo::default() };
    let application = Application::of(cluster.identity(), named).unwrap();
    let fingerprint = world.authority.fingerprint();
    let wrong = Secret::new("wrong".to_owned());
    let refused = cluster.join(address, fingerprint, &application, &wrong).await;
    assert!(matches!(refused, Err(JoinError::Refused(JoinRefusal::Token))), "{refused:?}");

    let token = Secret::new("token".to_owned());
    let other = Authority::generate(CLUSTER, SystemClock.now(), &SystemRng).unwrap();
    let refused = cluster.join(address, other.fingerprint(), &application, &token).await;
    assert!(matches!(refused, Err(JoinError::NoAnswer(_))), "another authority: {refused:?}");

    let renewal = cluster.renew(world.id("a"), info).await;
    assert!(renewal.is_err(), "it is no member yet");
    let admission = cluster.join(address, fingerprint, &application, &token).await.unwrap();
    assert_eq!(admission.members, [(application.id, application.info.clone())]);
    cluster.install(admission.certificate, &admission.authorities).unwrap();

    let renewed = within(cluster.renew(world.id("a"), info), "a certificate").await.unwrap();
    cluster.install(renewed.certificate, &renewed.authorities).unwrap();
}

#[test]
fn an_application_that_says_too_little_is_refused() {
    let whole = Application {
        id: 7,
        info: NodeInfo { name: "new".into(), ..NodeInfo::default() },
        request: bytes::Bytes::from_static(b"request"),
    };
    assert_eq!(Application::decode(whole.encode()).unwrap(), whole);
    for application in
        [Application { id: 0, ..whole.clone() }, Application { info: NodeInfo::default(), ..whole }]
    {
        let refused = Application::decode(application.encode());
        assert_eq!(refused.unwrap_err(), JoinRefusal::Application);
    }
    let noise = Application::decode(bytes::Bytes::from_static(b"\xff\xff"));
    assert_eq!(noise.unwrap_err(), JoinRefusal::Application);
}
