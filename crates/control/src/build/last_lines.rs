//! The last lines of what buildpacks say, for the message about the one that failed.

/// So much is kept, in bytes; twice as much for a moment.
const KEPT_BYTES: usize = 8 * 1024;
/// So many lines are shown, each of at most so many characters.
const LINES: usize = 5;
const LINE_CHARACTERS: usize = 300;
/// What the builder itself says begins so, and so do the headings of buildpacks.
const HEADING: &str = "-----> ";

/// The end of an output.
#[derive(Default)]
pub(super) struct LastLines(Vec<u8>);

impl LastLines {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        if self.0.len() > 2 * KEPT_BYTES {
            self.0.drain(..self.0.len() - KEPT_BYTES);
        }
    }

    /// Returns the last lines after the last heading that is `heading`, without indentation, marks
    /// of errors, empty lines and headings.
    pub(super) fn after(&self, heading: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let begin = lines
            .iter()
            .rposition(|line| line.strip_prefix(HEADING) == Some(heading))
            .map_or(0, |at| at + 1);
        let said: Vec<String> = lines[begin..]
            .iter()
            .filter(|line| !line.starts_with(HEADING.trim_end()))
            .map(|line| line.trim_start_matches('!').trim_start())
            .filter(|line| !line.is_empty())
            .map(|line| line.chars().take(LINE_CHARACTERS).collect())
            .collect();
        said[said.len().saturating_sub(LINES)..].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_the_buildpack_that_failed_are_shown() {
        let mut last = LastLines::default();
        last.add(b"-----> First app detected\n       from the first\n-----> Second app det");
        last.add(b"ected\n-----> Installing\n       one\n\n !     two\n");
        assert_eq!(last.after("Second app detected"), ["one", "two"]);
        assert_eq!(last.after("unknown"), ["from the first", "one", "two"]);
        assert!(LastLines::default().after("unknown").is_empty());
    }

    #[test]
    fn they_are_few_and_short() {
        let mut last = LastLines::default();
        for number in 0..10_000 {
            last.add(format!("line {number}\n").as_bytes());
        }
        assert_eq!(last.after("x")[..2], ["line 9995", "line 9996"]);
        last.add("\u{e4}".repeat(3 * KEPT_BYTES).as_bytes());
        assert_eq!(last.after("x").last().unwrap().chars().count(), LINE_CHARACTERS);
        assert!(last.0.len() <= 2 * KEPT_BYTES);
    }
}
