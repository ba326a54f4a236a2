//! Rules on headers, ready for use.

use http::{HeaderMap, HeaderName, HeaderValue};
use windlass_core::routing_settings::HeaderRules;

/// One rule: the header gets this value, or is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderRule {
    pub name: HeaderName,
    pub value: Option<HeaderValue>,
}

/// Returns the rules that were checked when they were set; one that cannot be used is left out.
pub(super) fn rules(rules: &HeaderRules) -> Vec<HeaderRule> {
    let rule = |(name, value): (&str, Option<&str>)| {
        let name = HeaderName::try_from(name).ok()?;
        let value = value.map(HeaderValue::try_from).transpose().ok()?;
        Some(HeaderRule { name, value })
    };
    rules.iter().filter_map(rule).collect()
}

pub(super) fn apply(rules: &[HeaderRule], map: &mut HeaderMap) {
    for rule in rules {
        match &rule.value {
            Some(value) => drop(map.insert(rule.name.clone(), value.clone())),
            None => drop(map.remove(&rule.name)),
        }
    }
}
