//! Finds the host's own Debian package sources, so that a company's mirror is used for stacks too.

use std::path::Path;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const COMPONENTS: &[&str] = &["main", "contrib", "non-free", "non-free-firmware"];

/// One source of packages.
#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: String,
    enabled: bool,
}

/// Returns the sources of `suite` that the host uses in the deb822 format, or `None` if it uses
/// none, as on another release or distribution. Sources of third parties are left out.
pub fn of_host(apt_directory: &Path, suite: &str) -> Option<String> {
    let mut files = vec![apt_directory.join("sources.list")];
    let listed = std::fs::read_dir(apt_directory.join("sources.list.d"));
    files.extend(listed.into_iter().flatten().flatten().map(|entry| entry.path()));
    files.sort();
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => sources.extend(stanzas(&text)),
            Some("list") => sources.extend(text.lines().filter_map(one_line)),
            _ => {}
        }
    }
    sources.retain(|source| is_debian(source, suite));
    let has_base = sources.iter().any(|source| source.suites.iter().any(|name| name == suite));
    has_base.then(|| sources.iter().map(stanza).collect::<Vec<_>>().join("\n"))
}

/// Says whether any of the sources is reached by HTTPS.
pub fn use_https(sources: &str) -> bool {
    sources.contains("https://")
}

fn is_debian(source: &Source, suite: &str) -> bool {
    let known = [suite.to_owned(), format!("{suite}-updates"), format!("{suite}-security")];
    source.enabled
        && !source.uris.is_empty()
        && source.uris.iter().all(|uri| uri.starts_with("http://") || uri.starts_with("https://"))
        && !source.suites.is_empty()
        && source.suites.iter().all(|name| known.contains(name))
        && source.components.iter().any(|name| name == "main")
        && source.components.iter().all(|name| COMPONENTS.contains(&name.as_str()))
        && (source.signed_by.is_empty() || source.signed_by == KEYRING)
}

fn stanza(source: &Source) -> String {
    format!(
        "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\nSigned-By: {KEYRING}\n",
        source.uris.join(" "),
        source.suites.join(" "),
        source.components.join(" ")
    )
}

/// Reads a file of stanzas with `Field: value` lines.
fn stanzas(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines().chain([""]) {
        if !line.trim().is_empty() {
            lines.push(line);
        } else if !lines.is_empty() {
            sources.extend(read_stanza(&lines));
            lines.clear();
        }
    }
    sources
}

fn read_stanza(lines: &[&str]) -> Option<Source> {
    let mut source = Source { enabled: true, ..Source::default() };
    let mut types = Vec::new();
    for line in lines.iter().filter(|line| !line.starts_with('#')) {
        let Some((field, value)) = line.split_once(':') else { continue };
        match field.to_ascii_lowercase().as_str() {
            "types" => types = words(value),
            "uris" => source.uris = words(value),
            "suites" => source.suites = words(value),
            "components" => source.components = words(value),
            "signed-by" => source.signed_by = value.trim().to_owned(),
            "enabled" => source.enabled = !matches!(value.trim(), "no" | "false" | "0"),
            _ => {}
        }
    }
    types.iter().any(|kind| kind == "deb").then_some(source)
}

/// Reads a line like `deb [signed-by=FILE] URI SUITE COMPONENT...`.
fn one_line(line: &str) -> Option<Source> {
    let rest = line.split('#').next()?.trim().strip_prefix("deb ")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut rest = words(rest).into_iter();
    Some(Source {
        uris: vec![rest.next()?],
        suites: vec![rest.next()?],
        components: rest.collect(),
        signed_by: signed_by.unwrap_or_default().to_owned(),
        enabled: true,
    })
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(|word| word.trim_end_matches('/').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(files: &[(&str, &str)]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sources.list.d")).unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        of_host(folder.path(), "bookworm")
    }

    #[test]
    fn stanzas_of_debian_are_taken_and_those_of_others_left() {
        let sources = find(&[
            (
                "sources.list.d/debian.sources",
                "Types: deb deb-src\n# comment\nURIs: https://mirror.example/debian/\nSuites: bookworm bookworm-updates\n\
                 Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
                 Types: deb\nURIs: http://other.example/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n",
            ),
            (
                "sources.list.d/vendor.sources",
                "Types: deb\nURIs: https://vendor.example/deb\nSuites: bookworm\nComponents: main\nSigned-By: /v.gpg\n",
            ),
            ("sources.list.d/cloud.list", "deb https://cloud.example/apt cloud-bookworm main\n"),
        ])
        .unwrap();
        assert_eq!(
            sources,
            "Types: deb\nURIs: https://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        );
        assert!(use_https(&sources));
    }

    #[test]
    fn one_line_sources_are_read() {
        let sources = find(&[(
            "sources.list",
            "# deb http://a.example/debian bookworm main\n\
             deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://b.example/debian bookworm main contrib # x\n\
             deb-src http://b.example/debian bookworm main\n\
             deb https://docker.example/debian bookworm stable\n",
        )])
        .unwrap();
        assert!(sources.contains(
            "URIs: http://b.example/debian\nSuites: bookworm\nComponents: main contrib\n"
        ));
        assert_eq!(sources.matches("Types:").count(), 1);
    }

    #[test]
    fn another_release_has_none() {
        assert_eq!(find(&[("sources.list", "deb http://deb.example/ubuntu noble main\n")]), None);
        assert_eq!(
            find(&[("sources.list", "deb http://deb.example/debian bookworm-updates main\n")]),
            None
        );
    }
}
