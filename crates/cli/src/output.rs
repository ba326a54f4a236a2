//! What a person sees: colours on a terminal, plain text in a pipe, JSON on demand.

use crate::environment::Environment;
use crate::error::{CliError, Result};
use crate::harmless::{Pieces, harmless, plain};
use serde::Serialize;
use std::borrow::Cow;
use std::io::{self, Write};

/// Colours and weights, as terminal codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    BrightGreen,
    BrightMagenta,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "31",
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Blue => "34",
            Style::Magenta => "35",
            Style::Cyan => "36",
            Style::BrightGreen => "92",
            Style::BrightMagenta => "95",
        }
    }
}

/// Standard output and standard error of a command.
pub struct Output {
    stdout: Box<dyn Write>,
    stderr: Box<dyn Write>,
    colour: bool,
    error_colour: bool,
    /// Whether a terminal shows standard output, and whether it shows standard error: what others
    /// wrote gets there without what a terminal would obey.
    terminal: bool,
    error_terminal: bool,
    pieces: Pieces,
}

impl Output {
    /// Writes to the process's own streams; colours only where a terminal reads.
    pub fn of_process(environment: &Environment) -> Output {
        Output {
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
            colour: environment.stdout_terminal && environment.colours_wanted(),
            error_colour: environment.stderr_terminal && environment.colours_wanted(),
            terminal: environment.stdout_terminal,
            error_terminal: environment.stderr_terminal,
            pieces: Pieces::default(),
        }
    }

    #[cfg(test)]
    pub fn to(stdout: Box<dyn Write>, stderr: Box<dyn Write>, terminal: bool) -> Output {
        Output {
            stdout,
            stderr,
            colour: terminal,
            error_colour: terminal,
            terminal,
            error_terminal: terminal,
            pieces: Pieces::default(),
        }
    }

    /// Whether standard output takes colours.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// `text` in `style` where standard output takes colours, else as it is.
    pub fn paint(&self, style: Style, text: &str) -> String {
        painted(self.colour, style, text)
    }

    /// The same for standard error.
    pub fn paint_error(&self, style: Style, text: &str) -> String {
        painted(self.error_colour, style, text)
    }

