//! Text of others on a person's terminal: names, messages and log lines may hold what a terminal
//! takes for orders, which can forge what stands above, fill the clipboard or rename the window.

use std::borrow::Cow;

const ESCAPE: char = '\u{1b}';
/// A longer sequence sets no colour.
const COLOUR_BYTES: usize = 34;

/// Returns the text with all that a terminal would obey made visible, except colours, tabs and line
/// ends. What hides the order of characters goes too.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_order(c) && c != '\n' && c != '\t') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match colour(rest) {
            Some(length) => {
                shown.push_str(&rest[..length]);
                length
            }
            None => {
                shown.push(visible(c));
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Cow::Owned(shown)
}

/// The same for text without colours of its own: in a table these are the table's.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_order) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if c == '\n' { '\u{240a}' } else { visible(c) }).collect())
}

/// Whether it is a control character, or one that shows what follows in another order.
fn is_order(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The character itself, or one that stands for it.
fn visible(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        _ if is_order(c) => '\u{fffd}',
        _ => c,
    }
}

/// The same for output that comes in pieces, in which a carriage return is a program's progress.
#[derive(Default)]
pub struct Pieces {
    /// What could be the beginning of a colour or a character.
    rest: Vec<u8>,
}

impl Pieces {
    /// Returns what can be shown once this piece has come.
    pub fn pass(&mut self, piece: &[u8]) -> String {
        self.rest.extend_from_slice(piece);
        let whole = whole(&self.rest);
        let ready: Vec<u8> = self.rest.drain(..whole).collect();
        let text = String::from_utf8_lossy(&ready);
        let parts: Vec<_> = text.split('\r').map(harmless).collect();
        parts.join("\r")
    }
}

/// Returns how many of the bytes do not end in the middle of a colour or a character.
fn whole(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(COLOUR_BYTES);
    let is_begun = |at: &usize| {
        let after = bytes[*at..].strip_prefix(b"\x1b");
        let numbers = after.map(|after| after.strip_prefix(b"[").unwrap_or(after));
        numbers.is_some_and(|rest| rest.iter().all(|b| b.is_ascii_digit() || *b == b';'))
    };
    let is_cut = |at: &usize| {
        let length = match bytes[*at] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        at + length > bytes.len()
    };
    (from..bytes.len()).find(|at| is_begun(at) || is_cut(at)).unwrap_or(bytes.len())
}

/// Returns the length of the sequence that sets a colour or weight at the beginning of `text`.
fn colour(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix(ESCAPE)?.strip_prefix('[')?;
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    (end + 3 <= COLOUR_BYTES && numbers[end..].starts_with('m')).then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_orders_are_shown() {
        for same in ["", "plain", "a\tb\n", "größe 🎉", "\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[m"]
        {
            assert_eq!(harmless(same), same);
        }
        for (given, shown) in [
            ("\u{1b}]0;title\u{7}", "␛]0;title␇"),
            ("\u{1b}]52;c;cm0=\u{1b}\\", "␛]52;c;cm0=␛\\"),
            ("a\rb", "a␍b"),
            ("\u{1b}[2J\u{1b}[1A", "␛[2J␛[1A"),
            ("\u{1b}[31", "␛[31"),
            ("\u{1b}[31\u{1b}[0m", "␛[31\u{1b}[0m"),
            ("\u{1b}", "␛"),
            ("\u{9b}2J", "\u{fffd}2J"),
            ("\u{7f}\u{8}", "␡␈"),
            ("safe\u{202e}exe.txt", "safe\u{fffd}exe.txt"),
        ] {
            assert_eq!(harmless(given), shown);
        }
    }

    #[test]
    fn pieces_may_be_cut_anywhere() {
        let text = "a\u{1b}[32mgrün\u{1b}[0m 10%\r20%\n\u{1b}]0;x\u{7}🎉\u{1b}[2J.";
        let expected = "a\u{1b}[32mgrün\u{1b}[0m 10%\r20%\n␛]0;x␇🎉␛[2J.";
        for size in 1..text.len() {
            let mut pieces = Pieces::default();
            let shown: String =
                text.as_bytes().chunks(size).map(|piece| pieces.pass(piece)).collect();
            assert_eq!(shown, expected, "{size}");
        }
        let mut endless = Pieces::default();
        assert!(!endless.pass(format!("\u{1b}[{}", "1;".repeat(50)).as_bytes()).is_empty());
        assert_eq!(Pieces::default().pass(b"\xff."), "\u{fffd}.");
    }

    #[test]
    fn cells_have_no_orders_at_all() {
        assert_eq!(plain("ok"), "ok");
        assert_eq!(plain("\u{1b}[8mhidden\nrow"), "␛[8mhidden␊row");
    }
}
