use super::*;
use crate::ids::AppId;

const NOW: u64 = 1_800_000_000_000;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn failing(kind: FailureKind, times: u32) -> CertificateState {
    let mut state = CertificateState::default();
    for _ in 0..times {
        state.failed(kind, "why".to_owned(), None, NOW, 0);
    }
    state
}

fn with_certificate(not_before: u64, not_after: u64) -> CertificateState {
    let mut state = CertificateState::default();
    state.issued(not_before, not_after, 0);
    state
}

#[test]
fn what_is_done_next() {
    let fresh = CertificateState::default();
    let checked = CertificateState { checked_at: Some(NOW - MINUTE), ..fresh.clone() };
    let checked_long_ago = CertificateState { checked_at: Some(NOW - 6 * MINUTE), ..fresh.clone() };
    let checked_later = CertificateState { checked_at: Some(NOW + MINUTE), ..fresh.clone() };
    let young = with_certificate(NOW - DAY, NOW + 89 * DAY);
    let due = with_certificate(NOW - 60 * DAY, NOW + 30 * DAY);
    let expired = with_certificate(NOW - 100 * DAY, NOW - 10 * DAY);
    let mut failed_renewal = due.clone();
    failed_renewal.failed(FailureKind::Unavailable, String::new(), None, NOW, 0);
    let table = [
        (fresh, Step::Check),
        (checked, Step::Order),
        (checked_long_ago, Step::Check),
        (checked_later, Step::Check),
        (young, Step::Wait { until: NOW - DAY + 60 * DAY }),
        (due, Step::Check),
        (expired, Step::Check),
        (failed_renewal, Step::Wait { until: NOW + 10 * SECOND }),
        (failing(FailureKind::NotHere, 1), Step::Wait { until: NOW + 15 * SECOND }),
        (failing(FailureKind::NotHere, 3), Step::Wait { until: NOW + MINUTE }),
        (failing(FailureKind::NotHere, 100), Step::Wait { until: NOW + HOUR }),
        (failing(FailureKind::Unavailable, 2), Step::Wait { until: NOW + 20 * SECOND }),
        (failing(FailureKind::Refused, 1), Step::Wait { until: NOW + 15 * MINUTE }),
        (failing(FailureKind::Refused, 20), Step::Wait { until: NOW + DAY }),
        (failing(FailureKind::RateLimited, 1), Step::Wait { until: NOW + HOUR }),
        (failing(FailureKind::RateLimited, 60), Step::Wait { until: NOW + DAY }),
    ];
    for (state, step) in table {
        assert_eq!(next(&state, NOW), step, "{state:?}");
    }
}

#[test]
fn a_certificate_is_renewed_after_two_thirds_of_its_life_with_jitter() {
    let (begin, life) = (NOW, 90 * DAY);
    for (jitter, expected) in
        [(0, 60 * DAY), (Share::MAX, 63 * DAY), (Share::MAX / 2, 61 * DAY + 12 * HOUR)]
    {
        let mut state = failing(FailureKind::Refused, 3);
        state.issued(begin, begin + life, jitter);
        let issued = state.issued.unwrap();
        assert!((begin + expected).abs_diff(issued.renew_at) < MINUTE, "{jitter}: {issued:?}");
        assert_eq!((state.failures, &state.failure, state.checked_at), (0, &None, None));
        assert_eq!(next(&state, issued.renew_at - 1), Step::Wait { until: issued.renew_at });
        assert_eq!(next(&state, issued.renew_at), Step::Check);
    }
    // Lives of seconds, as test authorities have them, and nonsense.
    let short = with_certificate(NOW, NOW + 30 * SECOND).issued.unwrap();
    assert_eq!(short.renew_at, NOW + 20 * SECOND);
    let nonsense = with_certificate(NOW, NOW - DAY).issued.unwrap();
    assert_eq!(nonsense.renew_at, NOW);
}

#[test]
fn the_wait_has_jitter_and_is_never_shorter_than_what_the_authority_asks_for() {
    let waits = |kind, retry_after, jitter| {
        let mut state = CertificateState::default();
        state.failed(kind, String::new(), retry_after, NOW, jitter);
        state.next_at - NOW
    };
    assert_eq!(waits(FailureKind::Refused, None, Share::MAX), 15 * MINUTE + 90 * SECOND);
    assert_eq!(waits(FailureKind::Unavailable, Some(NOW + HOUR), 0), HOUR);
    assert_eq!(waits(FailureKind::RateLimited, Some(NOW + 3 * DAY), 0), 3 * DAY);
    assert_eq!(waits(FailureKind::RateLimited, Some(NOW + SECOND), 0), HOUR);
    assert_eq!(waits(FailureKind::RateLimited, Some(u64::MAX), 0), 7 * DAY);
}

#[test]
fn failures_of_another_kind_begin_anew() {
    let mut state = failing(FailureKind::Refused, 3);
    state.failed(FailureKind::NotHere, "gone".to_owned(), None, NOW, 0);
    assert_eq!((state.failures, state.next_at), (1, NOW + 15 * SECOND));
    assert_eq!(state.failure.as_ref().unwrap().message, "gone");
}

