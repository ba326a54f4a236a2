use super::*;
use std::collections::{BTreeMap, BTreeSet};
use windlass_core::route::{Availability, PrivateNames};

fn instance(process: &str, index: u32, address: &str) -> NamedInstance {
    NamedInstance { process: process.parse().unwrap(), index, address: address.parse().unwrap() }
}

fn route(name: &str, linked: &[AppId], instances: &[NamedInstance]) -> Arc<AppRoute> {
    Arc::new(AppRoute {
        app: AppId::random(),
        app_name: name.parse().unwrap(),
        hosts: Vec::new(),
        availability: Availability::Serving,
        targets: Vec::new(),
        canary: None,
        log_file: None,
        private: PrivateNames {
            instances: instances.to_vec(),
            linked: linked.iter().copied().collect(),
        },
        settings: None,
    })
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut question = Message::new(4711, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    question.to_vec().unwrap()
}

/// Returns the reply's code and the addresses in it, sorted.
fn ask(
    name: &str,
    kind: RecordType,
    client: Client,
    routes: &[Arc<AppRoute>],
) -> (ResponseCode, BTreeSet<IpAddr>) {
    let Verdict::Reply(bytes) = judge(&question(name, kind), Transport::Udp, client, routes) else {
        panic!("{name} is not answered")
    };
    let reply = Message::from_vec(&bytes).unwrap();
    assert_eq!(reply.metadata.id, 4711);
    assert_eq!(reply.metadata.message_type, MessageType::Response);
    assert_eq!(reply.queries.len(), 1);
    for record in reply.answers.iter().chain(&reply.authorities) {
        assert!(record.ttl <= 5, "{record}");
    }
    assert_eq!(reply.answers.is_empty(), !reply.authorities.is_empty(), "{reply}");
    let addresses = reply.answers.iter().filter_map(|record| record.data.ip_addr()).collect();
    (reply.metadata.response_code, addresses)
}

#[test]
fn an_app_sees_its_own_names_and_those_of_linked_apps() {
    let caller = route("caller", &[], &[instance("web", 1, "10.0.0.9")]);
    let stranger = route("stranger", &[], &[instance("web", 1, "10.0.0.8")]);
    let shop = route(
        "shop",
        &[caller.app],
        &[
            instance("web", 1, "10.0.0.1"),
            instance("web", 2, "10.0.0.2"),
            instance("Worker", 1, "10.0.0.3"),
        ],
    );
    let routes = [caller.clone(), shop.clone(), stranger.clone()];
    let table: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("web.shop.internal.", &["10.0.0.1", "10.0.0.2"][..]),
        ("WEB.Shop.INTERNAL.", &["10.0.0.1", "10.0.0.2"]),
        ("shop.internal.", &["10.0.0.1", "10.0.0.2"]),
        ("2.web.shop.internal.", &["10.0.0.2"]),
        ("worker.shop.internal.", &["10.0.0.3"]),
        ("3.web.shop.internal.", &[]),
        ("clock.shop.internal.", &[]),
        ("web.nobody.internal.", &[]),
        ("internal.", &[]),
    ]);
    for (name, expected) in table {
        let expected: BTreeSet<IpAddr> = expected.iter().map(|a| a.parse().unwrap()).collect();
        let code = if expected.is_empty() { ResponseCode::NXDomain } else { ResponseCode::NoError };
        for asking in [shop.app, caller.app] {
            let answer = ask(name, RecordType::A, Client::Of(asking), &routes);
            assert_eq!(answer, (code, expected.clone()), "{name}");
        }
        for other in [Client::Of(stranger.app), Client::OfNone, Client::Of(AppId::random())] {
            let answer = ask(name, RecordType::A, other, &routes);
            assert_eq!(answer, (ResponseCode::NXDomain, BTreeSet::new()), "{name} by {other:?}");
        }
    }
}

