//! Why a registry gave no image: buildah's words turned into one line that says what to do.

use super::reference::ImageReference;
use windlass_oci::architecture;

/// Returns the line for an image that could not be pulled. `has_login` says whether a login to its
/// registry is stored.
pub(crate) fn pull_failed(reference: &ImageReference, said: &str, has_login: bool) -> String {
    let host = reference.host().unwrap_or("its registry");
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    // Before the password: some registries say "denied" of what is not there.
    if has(&["manifest unknown", "name unknown", "not known to registry", "404 (Not Found)"]) {
        return format!("There is no image {reference}: {host} does not know it.");
    }
    if has(&["no image found in", "choosing an image from manifest list"]) {
        return format!(
            "The image {reference} is not made for this server's processor: there is none for linux/{}.",
            architecture()
        );
    }
    if is_refusal(said) {
        return if has_login {
            format!(
                "{host} refuses {reference} with the login that is stored: check it with `windlass registry:login {host}`, and the image's name."
            )
        } else {
            format!(
                "{host} gives {reference} only to who is logged in: run `windlass registry:login {host}` first."
            )
        };
    }
    if let Some(reason) = unreachable(said) {
        return format!("{host} could not be reached: {reason}.");
    }
    if is_untrusted(said) {
        return untrusted(host);
    }
    if has(&["short-name"]) {
        return format!(
            "{reference} does not say where it is: write HOST/{reference}, or set unqualified-search-registries in /etc/containers/registries.conf on the server."
        );
    }
    format!("The image {reference} could not be pulled: {}.", last_words(said))
}

/// Returns the line for a login that did not work.
pub(super) fn login_failed(host: &str, said: &str) -> String {
    if is_refusal(said) {
        return format!("{host} refuses this user name and password.");
    }
    if let Some(reason) = unreachable(said) {
        return format!("{host} could not be reached: {reason}.");
    }
    if is_untrusted(said) {
        return untrusted(host);
    }
    format!("{host} does not answer as a registry does: {}.", last_words(said))
}

fn is_refusal(said: &str) -> bool {
    let words = [
        "invalid username/password",
        "unauthorized",
        "authentication required",
        "denied",
        "401 (Unauthorized)",
        "403 (Forbidden)",
    ];
    words.iter().any(|word| said.contains(word))
}

fn unreachable(said: &str) -> Option<&'static str> {
    let reasons = [
        ("connection refused", "nothing listens there"),
        ("no such host", "there is no such host"),
        ("server misbehaving", "its name could not be looked up"),
        ("network is unreachable", "there is no way to it"),
        ("no route to host", "there is no way to it"),
        ("i/o timeout", "it does not answer"),
        ("deadline exceeded", "it does not answer"),
        ("connection reset", "it closed the connection"),
    ];
    reasons.iter().find(|(words, _)| said.contains(words)).map(|(_, reason)| *reason)
}

fn is_untrusted(said: &str) -> bool {
    ["server gave HTTP response to HTTPS client", "x509:", "tls:"]
        .iter()
        .any(|words| said.contains(words))
}

fn untrusted(host: &str) -> String {
    format!(
        "{host} does not prove who it is (plain HTTP, or a certificate that cannot be checked): if that is as it should be, `windlass registry:login {host} --insecure`."
    )
}

/// Returns the last line that says something, without what stands before it for every error.
fn last_words(said: &str) -> &str {
    let line = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    let line = line.unwrap_or("buildah did not say why");
    line.strip_prefix("Error: ").unwrap_or(line).trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As buildah 1.28 says it.
    const PULLS: &[(&str, &str)] = &[
        (
            "Error: initializing source docker://h:5000/a:2: reading manifest 2 in h:5000/a: manifest unknown: manifest unknown",
            "There is no image h:5000/a:1",
        ),
        (
            "Error: choosing an image from manifest list docker://h:5000/a:1: no image found in image index for architecture amd64, variant \"\", OS linux",
            "is not made for this server's processor",
        ),
        (
            "Error: initializing source docker://h:5000/a:1: reading manifest 1 in h:5000/a: unauthorized: authentication required",
            "run `windlass registry:login h:5000` first",
        ),
        (
            "Error: initializing source docker://h:5000/a:1: pinging container registry h:5000: Get \"http://h:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused",
            "h:5000 could not be reached: nothing listens there.",
        ),
        (
            "Error: pinging container registry h:5000: Get \"https://h:5000/v2/\": http: server gave HTTP response to HTTPS client",
            "`windlass registry:login h:5000 --insecure`",
        ),
        ("Trying\nError: something else.\n\n", "could not be pulled: something else."),
        ("", "could not be pulled: buildah did not say why."),
    ];

    #[test]
    fn each_reason_is_one_line_that_says_what_to_do() {
        let reference = ImageReference::parse("h:5000/a:1").unwrap();
        for (said, expected) in PULLS {
            let line = pull_failed(&reference, said, false);
            assert!(line.contains(expected) && line.lines().count() == 1, "{line}");
        }
        let line = pull_failed(&reference, PULLS[2].0, true);
        assert!(line.contains("with the login that is stored"), "{line}");
        let short = ImageReference::parse("app:1").unwrap();
        let line = pull_failed(&short, "Error: short-name \"app:1\" did not resolve", false);
        assert!(line.contains("write HOST/app:1"), "{line}");
    }

    #[test]
    fn a_login_says_whether_the_password_is_wrong() {
        for (said, expected) in [
            ("Error: logging into \"h\": invalid username/password", "h refuses this user name"),
            ("Error: lookup h on 10.0.0.1:53: no such host", "there is no such host"),
            ("Error: x509: certificate signed by unknown authority", "--insecure"),
            ("Error: strange", "does not answer as a registry does: strange."),
        ] {
            let line = login_failed("h", said);
            assert!(line.contains(expected) && line.lines().count() == 1, "{line}");
        }
    }
}
