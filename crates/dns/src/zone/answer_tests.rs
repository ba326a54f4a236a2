use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn zone() -> Zone {
    Zone {
        name: "apps.example.com".to_owned(),
        listen: ([127, 0, 0, 1], 53).into(),
        addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
    }
}

fn challenges() -> Challenges {
    let values = |values: &[&str]| values.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    Challenges {
        txt: BTreeMap::from([
            ("_acme-challenge.apps.example.com".to_owned(), values(&["one", "two"])),
            ("_acme-challenge.shop.apps.example.com".to_owned(), values(&["three"])),
            ("a._deep.apps.example.com".to_owned(), values(&["four"])),
        ]),
        ..Challenges::default()
    }
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut question = Message::new(4711, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    question
}

fn answer_bytes(bytes: &[u8], transport: Transport, extent: Extent) -> Option<Vec<u8>> {
    Authority::new(zone()).unwrap().answer(bytes, transport, extent, &challenges())
}

fn answer(question: &Message) -> Message {
    let bytes = question.to_vec().unwrap();
    let reply = answer_bytes(&bytes, Transport::Udp, Extent::Whole).expect("an answer");
    let reply = Message::from_vec(&reply).unwrap();
    assert_eq!(reply.metadata.id, 4711);
    assert!(!reply.metadata.recursion_available);
    reply
}

fn values(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.data.to_string()).collect()
}

#[test]
fn every_host_of_the_zone_leads_to_the_router() {
    use RecordType::{A, AAAA, MX, TXT};
    for (name, kind, expected) in [
        ("apps.example.com.", A, &["192.0.2.1"][..]),
        ("apps.example.com.", AAAA, &["2001:db8::1"]),
        ("shop.apps.example.com.", A, &["192.0.2.1"]),
        ("a.b.shop.apps.example.com.", AAAA, &["2001:db8::1"]),
        ("ns1.apps.example.com.", A, &["192.0.2.1"]),
        ("shop.apps.example.com.", MX, &[]),
        ("shop.apps.example.com.", TXT, &[]),
        ("_acme-challenge.apps.example.com.", TXT, &["one", "two"]),
        ("_ACME-Challenge.Shop.Apps.Example.Com.", TXT, &["three"]),
        ("_acme-challenge.apps.example.com.", A, &[]),
        ("a._deep.apps.example.com.", TXT, &["four"]),
        ("_deep.apps.example.com.", TXT, &[]),
    ] {
        let reply = answer(&question(name, kind));
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError, "{name} {kind}");
        assert!(reply.metadata.authoritative);
        assert_eq!(values(&reply.answers), expected, "{name} {kind}");
        let said_nothing: Vec<_> = reply.authorities.iter().map(Record::record_type).collect();
        let expected = if expected.is_empty() { vec![RecordType::SOA] } else { vec![] };
        assert_eq!(said_nothing, expected, "{name} {kind}");
    }
}

#[test]
fn what_is_not_there_is_said_so_and_may_be_remembered_for_a_short_time() {
    for name in [
        "_dmarc.apps.example.com.",
        "x._acme-challenge.apps.example.com.",
        "_acme-challenge.other.apps.example.com.",
        "_acme-challenge\\.apps.example.com.apps.example.com.",
        "x.ns1.apps.example.com.",
    ] {
        for kind in [RecordType::A, RecordType::TXT, RecordType::ANY] {
            let reply = answer(&question(name, kind));
            assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain, "{name} {kind}");
            assert!(reply.answers.is_empty());
            assert_eq!(reply.authorities.len(), 1);
            let RData::SOA(soa) = &reply.authorities[0].data else { panic!("{reply}") };
            assert_eq!((soa.minimum, reply.authorities[0].ttl), (NEGATIVE_TTL, NEGATIVE_TTL));
        }
    }
}

#[test]
fn the_zone_names_its_name_server() {
    let reply = answer(&question("apps.example.com.", RecordType::NS));
    assert_eq!(values(&reply.answers), ["ns1.apps.example.com."]);
    assert_eq!(values(&reply.additionals), ["192.0.2.1", "2001:db8::1"]);
    let reply = answer(&question("apps.example.com.", RecordType::SOA));
    assert_eq!(reply.answers.len(), 1);
    let reply = answer(&question("shop.apps.example.com.", RecordType::NS));
    assert_eq!((reply.answers.len(), reply.authorities.len()), (0, 1));
}

#[test]
fn the_case_of_the_question_is_kept() {
    let question = question("ShOp.aPPs.EXAMPLE.com.", RecordType::A);
    let reply = answer(&question);
    assert_eq!(reply.queries[0].name().to_ascii(), "ShOp.aPPs.EXAMPLE.com.");
    assert_eq!(reply.answers[0].name.to_ascii(), "ShOp.aPPs.EXAMPLE.com.");
}

