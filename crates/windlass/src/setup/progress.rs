//! What `windlass setup` shows while it works: one redrawn line in a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const WIDTH: usize = 79;
const BAR: usize = 24;
const REDRAW: Duration = Duration::from_millis(100);
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Draws progress on standard error.
pub struct Progress {
    out: Box<dyn Write + Send>,
    terminal: bool,
    colour: bool,
    started: Instant,
    last_drawn: Option<Instant>,
    bar_shown: bool,
}

impl Progress {
    /// Draws a bar if standard error is a terminal; colours unless `NO_COLOR` is set.
    #[must_use]
    pub fn stderr() -> Self {
        let terminal = std::io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self::new(Box::new(std::io::stderr()), terminal, colour)
    }

    fn new(out: Box<dyn Write + Send>, terminal: bool, colour: bool) -> Self {
        Self { out, terminal, colour, started: Instant::now(), last_drawn: None, bar_shown: false }
    }

    /// Sets the clock of the bar to zero.
    pub fn start(&mut self) {
        self.started = Instant::now();
        self.last_drawn = None;
    }

    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Prints a line that stays: a bold subject and what there is to say of it.
    pub fn line(&mut self, subject: &str, text: &str) {
        self.clear_bar();
        let subject = format!("{subject:<16}");
        if self.colour {
            self.print(&format!("\x1b[1m{subject}\x1b[0m {text}\n"));
        } else {
            self.print(&format!("{subject} {text}\n"));
        }
    }

    /// Shows how far the work is: `fraction` from 0 to 1, and what is being done.
    pub fn update(&mut self, fraction: f64, doing: &str) {
        let every = if self.terminal { REDRAW } else { PLAIN_EVERY };
        if self.last_drawn.is_some_and(|last| last.elapsed() < every) {
            return;
        }
        self.last_drawn = Some(Instant::now());
        let time = clock(self.elapsed());
        let percent = (fraction.clamp(0.0, 1.0) * 100.0) as usize;
        if !self.terminal {
            self.print(&format!("  {percent:>3} %  {time}  {doing}\n"));
            return;
        }
        let full = BAR * percent / 100;
        let numbers = format!("  {percent:>3} %  {time}  ");
        let room = WIDTH - 2 - BAR - numbers.chars().count();
        let doing: String = doing.chars().take(room).collect();
        let (full, empty) = ("█".repeat(full), "░".repeat(BAR - full));
        let bar = if self.colour {
            format!("\x1b[36m{full}{empty}\x1b[0m")
        } else {
            format!("{full}{empty}")
        };
        self.print(&format!("\r  {bar}{numbers}{doing}\x1b[K"));
        self.bar_shown = true;
    }

    fn clear_bar(&mut self) {
        if std::mem::take(&mut self.bar_shown) {
            self.print("\r\x1b[K");
        }
        self.last_drawn = None;
    }

    // Nobody is helped if the setup fails because its output cannot be shown.
    fn print(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear_bar();
    }
}

/// Returns minutes and seconds, as in `1:05`.
pub fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// Returns a size in megabytes or gigabytes of 1000s.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{} MB", bytes.div_ceil(1_000_000)),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Screen {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_pipe_gets_plain_lines_and_few_of_them() {
        let screen = Screen::default();
        let mut progress = Progress::new(Box::new(screen.clone()), false, false);
        progress.line("Stack", "building");
        for n in 0..100 {
            progress.update(f64::from(n) / 100.0, "setting up libc6");
        }
        drop(progress);
        assert_eq!(screen.text(), "Stack            building\n    0 %  0:00  setting up libc6\n");
    }

    #[test]
    fn a_bar_fits_in_eighty_columns_and_goes_away() {
        let screen = Screen::default();
        let mut progress = Progress::new(Box::new(screen.clone()), true, false);
        progress.update(0.5, &"long name ".repeat(20));
        let drawn = screen.text();
        let line = drawn.trim_start_matches('\r').trim_end_matches("\x1b[K");
        assert_eq!(line.chars().count(), WIDTH);
        assert!(line.contains(" 50 %"), "{line}");
        progress.line("Stack", "done");
        assert!(screen.text().ends_with("\r\x1b[KStack            done\n"));
    }

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(size(188_400_000), "189 MB");
        assert_eq!(size(1_260_000_000), "1.3 GB");
        assert_eq!(clock(Duration::from_secs(65)), "1:05");
    }
}
