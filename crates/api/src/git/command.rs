//! The command lines that git sends over SSH: `git-receive-pack '/bibly.git'`.

use windlass_control::receive::Service;

/// What a client wants of which app.
#[derive(Debug)]
pub(super) struct GitCommand {
    pub(super) service: Service,
    /// Name or id; not yet known to exist.
    pub(super) app: String,
}

impl GitCommand {
    /// Parses a command line as git quotes it. Nothing is ever given to a shell: what is not
    /// exactly a git service and a repository is no command at all.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let words = split(std::str::from_utf8(line).ok()?)?;
        let (service, path) = match &words[..] {
            [service, path] => (service.as_str(), path),
            [git, service, path] if git == "git" => (service.as_str(), path),
            _ => return None,
        };
        let service = match service.strip_prefix("git-").unwrap_or(service) {
            "receive-pack" => Service::ReceivePack,
            "upload-pack" => Service::UploadPack,
            _ => return None,
        };
        Some(Self { service, app: app_of(path)? })
    }
}

/// Returns the app that a repository's path names: `/bibly.git`, `bibly.git` or `bibly`.
pub(super) fn app_of(path: &str) -> Option<String> {
    let name = path.strip_prefix('/').unwrap_or(path);
    let name = name.strip_suffix('/').unwrap_or(name);
    let name = name.strip_suffix(".git").unwrap_or(name);
    let plain =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then(|| name.to_owned())
}

/// Splits a line into words with the quoting that git and people use: single quotes, double quotes
/// without anything special inside, and backslashes outside of quotes.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => words.extend(word.take()),
            quote @ ('\'' | '"') => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        end if end == quote => break,
                        '\\' | '$' | '`' if quote == '"' => return None,
                        inner => word.push(inner),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(characters.next()?),
            '\n' | '\r' | '\0' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '$' | '`' | '*'
            | '?' | '#' => return None,
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_git_sends() {
        let cases = [
            ("git-receive-pack '/bibly.git'", true, "bibly"),
            ("git-receive-pack 'bibly.git'", true, "bibly"),
            ("git-upload-pack 'bibly'", false, "bibly"),
            ("git-upload-pack /my-app.git/", false, "my-app"),
            ("git receive-pack \"/bibly.git\"", true, "bibly"),
            ("git-upload-pack  'bi''bly.git' ", false, "bibly"),
            ("git-upload-pack bi\\bly.git", false, "bibly"),
        ];
        for (line, receive, app) in cases {
            let command = GitCommand::parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(matches!(command.service, Service::ReceivePack), receive, "{line}");
            assert_eq!(command.app, app, "{line}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for line in [
            "",
            "ls",
            "git-receive-pack",
            "git-receive-pack ''",
            "git-receive-pack 'bibly.git",
            "git-receive-pack 'bibly.git' extra",
            "git-receive-pack --upload-pack=x 'bibly.git'",
            "git-receive-pack '../bibly.git'",
            "git-receive-pack '/etc/passwd'",
            "git-receive-pack 'bibly.git'; id",
            "git-receive-pack \"$(id)\"",
            "git-receive-pack `id`",
            "git-receive-pack 'a\0b'",
            "git-upload-archive 'bibly.git'",
            "git git receive-pack 'bibly.git'",
            "scp -t /",
        ] {
            assert!(GitCommand::parse(line.as_bytes()).is_none(), "{line:?}");
        }
        assert!(GitCommand::parse(b"git-receive-pack '\xff'").is_none());
    }
}
