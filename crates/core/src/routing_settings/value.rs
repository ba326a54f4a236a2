//! Values of settings: from text and to text.

use super::{RateLimit, RoutingSettingsError, shortened};
use std::str::FromStr;

fn wrong(name: &'static str, text: &str, expected: &'static str) -> RoutingSettingsError {
    RoutingSettingsError::Value { name, text: shortened(text), expected }
}

pub(super) fn flag(name: &'static str, text: &str) -> Result<bool, RoutingSettingsError> {
    match text {
        "on" | "true" | "yes" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => Err(wrong(name, text, "on or off")),
    }
}

pub(super) fn show_flag(value: bool) -> String {
    if value { "on" } else { "off" }.to_owned()
}

pub(super) fn one_of<T: Copy>(
    name: &'static str,
    text: &str,
    words: &[(&'static str, T)],
) -> Result<T, RoutingSettingsError> {
    let expected = match name {
        "https" => "allow or redirect",
        "compression" => "gzip or off",
        _ => "h1 or h2c",
    };
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| wrong(name, text, expected))
}

fn number(text: &str) -> Option<u64> {
    // No sign and no blanks.
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

pub(super) fn count(
    name: &'static str,
    text: &str,
    least: u32,
    most: u32,
    expected: &'static str,
) -> Result<u32, RoutingSettingsError> {
    let number = number(text).and_then(|number| u32::try_from(number).ok());
    let number = number.filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| wrong(name, text, expected))
}

/// `45`, `45s`, `5m`, `2h`, `30d`
pub(super) fn seconds(
    name: &'static str,
    text: &str,
    least: u32,
    most: u32,
    expected: &'static str,
) -> Result<u32, RoutingSettingsError> {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    let unit =
        units.into_iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (digits, factor) = unit.unwrap_or((text, 1));
    let seconds = number(digits).and_then(|number| number.checked_mul(factor));
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
    let seconds = seconds.filter(|seconds| (least..=most).contains(seconds));
    seconds.ok_or_else(|| wrong(name, text, expected))
}

pub(super) fn show_seconds(seconds: u32) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    match units.into_iter().find(|(factor, _)| seconds > 0 && seconds.is_multiple_of(*factor)) {
        Some((factor, unit)) => format!("{}{unit}", seconds / factor),
        None => format!("{seconds}s"),
    }
}

/// `512K`, `10M`, `1G`
pub(super) fn bytes(name: &'static str, text: &str) -> Result<u64, RoutingSettingsError> {
    const MOST: u64 = 1 << 50;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => Some(10),
        "m" | "mb" | "mib" => Some(20),
        "g" | "gb" | "gib" => Some(30),
        "t" | "tb" | "tib" => Some(40),
        _ => None,
    };
    let size = shift.and_then(|shift| number(digits)?.checked_mul(1 << shift));
    let size = size.filter(|size| (1..=MOST).contains(size));
    size.ok_or_else(|| wrong(name, text, "a size, for example 512K, 10M or 1G"))
}

pub(super) fn show_bytes(bytes: u64) -> String {
    let units = [(40, "T"), (30, "G"), (20, "M")];
    match units.into_iter().find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift)) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{}K", bytes >> 10),
    }
}

/// `10/s`, `600/m`, `5000/h`
pub(super) fn rate(name: &'static str, text: &str) -> Result<RateLimit, RoutingSettingsError> {
    let expected = "requests in a second, minute or hour, for example 20/s or 600/m";
    let (requests, unit) = text.split_once('/').ok_or_else(|| wrong(name, text, expected))?;
    let seconds = match unit {
        "s" | "second" => 1,
        "m" | "minute" => 60,
        "h" | "hour" => 3_600,
        _ => return Err(wrong(name, text, expected)),
    };
    let requests = count(name, requests, 1, 1_000_000, expected);
    let requests = requests.map_err(|_| wrong(name, text, expected))?;
    Ok(RateLimit { requests, seconds })
}

pub(super) fn show_rate(rate: RateLimit) -> String {
    let unit = match rate.seconds {
        1 => "s",
        60 => "m",
        _ => "h",
    };
    format!("{}/{unit}", rate.requests)
}

/// A list with commas or blanks between, sorted and without repetitions.
pub(super) fn entries<T>(
    name: &'static str,
    text: &str,
    most: usize,
) -> Result<Vec<T>, RoutingSettingsError>
where
    T: FromStr<Err = RoutingSettingsError> + Ord,
{
    let words = text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty());
    let mut entries: Vec<T> = words.map(str::parse).collect::<Result<_, _>>()?;
    entries.sort();
    entries.dedup();
    if entries.is_empty() {
        return Err(wrong(name, text, "at least one, several with commas between"));
    }
    if entries.len() > most {
        return Err(RoutingSettingsError::TooMany { what: "entries in one setting", most });
    }
    Ok(entries)
}