    /// Prints a line on standard output.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<()> {
        writeln!(self.stdout, "{}", shown(self.terminal, text.as_ref()))?;
        Ok(())
    }

    /// Prints `=== text` and an empty line.
    pub fn heading(&mut self, text: &str) -> Result<()> {
        let line = format!("{} {}", self.paint(Style::Dim, "==="), self.bold(text));
        self.line(line)?;
        self.line("")
    }

    /// Bold where colours are on.
    pub fn bold(&self, text: &str) -> String {
        self.paint(Style::Bold, text)
    }

    /// An app's name as everywhere: `⬢ bibly`, for standard error.
    pub fn app(&self, name: &str) -> String {
        self.paint_error(Style::Magenta, &format!("⬢ {name}"))
    }

    /// Writes bytes to standard output at once.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.write_all(bytes)?;
        self.stdout.flush()
    }

    /// Writes what a program of somebody said, piece by piece, to standard output at once.
    pub fn said(&mut self, piece: &[u8]) -> io::Result<()> {
        if !self.terminal {
            return self.bytes(piece);
        }
        let shown = self.pieces.pass(piece);
        self.bytes(shown.as_bytes())
    }

    /// Writes bytes to standard error at once.
    pub fn error_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stderr.write_all(bytes)?;
        self.stderr.flush()
    }

    /// Prints a line on standard error: progress and notes, never data.
    pub fn note(&mut self, text: impl AsRef<str>) -> Result<()> {
        writeln!(self.stderr, "{}", shown(self.error_terminal, text.as_ref()))?;
        Ok(())
    }

    /// Prints a value as indented JSON.
    pub fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| CliError::general(format!("Could not write JSON: {error}")))?;
        self.line(text)
    }

    /// Prints aligned columns under dim headers.
    pub fn table(&mut self, table: &Table) -> Result<()> {
        let widths = table.widths();
        let header =
            render_row(table.headers.iter().map(|text| (text.as_str(), None)), &widths, false);
        let header = self.paint(Style::Dim, &header);
        self.line(header)?;
        for row in &table.rows {
            let cells = row.iter().map(|cell| (cell.text.as_str(), cell.style));
            let line = render_row(cells, &widths, self.colour);
            self.line(line)?;
        }
        Ok(())
    }

    /// Prints `Name:  value` lines, the values aligned.
    pub fn properties(&mut self, properties: &[(&str, String)]) -> Result<()> {
        let width = properties.iter().map(|(name, _)| name.chars().count());
        let width = width.max().unwrap_or(0) + 1;
        for (name, value) in properties {
            let label = format!("{:<width$}", format!("{name}:"));
            let line = format!("{} {value}", self.paint(Style::Dim, &label));
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Runs `work` between `message...` and `done` (or `!`) on standard error.
    ///
    /// `finish` turns the result into what is said after `done`, `None` for nothing.
    pub fn action<T>(
        &mut self,
        message: &str,
        work: impl FnOnce() -> Result<T>,
        finish: impl FnOnce(&Output, &T) -> Option<String>,
    ) -> Result<T> {
        let message = shown(self.error_terminal, message).into_owned();
        self.error_bytes(format!("{message}... ").as_bytes())?;
        match work() {
            Ok(value) => {
                let end = match finish(self, &value) {
                    Some(more) => format!("done, {more}"),
                    None => "done".to_owned(),
                };
                self.note(end)?;
                Ok(value)
            }
            Err(error) => {
                let mark = self.paint_error(Style::Red, "!");
                self.note(mark)?;
                Err(error)
            }
        }
    }

    /// Prints an error and its hint, each behind a mark.
    pub fn error(&mut self, error: &CliError) {
        let mark = self.paint_error(Style::Red, "▸");
        let hint_mark = self.paint_error(Style::Dim, "▸");
        let mut text = String::new();
        for line in error.message.lines() {
            text.push_str(&format!(" {mark}    {line}\n"));
        }
        for line in error.hint.iter().flat_map(|hint| hint.lines()) {
            text.push_str(&format!(" {hint_mark}    {line}\n"));
        }
        // Standard error being closed leaves nobody to tell.
        let text = shown(self.error_terminal, &text).into_owned();
        let _ = self.error_bytes(text.as_bytes());
    }

    /// Prints a warning behind a mark.
    pub fn warning(&mut self, text: &str) -> Result<()> {
        let mark = self.paint_error(Style::Yellow, "▸");
        self.note(format!(" {mark}    {text}"))
    }
}

fn shown(terminal: bool, text: &str) -> Cow<'_, str> {
    if terminal { harmless(text) } else { Cow::Borrowed(text) }
}

fn painted(on: bool, style: Style, text: &str) -> String {
    if on && !text.is_empty() {
        format!("\u{1b}[{}m{text}\u{1b}[0m", style.code())
    } else {
        text.to_owned()
    }
}

/// One cell of a [`Table`].
pub struct Cell {
    text: String,
    style: Option<Style>,
}

impl Cell {
    /// A cell in a colour.
    pub fn styled(text: impl Into<String>, style: Style) -> Cell {
        Cell { text: one_line(text.into()), style: Some(style) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell { text: one_line(text.into()), style: None }
    }
}

/// A cell is one line with no colours but the table's, wherever it is shown.
fn one_line(text: String) -> String {
    plain(&text).into_owned()
}

/// Rows under headers; columns are as wide as their widest cell.
pub struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(headers: &[&str]) -> Table {
        Table { headers: headers.iter().map(|text| (*text).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row; it has as many cells as there are headers.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headers.iter().map(|h| h.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        widths
    }
}

fn render_row<'a>(
    cells: impl Iterator<Item = (&'a str, Option<Style>)>,
    widths: &[usize],
    colour: bool,
) -> String {
    let mut line = String::new();
    for ((text, style), width) in cells.zip(widths) {
        let padding = width - text.chars().count();
        match style {
            Some(style) => line.push_str(&painted(colour, style, text)),
            None => line.push_str(text),
        }
        line.push_str(&" ".repeat(padding + 2));
    }
    line.trim_end().to_owned()
}
