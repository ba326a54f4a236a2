//! The links of a hyper-schema: which method of which path takes and answers what.

use serde_json::Value;

/// One call that a schema describes.
#[derive(Clone, Debug)]
pub struct Link {
    /// Name of the resource under which it stands.
    pub resource: String,
    /// `List`, `Create` …
    pub title: String,
    /// `GET`, `POST` …
    pub method: String,
    /// `/apps/{app}/domains/{domain}`; `{release.number}` for what is not the identity.
    pub path: String,
    /// Of the request's body.
    pub schema: Option<Value>,
    /// Of the answer.
    pub target: Option<Value>,
    /// Of an answer that is not JSON.
    pub media_type: Option<String>,
    /// Why it is always refused.
    pub refused: Option<String>,
}

/// Returns all links of a document, resource by resource.
#[must_use]
pub fn links(document: &Value) -> Vec<Link> {
    let resources = document["definitions"].as_object().into_iter().flatten();
    let of_resource = |(name, resource): (&String, &Value)| {
        let links = resource["links"].as_array().cloned().unwrap_or_default();
        links.into_iter().map(|link| read(name, &link)).collect::<Vec<_>>()
    };
    resources.flat_map(of_resource).collect()
}

fn read(resource: &str, link: &Value) -> Link {
    let text = |name: &str| link[name].as_str().unwrap_or_default().to_owned();
    Link {
        resource: resource.to_owned(),
        title: text("title"),
        method: text("method"),
        path: plain(&text("href")),
        schema: link.get("schema").cloned(),
        target: link.get("targetSchema").cloned(),
        media_type: link["mediaType"].as_str().map(str::to_owned),
        refused: link["refused"].as_str().map(str::to_owned),
    }
}

/// Returns a template with `{app}` for `{(%23%2Fdefinitions%2Fapp%2Fdefinitions%2Fidentity)}`.
fn plain(href: &str) -> String {
    let segment = |segment: &str| match segment
        .strip_prefix("{(")
        .and_then(|s| s.strip_suffix(")}"))
    {
        Some(reference) => match reference.split("%2F").collect::<Vec<_>>()[..] {
            [_, "definitions", resource, "definitions", "identity"] => format!("{{{resource}}}"),
            [_, "definitions", resource, "definitions", field] => format!("{{{resource}.{field}}}"),
            _ => "{}".to_owned(),
        },
        None => segment.to_owned(),
    };
    href.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Returns the links that a request belongs to: several where a document describes one path
/// several times, none where it does not know it. `path` has no query.
#[must_use]
pub fn find<'a>(links: &'a [Link], method: &str, path: &str) -> Vec<&'a Link> {
    let literal = |link: &Link| fit(&link.path, path);
    let of_method = || links.iter().filter(|link| link.method == method);
    let best = of_method().filter_map(literal).max();
    of_method().filter(|link| best.is_some() && literal(link) == best).collect()
}

/// Returns how many parts of the path the template has literally; `None` if it is another path.
fn fit(template: &str, path: &str) -> Option<usize> {
    let (mut templates, mut parts) = (template.split('/'), path.split('/'));
    let mut literal = 0;
    loop {
        match (templates.next(), parts.next()) {
            (None, None) => return Some(literal),
            (Some(template), Some(part)) if template == part => literal += 1,
            (Some(template), Some(part)) if template.starts_with('{') && !part.is_empty() => {}
            _ => return None,
        }
    }
}

/// Whether two templates mean the same paths, whatever their parameters are called. Where Heroku
/// has `{account}`, `~` is meant too.
#[must_use]
pub fn same_path(one: &str, other: &str) -> bool {
    let is_parameter = |part: &str| part.starts_with('{') || part == "~";
    let (one, other): (Vec<_>, Vec<_>) = (one.split('/').collect(), other.split('/').collect());
    one.len() == other.len()
        && one.iter().zip(&other).all(|(a, b)| a == b || (is_parameter(a) && is_parameter(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(method: &str, path: &str) -> Link {
        read("x", &serde_json::json!({"method": method, "href": path, "title": path}))
    }

    #[test]
    fn templates_of_the_published_schema_become_plain() {
        let app = "{(%23%2Fdefinitions%2Fapp%2Fdefinitions%2Fidentity)}";
        assert_eq!(plain(&format!("/apps/{app}/acm")), "/apps/{app}/acm");
        let number = "{(%23%2Fdefinitions%2Ftest-run%2Fdefinitions%2Fnumber)}";
        assert_eq!(plain(&format!("/x/{number}")), "/x/{test-run.number}");
        assert_eq!(plain("/apps/{app}"), "/apps/{app}");
    }

    #[test]
    fn the_most_literal_path_wins() {
        let links = [
            link("GET", "/apps/{app}"),
            link("GET", "/apps/{app}/{x}"),
            link("GET", "/apps/{app}/acm"),
            link("PATCH", "/apps/{app}"),
        ];
        let found = |method, path| -> Vec<String> {
            find(&links, method, path).iter().map(|link| link.title.clone()).collect()
        };
        assert_eq!(found("GET", "/apps/demo"), ["/apps/{app}"]);
        assert_eq!(found("GET", "/apps/demo/acm"), ["/apps/{app}/acm"]);
        assert_eq!(found("GET", "/apps/demo/other"), ["/apps/{app}/{x}"]);
        assert_eq!(found("GET", "/apps/"), Vec::<String>::new());
        assert_eq!(found("DELETE", "/apps/demo"), Vec::<String>::new());
        assert!(same_path("/users/{account}/apps", "/users/~/apps"));
        assert!(!same_path("/users/{account}", "/users/{user}/apps"));
    }
}
