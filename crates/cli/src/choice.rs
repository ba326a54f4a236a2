//! A question with a few answers, for a person at a terminal.

use crate::error::{CliError, Result};
use crate::session::Session;

/// More than these are not listed: a name is typed faster than it is found.
const MOST: usize = 30;

/// Shows the options with numbers and reads one of them, by number or by name. `None` if there is
/// nothing to choose from, or too much.
///
/// # Errors
/// An answer that is none of the options; nothing was done then.
pub fn choose(session: &mut Session, why: &str, options: &[String]) -> Result<Option<String>> {
    if options.is_empty() || options.len() > MOST {
        return Ok(None);
    }
    session.output.note(format!("{why} Which one?"))?;
    for (number, option) in (1..).zip(options) {
        session.output.note(format!("  {number:>2}  {option}"))?;
    }
    session.output.error_bytes(b"> ")?;
    let answer = session.read_line()?;
    let answer = answer.trim();
    let by_number = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    let found = options
        .iter()
        .find(|option| *option == answer)
        .or_else(|| by_number.and_then(|place| options.get(place)));
    match found {
        Some(option) => Ok(Some(option.clone())),
        None => Err(CliError::refused(format!("{answer:?} is none of these. Nothing was done."))),
    }
}
