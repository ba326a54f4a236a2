//! What Heroku's CLI, git and Node have to be told.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// Environment variables, in the order in which they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exports(Vec<(String, String)>);

impl Exports {
    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns lines for a shell: `export NAME='value'`.
    #[must_use]
    pub fn for_shell(&self) -> String {
        let mut lines = String::new();
        for (name, value) in self.iter() {
            let _ = writeln!(lines, "export {name}={}", quoted(value));
        }
        lines
    }
}

/// Files of certificates.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The root certificate alone.
    pub authority: PathBuf,
    /// It, and what Node trusted beside its own certificates before.
    pub node: PathBuf,
    /// It, and what git was told to trust by `GIT_SSL_CAINFO`; `None` where that was not set.
    pub git: Option<PathBuf>,
}

/// Returns the variables that lead clients to `https://localhost:<port>`.
///
/// `credentials` is the helper that git asks, as git takes it. `before` is the environment as it
/// is: lists in it are gone on with.
#[must_use]
pub fn exports(
    port: u16,
    files: &CertificateFiles,
    credentials: &str,
    before: &BTreeMap<String, String>,
) -> Exports {
    let host = format!("localhost:{port}");
    let url = format!("https://{host}");
    let mut list = Vec::new();
    let mut set = |name: &str, value: &str| list.push((name.to_owned(), value.to_owned()));
    set("HEROKU_HOST", &url);
    for name in [
        // Requests about accounts are doubled there, with the token.
        "HEROKU_PARTICLEBOARD_URL",
        "HEROKU_BUILDPACK_REGISTRY_URL",
        "HEROKU_STATUS_HOST",
        "HEROKU_LOGIN_HOST",
        "HEROKU_EXEC_URL",
    ] {
        set(name, &url);
    }
    // Names without a port: the API's is taken.
    set("HEROKU_DATA_HOST", "localhost");
    set("HEROKU_REDIS_HOST", "localhost");
    set("DISABLE_TELEMETRY", "true");
    set("HEROKU_SKIP_ANALYTICS", "1");
    set("HEROKU_SKIP_NEW_VERSION_CHECK", "true");
    // It would go on in the background when its command has ended.
    set("HEROKU_DISABLE_AUTOUPDATE", "1");
    set("NODE_EXTRA_CA_CERTS", &files.node.to_string_lossy());
    // For this host only: GIT_SSL_CAINFO would take the system's certificates from all others. But
    // where it is set, it goes before.
    if let Some(git) = &files.git {
        set("GIT_SSL_CAINFO", &git.to_string_lossy());
    }
    let authority = files.authority.to_string_lossy();
    let settings = [
        (format!("http.{url}/.sslCAInfo"), authority.as_ref()),
        (format!("credential.{url}.helper"), credentials),
    ];
    let first =
        before.get("GIT_CONFIG_COUNT").and_then(|count| count.parse().ok()).unwrap_or(0usize);
    set("GIT_CONFIG_COUNT", &(first + settings.len()).to_string());
    for (number, (key, value)) in settings.iter().enumerate() {
        set(&format!("GIT_CONFIG_KEY_{}", first + number), key);
        set(&format!("GIT_CONFIG_VALUE_{}", first + number), value);
    }
    let uses_proxy = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"]
        .iter()
        .any(|name| before.get(*name).is_some_and(|value| !value.is_empty()));
    if uses_proxy {
        for name in ["NO_PROXY", "no_proxy"] {
            let others = before.get(name).filter(|value| !value.is_empty());
            let others = others.map(|others| format!(",{others}")).unwrap_or_default();
            set(name, &format!("localhost,127.0.0.1{others}"));
        }
    }
    Exports(list)
}

/// A word of a shell that stands for itself.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:,=@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(before: &[(&str, &str)]) -> BTreeMap<String, String> {
        let before = before.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let before: BTreeMap<String, String> = before.collect();
        let files = CertificateFiles {
            authority: "/home/me/ca.pem".into(),
            node: "/home/me/node.pem".into(),
            git: before.contains_key("GIT_SSL_CAINFO").then(|| "/home/me/git.pem".into()),
        };
        let helper = "!windlass git:credentials --server 'http://x y'";
        let made = exports(7443, &files, helper, &before);
        made.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn everything_leads_to_the_forwarder_and_nothing_elsewhere() {
        let variables = of(&[]);
        assert_eq!(variables["HEROKU_HOST"], "https://localhost:7443");
        assert_eq!(variables["DISABLE_TELEMETRY"], "true");
        assert_eq!(variables["HEROKU_PARTICLEBOARD_URL"], "https://localhost:7443");
        assert_eq!(variables["HEROKU_DATA_HOST"], "localhost");
        assert_eq!(variables["GIT_CONFIG_KEY_0"], "http.https://localhost:7443/.sslCAInfo");
        assert_eq!(variables["GIT_CONFIG_VALUE_0"], "/home/me/ca.pem");
        assert!(!variables.contains_key("NO_PROXY") && !variables.contains_key("GIT_SSL_CAINFO"));
        for (name, value) in &variables {
            let elsewhere = value.contains("://") && !value.contains("://localhost");
            assert!(!elsewhere || name == "GIT_CONFIG_VALUE_1", "{name}={value}");
        }
    }

    #[test]
    fn what_was_set_before_is_gone_on_with() {
        let variables = of(&[
            ("GIT_CONFIG_COUNT", "2"),
            ("GIT_SSL_CAINFO", "/etc/corp.pem"),
            ("https_proxy", "http://proxy:3128"),
            ("NO_PROXY", ".corp"),
        ]);
        assert_eq!(variables["GIT_SSL_CAINFO"], "/home/me/git.pem");
        assert_eq!(variables["GIT_CONFIG_COUNT"], "4");
        assert!(variables["GIT_CONFIG_KEY_2"].ends_with("sslCAInfo"));
        assert!(variables["GIT_CONFIG_KEY_3"].starts_with("credential."));
        assert_eq!(variables["NO_PROXY"], "localhost,127.0.0.1,.corp");
        assert_eq!(variables["no_proxy"], "localhost,127.0.0.1");
    }

    #[test]
    fn a_shell_reads_back_what_was_written() {
        let exports = Exports(vec![
            ("A".to_owned(), "https://localhost:1".to_owned()),
            ("B".to_owned(), "it's $HOME".to_owned()),
            ("C".to_owned(), String::new()),
        ]);
        let script = format!("{}printf '%s|%s|%s' \"$A\" \"$B\" \"$C\"", exports.for_shell());
        let said = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "https://localhost:1|it's $HOME|");
    }
}
