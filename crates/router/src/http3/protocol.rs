//! Requests for a WebSocket over HTTP/3 (RFC 9220). `h3` breaks off every request whose `:protocol`
//! it does not know, and it does not know that of WebSockets: so the head is looked at before it.

/// What `:protocol` is called when `h3` reads it: a name of the same length in bits, with or without
/// Huffman's code, and one that says nothing.
pub(super) const STAND_IN: &str = "xprotocol";
const NAME: &[u8] = b":protocol";
const VALUE: &[u8] = b"websocket";
/// The same in the code of RFC 7541, appendix B, in which each has 50 bits.
const CODED_NAME: &[u8] = &[0xb9, 0x5d, 0x87, 0x49, 0xc8, 0x7a, 0x3f];
const CODED_VALUE: &[u8] = &[0xf0, 0x58, 0xd0, 0x72, 0x75, 0x2a, 0x7f];

/// A string in a head: where it is, and whether it is in Huffman's code.
#[derive(Clone, Copy)]
struct Text {
    start: usize,
    end: usize,
    is_coded: bool,
}

impl Text {
    fn is(self, head: &[u8], plain: &[u8], coded: &[u8]) -> bool {
        head.get(self.start..self.end) == Some(if self.is_coded { coded } else { plain })
    }
}

/// Renames the `:protocol` of a head that asks for a WebSocket; returns whether it does. Any other
/// head, and one that cannot be read, stays as it is.
pub(super) fn rename(head: &mut [u8]) -> bool {
    let Some(name) = find(head) else { return false };
    let first = &mut head[name.start];
    // Of the coded name the last bit belongs to what follows.
    *first = if name.is_coded { 0b1111_0010 | (*first & 1) } else { b'x' };
    true
}

/// Finds the name of the only `:protocol`, if it asks for a WebSocket.
fn find(head: &[u8]) -> Option<Text> {
    let mut at = 0;
    integer(head, &mut at, 8)?;
    integer(head, &mut at, 7)?;
    let mut found = None;
    while let Some(first) = head.get(at).copied() {
        // The representations of fields (RFC 9204, 4.5). Names in tables are others: the one of
        // QPACK has no `:protocol`, and clients may fill none here.
        let name = match first.leading_zeros() {
            0 => {
                integer(head, &mut at, 6)?;
                continue;
            }
            3 => {
                integer(head, &mut at, 4)?;
                continue;
            }
            1 => {
                integer(head, &mut at, 4)?;
                None
            }
            2 => Some(text(head, &mut at, 3)?),
            _ => {
                integer(head, &mut at, 3)?;
                None
            }
        };
        let value = text(head, &mut at, 7)?;
        if let Some(name) = name.filter(|name| name.is(head, NAME, CODED_NAME)) {
            if found.is_some() || !value.is(head, VALUE, CODED_VALUE) {
                return None;
            }
            found = Some(name);
        }
    }
    found
}

/// Reads a number that begins with the last bits of a byte (RFC 7541, 5.1).
fn integer(head: &[u8], at: &mut usize, bits: u32) -> Option<usize> {
    let most = (1_usize << bits) - 1;
    let mut number = usize::from(*head.get(*at)?) & most;
    *at += 1;
    if number < most {
        return Some(number);
    }
    for shift in [0, 7, 14, 21] {
        let byte = *head.get(*at)?;
        *at += 1;
        number += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Reads a string whose length begins with the last bits of a byte.
fn text(head: &[u8], at: &mut usize, bits: u32) -> Option<Text> {
    let is_coded = head.get(*at)? >> bits & 1 == 1;
    let length = integer(head, at, bits)?;
    let (start, end) = (*at, at.checked_add(length)?);
    *at = end;
    (end <= head.len()).then_some(Text { start, end, is_coded })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head in the representations that clients use, with these fields between others.
    fn head(fields: &[&[u8]]) -> Vec<u8> {
        // CONNECT and https by their numbers, a path and a host by those of their names.
        let before: &[u8] = &[0, 0, 0xc0 | 15, 0xc0 | 23, 0x51, 2, b'/', b'x'];
        let after: &[u8] = &[0x50, 3, b'a', b'.', b'b', 0x23, b'x', b'-', b'y', 0];
        [before, &fields.concat(), after].concat()
    }

    fn plain(name: &[u8], value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len()).unwrap();
        assert!((7..14).contains(&name.len()));
        let rest = u8::try_from(name.len() - 7).unwrap();
        [&[0x27, rest], name, &[length], value].concat()
    }

    fn coded(name: &[u8], value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len()).unwrap();
        [&[0x2f, 0], name, &[0x80 | length], value].concat()
    }

    /// Codes a text as the appendix B says, of which these are all letters that it needs.
    fn huffman(text: &[u8]) -> Vec<u8> {
        let mut bits = String::new();
        for byte in text {
            bits.push_str(match byte {
                b':' => "1011100",
                b'b' => "100011",
                b'c' => "00100",
                b'e' => "00101",
                b'k' => "1110101",
                b'l' => "101000",
                b'o' => "00111",
                b'p' => "101011",
                b'r' => "101100",
                b's' => "01000",
                b't' => "01001",
                b'w' => "1111000",
                b'x' => "1111001",
                _ => panic!("{byte}"),
            });
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        let byte = |at: usize| u8::from_str_radix(&bits[at..at + 8], 2).unwrap();
        (0..bits.len()).step_by(8).map(byte).collect()
    }

    #[test]
    fn a_websocket_is_found_and_renamed() {
        assert_eq!((huffman(NAME), huffman(VALUE)), (CODED_NAME.to_vec(), CODED_VALUE.to_vec()));
        let asks = [
            (plain(NAME, VALUE), plain(STAND_IN.as_bytes(), VALUE)),
            (coded(CODED_NAME, CODED_VALUE), coded(&huffman(STAND_IN.as_bytes()), CODED_VALUE)),
        ];
        for (asked, renamed) in asks {
            let mut head_of = head(&[&asked]);
            assert!(rename(&mut head_of));
            assert_eq!(head_of, head(&[&renamed]));
            assert!(!rename(&mut head_of), "once");
        }
    }

    #[test]
    fn every_other_head_stays_as_it_is() {
        let websocket = plain(NAME, VALUE);
        let twice = [websocket.as_slice(), &websocket].concat();
        let mut heads = vec![
            head(&[]),
            head(&[&twice]),
            head(&[&plain(NAME, b"webtransport")]),
            head(&[&plain(b":protocox", VALUE)]),
            head(&[&plain(b"x-protocol", VALUE)]),
            Vec::new(),
            vec![0xff; 40],
        ];
        let whole = head(&[&websocket]);
        heads.extend((0..whole.len() - 4).map(|length| whole[..length].to_vec()));
        for mut head in heads {
            let before = head.clone();
            let at_its_end = before.ends_with(VALUE) || before.ends_with(b"a.b");
            assert!(!rename(&mut head) || at_its_end, "{}", before.escape_ascii());
        }
    }
}
