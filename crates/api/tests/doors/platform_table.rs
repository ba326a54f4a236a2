//! docs/reference/platform-api.md: what becomes of each link of Heroku's published schema.

use std::collections::BTreeMap;
use std::fmt::Write;
use windlass_api::{REFUSALS, endpoints};
use windlass_testkit::schema::{Link, own, published, same_path};

/// Calls that only make sense between Heroku and those who sell on it, or in its own dashboard.
const NOT_APPLICABLE: &[(&str, &[&str])] = &[(
    "for providers of add-ons, who sell on Heroku",
    &[
        "add-on-action",
        "add-on-plan-action",
        "add-on-config",
        "add-on-region-capability",
        "add-on-webhook",
        "add-on-webhook-delivery",
        "add-on-webhook-event",
        "allowed-add-on-service",
    ],
)];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Implemented,
    Refused,
    NotApplicable,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Implemented => "implemented",
            Self::Refused => "refused on purpose",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// Returns what becomes of a link, and why if it is not implemented.
fn state(link: &Link) -> Option<(State, &'static str)> {
    let is_link = |method: &str, path: &str| method == link.method && same_path(path, &link.path);
    let not_applicable =
        NOT_APPLICABLE.iter().find(|(_, resources)| resources.contains(&link.resource.as_str()));
    if let Some((reason, _)) = not_applicable {
        return Some((State::NotApplicable, reason));
    }
    let refusal = REFUSALS
        .iter()
        .find(|refusal| refusal.endpoints().any(|(method, path)| is_link(method, path)));
    if let Some(refusal) = refusal {
        return Some((State::Refused, refusal.sentence));
    }
    let ours = own().links.iter().find(|ours| is_link(&ours.method, &ours.path))?;
    Some(match &ours.refused {
        Some(sentence) => (State::Refused, sentence),
        None => (State::Implemented, ""),
    })
}

fn page(links: &[Link]) -> Result<String, String> {
    let mut missing = String::new();
    let (mut rows, mut counts): (BTreeMap<&str, String>, BTreeMap<State, usize>) =
        Default::default();
    for link in links {
        let Some((state, reason)) = state(link) else {
            let _ = write!(missing, "\n  {} {} ({})", link.method, link.path, link.resource);
            continue;
        };
        *counts.entry(state).or_default() += 1;
        let words = if reason.is_empty() {
            state.word().to_owned()
        } else {
            format!("{}: {reason}", state.word())
        };
        let row = rows.entry(&link.resource).or_default();
        let _ = writeln!(row, "| `{} {}` | {words} |", link.method, link.path);
    }
    if !missing.is_empty() {
        return Err(format!(
            "these are neither served nor refused (src/heroku/refusals.rs) nor in NOT_APPLICABLE:{missing}"
        ));
    }
    let ours = endpoints()
        .iter()
        .filter(|endpoint| {
            let called = |link: &&Link| {
                link.method == endpoint.method.as_str() && same_path(&link.path, &endpoint.path)
            };
            !links.iter().any(|link| called(&link)) && own().links.iter().any(|link| called(&link))
        })
        .count();
    let mut page = String::from(HEAD);
    let _ = writeln!(page, "\n| | links |\n| --- | ---: |");
    for (state, count) in &counts {
        let _ = writeln!(page, "| {} | {count} |", state.word());
    }
    let _ = writeln!(page, "| all | {} |", links.len());
    let _ = writeln!(
        page,
        "\nBeside these there are {ours} calls that Heroku's published schema does not have."
    );
    for (resource, rows) in rows {
        let _ = write!(page, "\n## {resource}\n\n| Call | State |\n| --- | --- |\n{rows}");
    }
    Ok(page)
}

const HEAD: &str = "# Heroku's Platform API, call by call

Every call of Heroku's published Platform API schema and what this server does with it. *Implemented*: answered with the shape \
that clients know; every answer in the tests is checked against that schema. *Refused on purpose*: answered with an error \
and a sentence such as the one beside it; most have the id `not_supported_here`, others the `not_found` that clients look for. \
*Not applicable*: answered with `not_found`, for there is nobody here who would call it.

The whole API, what is ours alone included, is described by the server itself: `GET /schema` (JSON hyper-schema) and \
`GET /openapi.json` (OpenAPI 3.1), both without a token.

This page is made by `WINDLASS_WRITE_DOCS=1 cargo test -p windlass-api --test doors platform_table`.
";

#[test]
fn the_page_is_up_to_date() {
    let Some(published) = published() else { return };
    let expected = page(&published.links).unwrap_or_else(|missing| panic!("{missing}"));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/platform-api.md");
    if std::env::var_os("WINDLASS_WRITE_DOCS").is_some() {
        std::fs::write(file, &expected).unwrap();
    }
    let found = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        found == expected,
        "docs/reference/platform-api.md is out of date; it says how it is made"
    );
}