#[test]
fn it_is_nobodys_resolver() {
    let mut chaos = question("version.apps.example.com.", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    for question in [
        question("example.com.", RecordType::A),
        question("notapps.example.com.", RecordType::A),
        question("www.example.org.", RecordType::A),
        question(".", RecordType::NS),
        question("apps.example.com.", RecordType::AXFR),
        question("apps.example.com.", RecordType::IXFR),
        chaos,
    ] {
        let reply = answer(&question);
        assert_eq!(reply.metadata.response_code, ResponseCode::Refused, "{question}");
        assert!(reply.answers.is_empty() && reply.authorities.is_empty());
        assert!(!reply.metadata.authoritative);
    }
}

#[test]
fn all_of_a_name_is_not_told() {
    let reply = answer(&question("shop.apps.example.com.", RecordType::ANY));
    assert_eq!(reply.answers.len(), 1);
    assert_eq!(reply.answers[0].record_type(), RecordType::HINFO);
}

#[test]
fn extensions_are_answered_in_kind() {
    let mut asked = question("shop.apps.example.com.", RecordType::A);
    assert!(answer(&asked).edns.is_none());
    let mut edns = Edns::new();
    edns.set_max_payload(4_096);
    asked.set_edns(edns.clone());
    assert_eq!(answer(&asked).edns.unwrap().max_payload(), UDP_LIMIT);
    edns.set_version(1);
    asked.set_edns(edns);
    let reply = answer(&asked);
    // This number has another meaning too.
    assert_eq!(u16::from(reply.metadata.response_code), u16::from(ResponseCode::BADVERS));
    assert!(reply.answers.is_empty());
}

#[test]
fn what_is_no_question_is_refused_or_ignored() {
    let good = question("shop.apps.example.com.", RecordType::A).to_vec().unwrap();
    let whole = |bytes: &[u8]| answer_bytes(bytes, Transport::Udp, Extent::Whole);
    let mut reply = good.clone();
    reply[2] |= 0x80;
    for ignored in [&good[..11], &reply[..], b""] {
        assert_eq!(whole(ignored), None);
    }
    let (mut update, mut two, mut none) = (good.clone(), good.clone(), good.clone());
    update[2] |= 5 << 3;
    two[5] = 2;
    none[5] = 0;
    for (bytes, code) in [
        (update, ResponseCode::NotImp),
        (two, ResponseCode::FormErr),
        (none, ResponseCode::FormErr),
        (good[..20].to_vec(), ResponseCode::FormErr),
    ] {
        let reply = Message::from_vec(&whole(&bytes).unwrap()).unwrap();
        assert_eq!((reply.metadata.id, reply.metadata.response_code), (4711, code));
    }
}

#[test]
fn what_is_too_long_is_asked_for_over_tcp() {
    let many = |count: u16| (0..count).map(|n| format!("{n:043}")).collect::<BTreeSet<_>>();
    let name = "_acme-challenge.apps.example.com";
    let challenges =
        Challenges { txt: BTreeMap::from([(name.to_owned(), many(100))]), ..Challenges::default() };
    let authority = Authority::new(zone()).unwrap();
    let bytes = question(&format!("{name}."), RecordType::TXT).to_vec().unwrap();
    let ask = |transport, extent| {
        let reply = authority.answer(&bytes, transport, extent, &challenges).unwrap();
        (reply.len(), Message::from_vec(&reply).unwrap())
    };
    let (length, cut) = ask(Transport::Udp, Extent::Whole);
    assert!(length <= bytes.len() && cut.metadata.truncation && cut.answers.is_empty());
    let (_, whole) = ask(Transport::Tcp, Extent::Whole);
    assert_eq!((whole.metadata.truncation, whole.answers.len()), (false, 100));
    let small = question("shop.apps.example.com.", RecordType::A).to_vec().unwrap();
    let denied = answer_bytes(&small, Transport::Udp, Extent::Truncated).unwrap();
    assert!(denied.len() <= small.len(), "it makes nothing larger");
    assert!(Message::from_vec(&denied).unwrap().metadata.truncation);
}

#[test]
fn a_name_that_is_none_is_no_zone() {
    let name = format!("{}.example.com", "a".repeat(64));
    assert!(Authority::new(Zone { name, ..zone() }).is_err());
}

/// A question with some of its bytes changed, cut or added.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let names = prop::sample::select(vec![
        "shop.apps.example.com.",
        "_acme-challenge.apps.example.com.",
        "www.example.org.",
    ]);
    let kinds = prop::sample::select(vec![RecordType::A, RecordType::TXT, RecordType::ANY]);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let end = prop::collection::vec(any::<u8>(), 0..40);
    (names, kinds, any::<bool>(), changes, end, any::<prop::sample::Index>()).prop_map(
        |(name, kind, edns, changes, end, cut)| {
            let mut question = question(name, kind);
            if edns {
                question.set_edns(Edns::new());
            }
            let mut bytes = question.to_vec().unwrap();
            bytes.extend(end);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let length = cut.index(bytes.len() * 4);
            bytes.truncate(length.max(12));
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damaged_questions_are_survived(bytes in damaged()) {
        for transport in [Transport::Udp, Transport::Tcp] {
            let Some(reply) = answer_bytes(&bytes, transport, Extent::Whole) else { continue };
            prop_assert!(reply.len() <= usize::from(UDP_LIMIT));
            let parsed = Message::from_vec(&reply).unwrap();
            prop_assert_eq!(parsed.metadata.message_type, MessageType::Response);
            prop_assert_eq!(parsed.metadata.id.to_be_bytes(), [bytes[0], bytes[1]]);
            let ours = Name::from_ascii("apps.example.com.").unwrap();
            for record in &parsed.answers {
                prop_assert!(ours.zone_of(&record.name), "{}", record);
            }
        }
    }

    #[test]
    fn noise_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        answer_bytes(&bytes, Transport::Udp, Extent::Whole);
    }
}