#[test]
fn a_failed_order_is_checked_again_before_the_next() {
    let mut state = CertificateState::default();
    state.checked(NOW);
    assert_eq!(next(&state, NOW), Step::Order);
    state.failed(FailureKind::Unavailable, String::new(), None, NOW, 0);
    assert_eq!(next(&state, NOW + 10 * SECOND), Step::Check);
}

#[test]
fn a_person_can_bring_an_attempt_forward_but_not_what_the_authority_counts() {
    let at_once = [
        failing(FailureKind::NotHere, 50),
        failing(FailureKind::Unavailable, 50),
        failing(FailureKind::Refused, 3),
    ];
    for mut state in at_once {
        state.hurry(NOW + SECOND);
        assert_eq!(next(&state, NOW + SECOND), Step::Check, "{state:?}");
    }
    let later = [
        failing(FailureKind::RateLimited, 1),
        failing(FailureKind::Refused, 4),
        with_certificate(NOW - DAY, NOW + 89 * DAY),
    ];
    for mut state in later {
        let before = state.clone();
        state.hurry(NOW + SECOND);
        assert_eq!(state, before);
    }
    let mut due = with_certificate(NOW - 80 * DAY, NOW + 10 * DAY);
    due.failed(FailureKind::Refused, String::new(), None, NOW, 0);
    due.hurry(NOW + SECOND);
    assert_eq!(next(&due, NOW + SECOND), Step::Check);
}

#[test]
fn what_people_are_told() {
    let mut renewing = with_certificate(NOW - 80 * DAY, NOW + 10 * DAY);
    renewing.failed(FailureKind::Unavailable, String::new(), None, NOW, 0);
    let checked = CertificateState { checked_at: Some(NOW), ..CertificateState::default() };
    let table = [
        (CertificateState::default(), None),
        (checked, Some("verified")),
        (with_certificate(NOW - DAY, NOW + DAY), Some("cert issued")),
        (with_certificate(NOW - DAY, NOW), Some("failed")),
        (renewing, Some("failing")),
        (failing(FailureKind::NotHere, 1), Some("failing")),
        (failing(FailureKind::NotHere, 50), Some("failing")),
        (failing(FailureKind::Refused, 1), Some("failing")),
        (failing(FailureKind::Refused, 4), Some("failed")),
    ];
    for (state, expected) in table {
        assert_eq!(state.status(NOW).as_str(), expected, "{state:?}");
    }
}

#[test]
fn another_way_is_tried_after_a_refusal() {
    use ChallengeKind::{Http01, TlsAlpn01};
    let ways = [Http01, TlsAlpn01];
    let chosen = |state: &CertificateState| choose(&ways, state);
    assert_eq!(chosen(&CertificateState::default()), Some(Http01));
    assert_eq!(chosen(&failing(FailureKind::Refused, 1)), Some(TlsAlpn01));
    assert_eq!(chosen(&failing(FailureKind::Refused, 2)), Some(Http01));
    assert_eq!(chosen(&failing(FailureKind::Unavailable, 1)), Some(Http01));
    assert_eq!(choose(&[], &CertificateState::default()), None);
}

#[test]
fn failures_are_known_by_their_names() {
    for kind in [
        FailureKind::NotHere,
        FailureKind::Unavailable,
        FailureKind::Refused,
        FailureKind::RateLimited,
    ] {
        assert_eq!(kind.as_str().parse::<FailureKind>().unwrap(), kind);
    }
    assert!("other".parse::<FailureKind>().is_err());
}

fn names(zone: Option<&str>, domain: &str, domains: &[&str]) -> Names {
    Names {
        platform_domain: domain.to_owned(),
        zone: zone.map(str::to_owned),
        apps: vec![AppNames {
            app: AppId::random(),
            default_host: format!("shop.{domain}"),
            domains: domains.iter().map(ToString::to_string).collect(),
        }],
    }
}

fn wanted(names: &Names) -> Vec<(String, &'static str)> {
    let way = |way: &Way| match way {
        Way::Request => "request",
        Way::Zone => "zone",
        Way::Impossible(_) => "impossible",
    };
    subjects(names).iter().map(|s| (s.names.join(" "), way(&s.way))).collect()
}

#[test]
fn which_certificates_are_wanted() {
    let own = |text: &str, way| (text.to_owned(), way);
    let added = ["www.example.org", "*.example.org", "a.localhost"];
    assert_eq!(wanted(&names(None, "localhost", &[])), []);
    assert_eq!(
        wanted(&names(None, "apps.example.com", &added)),
        [
            own("shop.apps.example.com", "request"),
            own("www.example.org", "request"),
            own("*.example.org", "impossible"),
        ]
    );
    let with_zone = names(Some("example.com"), "apps.example.com", &["*.x.example.com", "y.com"]);
    assert_eq!(
        wanted(&with_zone),
        [
            own("*.apps.example.com apps.example.com", "zone"),
            own("*.x.example.com", "zone"),
            own("y.com", "request"),
        ]
    );
    // An ending alone does not make a name part of a zone.
    assert_eq!(
        wanted(&names(Some("example.com"), "notexample.com", &[])),
        [own("shop.notexample.com", "request")]
    );
    let nobody = Names { apps: Vec::new(), ..with_zone };
    assert_eq!(wanted(&nobody), []);
}
