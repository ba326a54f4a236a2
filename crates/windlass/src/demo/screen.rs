//! What the demo shows: numbered steps and dim details in a terminal, plain lines in a pipe.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const STEPS: usize = 5;

pub struct Screen {
    colour: bool,
    begun: Instant,
    /// Title and beginning of each step.
    steps: Vec<(&'static str, Instant)>,
}

impl Screen {
    /// Writes to standard output.
    pub fn stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb;
        Self { colour, begun: Instant::now(), steps: Vec::new() }
    }

    pub fn step(&mut self, title: &'static str) {
        self.steps.push((title, Instant::now()));
        let number = self.steps.len();
        let number = self.styled("1;36", &format!("{number}/{STEPS}"));
        self.line(&format!("\n{number} {}", self.styled("1", title)));
    }

    /// A line of the step.
    pub fn say(&self, text: &str) {
        self.line(&format!("    {text}"));
    }

    /// A line that matters less, such as the output of a command.
    pub fn detail(&self, text: &str) {
        let text = self.styled("2", text);
        self.line(format!("    {text}").trim_end());
    }

    /// A command that is run.
    pub fn command(&self, text: &str) {
        let (prompt, text) = (self.styled("2", "$"), self.styled("1", text));
        self.line(&format!("    {prompt} {text}"));
    }

    pub fn good(&self, text: &str) {
        let text = self.styled("1;32", text);
        self.line(&format!("    {text}"));
    }

    pub fn bad(&self, text: &str) {
        let text = self.styled("1;31", text);
        self.line(&format!("    {text}"));
    }

    pub fn heading(&self, text: &str) {
        let text = self.styled("1", text);
        self.line(&format!("\n{text}"));
    }

    /// Prints how long each step took.
    pub fn times(&self) {
        let mut ends: Vec<Instant> = self.steps.iter().skip(1).map(|(_, begun)| *begun).collect();
        ends.push(Instant::now());
        self.heading("How long it took");
        for ((title, begun), end) in self.steps.iter().zip(ends) {
            self.say(&format!("{title:<38} {:>7}", seconds(end - *begun)));
        }
        self.say(&format!("{:<38} {:>7}", "altogether", seconds(self.begun.elapsed())));
    }

    fn styled(&self, style: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{style}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    // A demo that nobody reads any more still has to clean up.
    fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Returns a number with its thousands apart: `3,214`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_apart() {
        assert_eq!([0, 999, 3214, 1_234_567].map(grouped), ["0", "999", "3,214", "1,234,567"]);
    }
}
