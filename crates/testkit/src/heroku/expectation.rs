//! Expected lines: text, `*` for anything, `<name>` for a word that is wanted later.

use regex::Regex;

/// One expected line, ready to be looked for.
pub(super) struct Expectation<'a> {
    text: &'a str,
    pattern: Regex,
    is_wanted: bool,
}

impl<'a> Expectation<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let (is_wanted, line) = match text.strip_prefix('!') {
            Some(line) => (false, line),
            None => (true, text),
        };
        Self { text, pattern: pattern(&plain(line)), is_wanted }
    }

    /// Looks for it among lines; returns what it captures, or why it does not hold.
    pub(super) fn hold(&self, said: &[String]) -> Result<Vec<(String, String)>, String> {
        let found = said.iter().find_map(|line| self.pattern.captures(line));
        match (found, self.is_wanted) {
            (Some(found), true) => {
                let names = self.pattern.capture_names().flatten();
                let value = |name: &str| found.name(name).map(|value| value.as_str().to_owned());
                Ok(names.filter_map(|name| Some((name.to_owned(), value(name)?))).collect())
            }
            (None, false) => Ok(Vec::new()),
            (None, true) => Err(format!("no line is {:?}", self.text)),
            (Some(_), false) => Err(format!("a line is {:?}", &self.text[1..])),
        }
    }
}

/// A line as it is compared: without the CLI's margin, and with single spaces.
pub(super) fn plain(line: &str) -> String {
    let line = line.trim_start().trim_start_matches('›');
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn pattern(line: &str) -> Regex {
    let mut pattern = String::from("^");
    let mut rest = line;
    while let Some(at) = rest.find(['*', '<']) {
        pattern.push_str(&regex::escape(&rest[..at]));
        let name = rest[at..].strip_prefix('<').and_then(|after| after.split_once('>'));
        match name.filter(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase())) {
            Some((name, after)) => {
                pattern.push_str(&format!(r"(?P<{name}>\S+?)"));
                rest = after;
            }
            None => {
                pattern.push_str(if rest[at..].starts_with('*') { ".*" } else { "<" });
                rest = &rest[at + 1..];
            }
        }
    }
    pattern.push_str(&regex::escape(rest));
    pattern.push('$');
    Regex::new(&pattern).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Splits a command line at spaces; single quotes hold words together.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut is_quoted, mut is_word) = (false, false);
    for c in line.chars() {
        match c {
            '\'' => (is_quoted, is_word) = (!is_quoted, true),
            ' ' if !is_quoted => {
                if is_word {
                    words.push(String::new());
                }
                is_word = false;
            }
            c => {
                words.last_mut().expect("there is one").push(c);
                is_word = true;
            }
        }
    }
    if !is_word {
        words.pop();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(expected: &str, said: &[&str]) -> Result<Vec<(String, String)>, String> {
        Expectation::new(expected).hold(&said.iter().map(|line| plain(line)).collect::<Vec<_>>())
    }

    #[test]
    fn lines_are_compared_whole_and_without_their_layout() {
        let said = ["=== demo", " web  1   Standard-1X ", " ›   Error: no (really)."];
        for good in ["=== demo", "web 1 Standard-1X", "Error: no (really).", "Error: *", "!demo"] {
            assert!(hold(good, &said).is_ok(), "{good}");
        }
        for bad in ["demo", "web 1", "Error: no .really..", "!=== demo", "<demo"] {
            assert!(hold(bad, &said).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_captured() {
        let found = hold("Token: <token> (* s)", &["Token:  abc  (12 s)"]).unwrap();
        assert_eq!(found, [("token".to_owned(), "abc".to_owned())]);
        assert!(hold("ID: <id>", &["ID: a b"]).is_err(), "not a word");
        assert!(hold("none: <none>", &["none: <none>"]).is_ok());
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(words("run -x -- sh -c 'exit 3'"), ["run", "-x", "--", "sh", "-c", "exit 3"]);
        assert_eq!(words("a  '' b"), ["a", "", "b"]);
        assert_eq!(words(""), Vec::<String>::new());
    }
}
