//! CBOR (RFC 8949) as authenticators write it (CTAP2's canonical form): definite lengths, no tags,
//! no floating-point numbers, no key twice.

/// Deeper ones are refused: nothing that is read here comes near.
const DEEPEST: u8 = 6;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    List(Vec<Value<'a>>),
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// `false`, `true`, `null` and their like: their number.
    Simple(u8),
}

impl<'a> Value<'a> {
    /// Returns what a map has under a key that is a number.
    pub(super) fn at(&self, key: i64) -> Option<&Value<'a>> {
        self.find(&Value::Integer(key))
    }

    /// Returns what a map has under a key that is a text.
    pub(super) fn named(&self, key: &'static str) -> Option<&Value<'a>> {
        self.find(&Value::Text(key))
    }

    fn find(&self, key: &Value<'_>) -> Option<&Value<'a>> {
        let Value::Map(entries) = self else { return None };
        entries.iter().find(|(found, _)| found == key).map(|(_, value)| value)
    }

    pub(super) fn integer(&self) -> Option<i64> {
        if let Value::Integer(number) = self { Some(*number) } else { None }
    }

    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        if let Value::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

/// Reads one value from the beginning. Returns it and what follows.
pub(super) fn read(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    read_at(bytes, DEEPEST)
}

fn read_at(bytes: &[u8], deeper: u8) -> Option<(Value<'_>, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (argument, rest) = argument(first & 31, rest)?;
    let length = usize::try_from(argument).ok();
    Some(match first >> 5 {
        0 => (Value::Integer(i64::try_from(argument).ok()?), rest),
        1 => (Value::Integer(-1 - i64::try_from(argument).ok()?), rest),
        2 => {
            let (content, rest) = rest.split_at_checked(length?)?;
            (Value::Bytes(content), rest)
        }
        3 => {
            let (content, rest) = rest.split_at_checked(length?)?;
            (Value::Text(std::str::from_utf8(content).ok()?), rest)
        }
        4 => list(length?, rest, deeper.checked_sub(1)?)?,
        5 => map(length?, rest, deeper.checked_sub(1)?)?,
        7 if first & 31 < 24 => (Value::Simple(first & 31), rest),
        _ => return None,
    })
}

/// Reads the number that a head carries, which must be as short as it can be.
fn argument(low: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    let width = match low {
        0..24 => return Some((u64::from(low), rest)),
        24..28 => 1 << (low - 24),
        _ => return None,
    };
    let (digits, rest) = rest.split_at_checked(width)?;
    let number = digits.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
    let least = if width == 1 { 24 } else { 1 << (4 * width) };
    (number >= least).then_some((number, rest))
}

fn list(length: usize, mut rest: &[u8], deeper: u8) -> Option<(Value<'_>, &[u8])> {
    let mut items = Vec::new();
    for _ in 0..length {
        let (item, after) = read_at(rest, deeper)?;
        items.push(item);
        rest = after;
    }
    Some((Value::List(items), rest))
}

fn map(length: usize, mut rest: &[u8], deeper: u8) -> Option<(Value<'_>, &[u8])> {
    let mut entries: Vec<(Value<'_>, Value<'_>)> = Vec::new();
    for _ in 0..length {
        let (key, after) = read_at(rest, deeper)?;
        let (value, after) = read_at(after, deeper)?;
        if entries.iter().any(|(other, _)| *other == key) {
            return None;
        }
        entries.push((key, value));
        rest = after;
    }
    Some((Value::Map(entries), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(bytes: &[u8]) -> Option<Value<'_>> {
        read(bytes).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
    }

    #[test]
    fn values_are_those_of_the_rfc() {
        // RFC 8949, appendix A.
        for (bytes, value) in [
            (&[0x00][..], Value::Integer(0)),
            (&[0x17], Value::Integer(23)),
            (&[0x18, 0x18], Value::Integer(24)),
            (&[0x19, 0x03, 0xe8], Value::Integer(1000)),
            (&[0x1a, 0, 0x0f, 0x42, 0x40], Value::Integer(1_000_000)),
            (&[0x20], Value::Integer(-1)),
            (&[0x38, 0x63], Value::Integer(-100)),
            (&[0x44, 1, 2, 3, 4], Value::Bytes(&[1, 2, 3, 4])),
            (&[0x64, b'I', b'E', b'T', b'F'], Value::Text("IETF")),
            (&[0xf5], Value::Simple(21)),
            (&[0x82, 1, 0x80], Value::List(vec![Value::Integer(1), Value::List(vec![])])),
            (&[0xa1, 1, 2], Value::Map(vec![(Value::Integer(1), Value::Integer(2))])),
        ] {
            assert_eq!(whole(bytes), Some(value), "{bytes:x?}");
        }
    }

    #[test]
    fn what_authenticators_do_not_write_is_refused() {
        for bytes in [
            &[][..],
            &[0x18, 0x17],                                     // longer than it must be
            &[0x19, 0x00, 0xff],                               // the same
            &[0x1b, 0xff, 0, 0, 0, 0, 0, 0, 0],                // beyond 63 bits
            &[0x5f, 0x41, 1, 0xff],                            // in pieces
            &[0xc0, 0x00],                                     // a tag
            &[0xf9, 0x3c, 0x00],                               // a floating-point number
            &[0x44, 1, 2, 3],                                  // cut short
            &[0x61, 0xff],                                     // no UTF-8
            &[0xa2, 1, 2, 1, 3],                               // a key twice
            &[0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0, 0, 0],    // longer than the memory
            &[0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x00], // too deep
        ] {
            assert_eq!(whole(bytes), None, "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }
    }
}
