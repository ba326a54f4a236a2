//! Procfile: one `type: command` a line, by Heroku's rules.

use crate::names::ProcessType;
use std::collections::BTreeMap;

/// A Procfile line that is neither blank, a comment nor `type: command`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProcfileError {
    #[error("Procfile line {number}: {found:?} is not `type: command`")]
    NotAProcess { number: usize, found: String },
    #[error(
        "Procfile line {number}: {name:?} is not a process type (letters, digits, `-` and `_`)"
    )]
    BadType { number: usize, name: String },
    #[error("Procfile line {number}: `{name}` has no command")]
    NoCommand { number: usize, name: String },
    #[error("Procfile line {number} is not UTF-8 text")]
    NotText { number: usize },
}

/// Parses a Procfile. Blank lines and lines that start with `#` are skipped, a carriage return at
/// the end is dropped, a later line with the same type wins. Unlike Heroku, which ignores what it
/// does not understand, any other line is an error: a typing mistake must not unmake a process.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<ProcessType, String>, ProcfileError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut processes = BTreeMap::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        let line = std::str::from_utf8(line).map_err(|_| ProcfileError::NotText { number })?.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (process, command) = parse_line(line, number)?;
        processes.insert(process, command);
    }
    Ok(processes)
}

fn parse_line(line: &str, number: usize) -> Result<(ProcessType, String), ProcfileError> {
    let Some((name, command)) = line.split_once(':') else {
        return Err(ProcfileError::NotAProcess { number, found: line.chars().take(60).collect() });
    };
    let (name, command) = (name.trim(), command.trim());
    let process = name
        .parse()
        .map_err(|_| ProcfileError::BadType { number, name: name.chars().take(60).collect() })?;
    if command.is_empty() {
        return Err(ProcfileError::NoCommand { number, name: name.to_owned() });
    }
    Ok((process, command.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes()).unwrap().into_iter().map(|(t, c)| (t.to_string(), c)).collect()
    }

    #[test]
    fn reads_what_heroku_reads() {
        let text = "\u{feff}# comment\r\nweb: gunicorn app:app --bind 0.0.0.0:$PORT\r\n\nworker : python3 w.py && true\nweb:x:1\n";
        assert_eq!(
            types(text),
            [("web".into(), "x:1".into()), ("worker".into(), "python3 w.py && true".into())]
        );
        assert!(types("").is_empty());
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let table: &[(&[u8], &str)] = &[
            (b"web: a\n<<<<<<< HEAD\n", "Procfile line 2: \"<<<<<<< HEAD\" is not `type: command`"),
            (b"web\n", "Procfile line 1: \"web\" is not `type: command`"),
            (b"web:\n", "Procfile line 1: `web` has no command"),
            (
                b"\nwe b: x\n",
                "Procfile line 2: \"we b\" is not a process type (letters, digits, `-` and `_`)",
            ),
            (b"web: \xff\n", "Procfile line 1 is not UTF-8 text"),
        ];
        for (input, message) in table {
            assert_eq!(parse(input).unwrap_err().to_string(), *message);
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
