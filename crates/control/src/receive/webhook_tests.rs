use super::*;

/// GitHub's own example.
const SECRET: &str = "It's a Secret to Everybody";
const BODY: &[u8] = b"Hello, World!";
const DIGITS: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn signed(headers: &[(&str, &str)], body: &[u8]) -> bool {
    let header = |wanted: &str| {
        headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
    };
    is_signed(SECRET, &header, body)
}

#[test]
fn each_host_is_known_by_its_signature() {
    let github = format!("sha256={DIGITS}");
    let upper = DIGITS.to_ascii_uppercase();
    for headers in [
        vec![("x-hub-signature-256", github.as_str())],
        vec![("x-gitea-signature", DIGITS)],
        vec![("x-forgejo-signature", upper.as_str())],
        vec![("x-gitlab-token", SECRET)],
        vec![("x-hub-signature-256", github.as_str()), ("x-gitea-signature", DIGITS)],
    ] {
        assert!(signed(&headers, BODY), "{headers:?}");
    }
}

#[test]
fn nothing_else_is_a_signature() {
    let github = format!("sha256={DIGITS}");
    let other = format!("sha256={}", DIGITS.replace('7', "8"));
    let cut = format!("sha256={}", &DIGITS[..62]);
    for headers in [
        vec![],
        vec![("x-hub-signature-256", "")],
        vec![("x-hub-signature-256", "sha256=")],
        vec![("x-hub-signature-256", DIGITS)],
        vec![("x-hub-signature-256", other.as_str())],
        vec![("x-hub-signature-256", cut.as_str())],
        vec![("x-hub-signature-256", "sha256=größe")],
        vec![("x-hub-signature", "sha1=00")],
        vec![("x-gitea-signature", github.as_str())],
        vec![("x-gitlab-token", "")],
        vec![("x-gitlab-token", "It's a Secret to Everybod")],
        vec![("x-gitlab-token", DIGITS)],
        // One that is right does not outweigh one that is wrong.
        vec![("x-hub-signature-256", github.as_str()), ("x-gitlab-token", "guess")],
        vec![("x-hub-signature-256", other.as_str()), ("x-gitea-signature", DIGITS)],
    ] {
        assert!(!signed(&headers, BODY), "{headers:?}");
    }
    assert!(!signed(&[("x-hub-signature-256", &github)], b"Hello, World"), "another body");
}

fn decided(event: Option<&str>, reference: Option<&str>, body: &str) -> &'static str {
    let source = GitSource { url: "https://x/y".into(), reference: reference.map(str::to_owned) };
    match decide(event, &source, body.as_bytes()) {
        Ok(WebhookAnswer::Started(_)) => "started",
        Ok(WebhookAnswer::Ignored(why)) if why.starts_with("pong") => "pong",
        Ok(WebhookAnswer::Ignored(_)) => "ignored",
        Ok(WebhookAnswer::Refused) => "refused",
        Err(_) => "invalid",
    }
}

#[test]
fn only_pushes_to_what_is_deployed_start_anything() {
    let main =
        r#"{"ref": "refs/heads/main", "after": "12", "repository": {"default_branch": "main"}}"#;
    let dev =
        r#"{"ref": "refs/heads/dev", "after": "12", "repository": {"default_branch": "main"}}"#;
    let gitlab = r#"{"ref": "refs/heads/main", "project": {"default_branch": "main"}, "repository": {"name": "x"}}"#;
    let tag = r#"{"ref": "refs/tags/v1", "after": "12", "repository": {"default_branch": "main"}}"#;
    let gone = r#"{"ref": "refs/heads/main", "after": "0000", "deleted": true}"#;
    for (event, reference, body, expected) in [
        (Some("push"), None, main, "started"),
        (Some("push"), Some("main"), main, "started"),
        (Some("push"), Some("refs/heads/main"), main, "started"),
        (None, None, main, "started"),
        (Some("Push Hook"), None, gitlab, "started"),
        (Some("Tag Push Hook"), Some("v1"), tag, "started"),
        (Some("push"), None, tag, "ignored"),
        (Some("push"), None, dev, "ignored"),
        (Some("push"), Some("dev"), dev, "started"),
        (Some("push"), Some("dev"), main, "ignored"),
        (Some("push"), Some("main"), gone, "ignored"),
        (Some("push"), Some("main"), "{}", "ignored"),
        (Some("ping"), None, "payload=x", "pong"),
        (Some("issues"), None, main, "ignored"),
        (Some("push"), None, "payload=%7B%7D", "invalid"),
        (Some("push"), None, r#"{"ref": 1}"#, "invalid"),
    ] {
        assert_eq!(decided(event, reference, body), expected, "{event:?} {reference:?} {body}");
    }
}
