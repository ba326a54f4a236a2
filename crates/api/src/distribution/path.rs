//! Paths of the registry: taken apart and checked before anything is looked up.

use super::error::Refusal;
use http::StatusCode;
use windlass_control::distribution::Reference;
use windlass_core::ids::Digest;
use windlass_core::names::ProcessType;

/// The longest tag.
const TAG: usize = 128;

/// A repository as the path names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) app: &'a str,
    pub(super) process: ProcessType,
}

/// What of a repository is meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Manifest(Reference),
    Tags,
    Blob(Digest),
    Uploads,
    Upload(String),
}

/// Takes a path below `/v2/` apart.
pub(super) fn parse(path: &str) -> Result<(Named<'_>, Target), Refusal> {
    let rest = path.strip_prefix("/v2/").unwrap_or_default();
    let parts: Vec<&str> = rest.split('/').collect();
    let (name, target) = match parts.as_slice() {
        [name @ .., "tags", "list"] => (name, Target::Tags),
        [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
            (name, Target::Uploads)
        }
        [name @ .., "blobs", "uploads", id] => (name, Target::Upload((*id).to_owned())),
        [name @ .., "blobs", digest] => (name, Target::Blob(read_digest(digest)?)),
        [name @ .., "manifests", reference] => (name, Target::Manifest(read_reference(reference)?)),
        _ => {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "UNSUPPORTED",
                "the registry has no such endpoint",
            ));
        }
    };
    Ok((repository(name)?, target))
}

fn repository<'a>(name: &[&'a str]) -> Result<Named<'a>, Refusal> {
    let invalid = || {
        let name = name.join("/");
        let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "NAME_INVALID",
            format!(
                "{name:?} is no repository here: they are named APP/TYPE, for example shop/web"
            ),
        )
    };
    let [app, process] = name else { return Err(invalid()) };
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if !is_name(app) {
        return Err(invalid());
    }
    Ok(Named { app, process: process.parse().map_err(|_| invalid())? })
}

fn read_reference(text: &str) -> Result<Reference, Refusal> {
    if text.contains(':') || text.contains('%') {
        return read_digest(text).map(Reference::Digest);
    }
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let all = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !first || !all || text.len() > TAG {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "TAG_INVALID",
            "a tag has at most 128 letters, digits and ._-",
        ));
    }
    Ok(Reference::Tag(text.to_owned()))
}

/// Reads a digest, whose colon some clients encode.
pub(super) fn read_digest(text: &str) -> Result<Digest, Refusal> {
    let plain = text.replace("%3A", ":").replace("%3a", ":");
    plain.parse().map_err(|_| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "DIGEST_INVALID",
            "a digest is sha256: and 64 hexadecimal digits here",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn every_endpoint_of_the_specification_is_understood() {
        let digest: Digest = format!("sha256:{HEX}").parse().unwrap();
        for (path, expected) in [
            ("tags/list".to_owned(), Target::Tags),
            ("blobs/uploads/".to_owned(), Target::Uploads),
            ("blobs/uploads".to_owned(), Target::Uploads),
            ("blobs/uploads/abc".to_owned(), Target::Upload("abc".into())),
            (format!("blobs/sha256:{HEX}"), Target::Blob(digest.clone())),
            (format!("blobs/sha256%3A{HEX}"), Target::Blob(digest.clone())),
            ("manifests/v1.2".to_owned(), Target::Manifest(Reference::Tag("v1.2".into()))),
            (format!("manifests/sha256:{HEX}"), Target::Manifest(Reference::Digest(digest))),
        ] {
            let path = format!("/v2/shop/web/{path}");
            let (named, target) = parse(&path).unwrap();
            assert_eq!((named.app, named.process.as_str(), target), ("shop", "web", expected));
        }
    }

    #[test]
    fn names_and_references_with_tricks_in_them_are_refused() {
        for (path, code) in [
            ("shop/manifests/latest", "NAME_INVALID"),
            ("a/b/c/manifests/latest", "NAME_INVALID"),
            ("../web/manifests/latest", "NAME_INVALID"),
            ("shop/../manifests/latest", "NAME_INVALID"),
            ("shop/%2e%2e/manifests/latest", "NAME_INVALID"),
            ("shop//manifests/latest", "NAME_INVALID"),
            ("/web/manifests/latest", "NAME_INVALID"),
            ("shop/web%00/tags/list", "NAME_INVALID"),
            ("shop/web/manifests/..", "TAG_INVALID"),
            ("shop/web/manifests/", "TAG_INVALID"),
            ("shop/web/manifests/-x", "TAG_INVALID"),
            ("shop/web/manifests/%2e%2e%2fx", "DIGEST_INVALID"),
            ("shop/web/blobs/sha256:../../etc/passwd", "UNSUPPORTED"),
            ("shop/web/blobs/sha256:..", "DIGEST_INVALID"),
            ("shop/web/blobs/sha512:aa", "DIGEST_INVALID"),
            ("_catalog", "UNSUPPORTED"),
            ("shop/web", "UNSUPPORTED"),
        ] {
            let refused = parse(&format!("/v2/{path}")).unwrap_err();
            assert_eq!(refused.code, code, "{path}");
        }
        let long = format!("/v2/shop/web/manifests/{}", "x".repeat(129));
        assert_eq!(parse(&long).unwrap_err().code, "TAG_INVALID");
    }
}
