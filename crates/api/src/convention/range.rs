//! Lists in pieces: the `Range` header, `206 Partial Content` and `Next-Range`.
//!
//! `Range: <field> [from]..[to][; order=asc|desc][,max=N]`: items sorted by a field, between two of
//! its values (`]from` starts after it), at most `max` of them. Clients write the separators as
//! they like, send an empty header, or name a field that is not there; none of it is an error.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, RANGE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;
use std::cmp::Ordering;
use std::convert::Infallible;

const DEFAULT_MAXIMUM: usize = 200;
const MAXIMUM: usize = 1_000;

/// What part of a list the client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RangeHeader {
    field: Option<String>,
    from: Option<String>,
    after_from: bool,
    to: Option<String>,
    descending: bool,
    maximum: usize,
}

impl<S: Sync> FromRequestParts<S> for RangeHeader {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let text = parts.headers.get(RANGE).and_then(|value| value.to_str().ok());
        Ok(Self::parse(text.unwrap_or_default()))
    }
}

impl RangeHeader {
    fn parse(text: &str) -> Self {
        let mut range = Self {
            field: None,
            from: None,
            after_from: false,
            to: None,
            descending: false,
            maximum: DEFAULT_MAXIMUM,
        };
        let (head, parameters) = text.split_once(';').unwrap_or((text, ""));
        range.read_bounds(head.trim());
        for parameter in parameters.split([';', ',']) {
            match parameter.trim().split_once('=') {
                Some(("order", order)) => {
                    range.descending = order.trim().eq_ignore_ascii_case("desc")
                }
                Some(("max", maximum)) => {
                    let maximum = maximum.trim().parse().unwrap_or(DEFAULT_MAXIMUM);
                    range.maximum = maximum.clamp(1, MAXIMUM);
                }
                _ => {}
            }
        }
        range
    }

    fn read_bounds(&mut self, head: &str) {
        let (field, bounds) = head.split_once(char::is_whitespace).unwrap_or((head, ""));
        if field.is_empty() || field.contains("..") {
            return;
        }
        self.field = Some(field.to_owned());
        let Some((from, to)) = bounds.trim().split_once("..") else { return };
        let (from, to) = (from.trim(), to.trim().trim_end_matches('['));
        self.after_from = from.starts_with(']');
        let from = from.trim_start_matches([']', '[']);
        self.from = (!from.is_empty()).then(|| from.to_owned());
        self.to = (!to.is_empty()).then(|| to.trim_end_matches(']').to_owned());
    }

    /// Returns how many of the newest items answer this request, when items come newest first and
    /// `fields` rise from old to new; `u32::MAX` when all are needed.
    pub(crate) fn newest(&self, fields: &[&str]) -> u32 {
        let by_age = self.field.as_deref().is_some_and(|field| fields.contains(&field));
        if by_age && self.descending && self.from.is_none() && self.to.is_none() {
            // One more tells whether there is more.
            u32::try_from(self.maximum + 1).unwrap_or(u32::MAX)
        } else {
            u32::MAX
        }
    }

    /// Answers with the wanted part of `items`.
    pub(crate) fn answer<T: Serialize>(&self, items: Vec<T>) -> Response {
        let values: Result<Vec<Value>, _> = items.into_iter().map(serde_json::to_value).collect();
        match values {
            Ok(values) => self.page(values).into_response(),
            Err(error) => {
                tracing::error!(%error, "a list could not be written as JSON");
                super::ApiError::internal().into_response()
            }
        }
    }

    fn page(&self, mut values: Vec<Value>) -> Page {
        let all_have = |field: &str| values.iter().all(|value| value.get(field).is_some());
        let wanted = self.field.as_deref().filter(|field| all_have(field));
        // A list too long for one page needs an order to go on by.
        let field =
            wanted.or_else(|| (values.len() > self.maximum && all_have("id")).then_some("id"));
        let Some(field) = field else { return Page { values, next: None } };
        // Equal ones stay in the list's own order, which has the newest first.
        values.sort_by(|a, b| match self.descending {
            true => compare(&b[field], &a[field]),
            false => compare(&a[field], &b[field]),
        });
        if wanted.is_some() {
            values.retain(|value| self.contains(&value[field]));
        }
        let total = values.len();
        let mut end = total.min(self.maximum);
        // Equal values must not be torn apart: the next page starts after the last one's value.
        while 0 < end && end < total && values[end][field] == values[end - 1][field] {
            end += 1;
        }
        values.truncate(end);
        let next = if end < total { self.next(field, &values) } else { None };
        Page { values, next }
    }

    fn contains(&self, value: &Value) -> bool {
        // In descending order the range starts at its upper end.
        let towards_end = if self.descending { Ordering::Less } else { Ordering::Greater };
        let after_start = self.from.as_deref().is_none_or(|from| {
            let order = compare_text(value, from);
            order == towards_end || (order == Ordering::Equal && !self.after_from)
        });
        let before_end = self.to.as_deref().is_none_or(|to| compare_text(value, to) != towards_end);
        after_start && before_end
    }

    /// Returns `Content-Range` and `Next-Range` for a page after which there is more.
    fn next(&self, field: &str, page: &[Value]) -> Option<(String, String)> {
        let (first, last) = (text(&page.first()?[field]), text(&page.last()?[field]));
        let to = self.to.as_deref().unwrap_or_default();
        let order = if self.descending { ", order=desc" } else { "" };
        let next = format!("{field} ]{last}..{to}; max={}{order}", self.maximum);
        Some((format!("{field} {first}..{last}"), next))
    }
}

struct Page {
    values: Vec<Value>,
    next: Option<(String, String)>,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let sortable = sortable(&self.values);
        let mut response = Json(self.values).into_response();
        let headers = response.headers_mut();
        if let Some(value) = sortable.and_then(|fields| HeaderValue::from_str(&fields).ok()) {
            headers.insert(ACCEPT_RANGES, value);
        }
        if let Some((content, next)) = self.next
            && let (Ok(content), Ok(next)) =
                (HeaderValue::from_str(&content), HeaderValue::from_str(&next))
        {
            headers.insert(CONTENT_RANGE, content);
            headers.insert("next-range", next);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    }
}

/// Returns the fields by which a list like this can be sorted.
fn sortable(values: &[Value]) -> Option<String> {
    let first = values.first()?.as_object()?;
    let plain = first.iter().filter(|(_, value)| value.is_string() || value.is_number());
    Some(plain.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "))
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => text(a).cmp(&text(b)),
    }
}

fn compare_text(value: &Value, bound: &str) -> Ordering {
    match (value.as_f64(), bound.parse::<f64>()) {
        (Some(value), Ok(bound)) => value.total_cmp(&bound),
        _ => text(value).as_str().cmp(bound),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