#[test]
fn other_types_of_a_name_that_is_there_are_empty() {
    let shop = route("shop", &[], &[instance("web", 1, "10.0.0.1"), instance("web", 1, "fd00::1")]);
    let worker = route("jobs", &[shop.app], &[instance("worker", 1, "10.0.0.2")]);
    let (client, routes) = (Client::Of(shop.app), [shop, worker]);
    let counts = [
        ("web.shop.internal.", RecordType::A, 1),
        ("web.shop.internal.", RecordType::AAAA, 1),
        ("web.shop.internal.", RecordType::ANY, 2),
        ("web.shop.internal.", RecordType::MX, 0),
        ("worker.jobs.internal.", RecordType::AAAA, 0),
        // It has no web process, but something is below it.
        ("jobs.internal.", RecordType::A, 0),
    ];
    for (name, kind, count) in counts {
        let (code, addresses) = ask(name, kind, client, &routes);
        assert_eq!((code, addresses.len()), (ResponseCode::NoError, count), "{name} {kind}");
    }
}

#[test]
fn all_other_names_are_passed_on_unread() {
    let client = Client::OfNone;
    for name in ["example.com.", "web.shop.internal.example.com.", "."] {
        let verdict = judge(&question(name, RecordType::A), Transport::Udp, client, &[]);
        assert_eq!(verdict, Verdict::PassOn, "{name}");
    }
    // Something after the question that we do not understand is for the other side to judge.
    let mut odd = question("example.com.", RecordType::A);
    odd[11] = 1;
    odd.extend([0xff; 7]);
    assert_eq!(judge(&odd, Transport::Udp, client, &[]), Verdict::PassOn);
}

#[test]
fn what_is_no_question_is_refused_or_ignored() {
    let good = question("web.shop.internal.", RecordType::A);
    let mut answer = good.clone();
    answer[2] |= 0x80;
    for ignored in [&good[..11], &answer[..], b""] {
        assert_eq!(judge(ignored, Transport::Udp, Client::OfNone, &[]), Verdict::Ignore);
    }
    let mut update = good.clone();
    update[2] |= 5 << 3;
    let mut two = good.clone();
    two[5] = 2;
    for (bytes, code) in [
        (update, ResponseCode::NotImp),
        (two, ResponseCode::FormErr),
        (good[..20].to_vec(), ResponseCode::FormErr),
    ] {
        let Verdict::Reply(reply) = judge(&bytes, Transport::Udp, Client::OfNone, &[]) else {
            panic!("no reply")
        };
        let reply = Message::from_vec(&reply).unwrap();
        assert_eq!((reply.metadata.id, reply.metadata.response_code), (4711, code));
    }
}

#[test]
fn many_addresses_are_cut_over_udp_and_whole_over_tcp() {
    let many: Vec<_> =
        (1..=500).map(|n| instance("web", n, &format!("10.0.{}.{}", n / 250, n % 250))).collect();
    let shop = route("shop", &[], &many);
    let (client, routes) = (Client::Of(shop.app), [shop]);
    let bytes = question("web.shop.internal.", RecordType::A);
    let Verdict::Reply(udp) = judge(&bytes, Transport::Udp, client, &routes) else { panic!() };
    assert!(udp.len() <= 512, "{}", udp.len());
    let udp = Message::from_vec(&udp).unwrap();
    assert!(udp.metadata.truncation && !udp.answers.is_empty());
    let Verdict::Reply(tcp) = judge(&bytes, Transport::Tcp, client, &routes) else { panic!() };
    let tcp = Message::from_vec(&tcp).unwrap();
    assert_eq!((tcp.metadata.truncation, tcp.answers.len()), (false, 500));
}

#[test]
fn a_failure_names_the_question() {
    let reply = failure(&question("example.com.", RecordType::A)).unwrap();
    let reply = Message::from_vec(&reply).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(reply.queries[0].name().to_string(), "example.com.");
}
