//! Packets of SFTP, version 3, as far as copying from an instance needs them.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The version that is spoken.
const VERSION: u32 = 3;
/// Nobody who only reads needs longer ones, in bytes.
const LONGEST: usize = 64 * 1024;

/// A request, with the number that its answer must have.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Init,
    /// To read; who wants to write gets [`Request::Write`].
    Open {
        id: u32,
        path: String,
    },
    Close {
        id: u32,
        handle: u32,
    },
    Read {
        id: u32,
        handle: u32,
        offset: u64,
        length: u32,
    },
    /// Of an open file.
    StatOpen {
        id: u32,
        handle: u32,
    },
    Stat {
        id: u32,
        path: String,
    },
    /// What would change something.
    Write {
        id: u32,
    },
    Other {
        id: u32,
    },
}

/// What is told of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub size: u64,
    /// Its kind and permissions, as the kernel has them.
    pub mode: u32,
    /// Seconds since the Unix epoch.
    pub modified: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok = 0,
    EndOfFile = 1,
    NoSuchFile = 2,
    Denied = 3,
    Failure = 4,
    Unsupported = 8,
}

/// The client does not speak SFTP.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Takes the first whole packet out of what has come; `None` while there is none.
pub(super) fn take(input: &mut BytesMut) -> Result<Option<Request>, Malformed> {
    let Some(head) = input.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head) as usize;
    if length == 0 || length > LONGEST {
        return Err(Malformed);
    }
    if input.len() < 4 + length {
        return Ok(None);
    }
    input.advance(4);
    parse(input.split_to(length).freeze()).map(Some)
}

fn parse(mut packet: Bytes) -> Result<Request, Malformed> {
    let kind = packet.try_get_u8().map_err(|_| Malformed)?;
    let id = number(&mut packet)?;
    Ok(match kind {
        // Its number is the version.
        1 => Request::Init,
        3 => {
            let path = text(&mut packet)?;
            // Reading alone is 1.
            match number(&mut packet)? {
                1 => Request::Open { id, path },
                _ => Request::Write { id },
            }
        }
        4 => Request::Close { id, handle: handle(&mut packet)? },
        5 => {
            let handle = handle(&mut packet)?;
            let offset = packet.try_get_u64().map_err(|_| Malformed)?;
            Request::Read { id, handle, offset, length: number(&mut packet)? }
        }
        7 | 17 => Request::Stat { id, path: text(&mut packet)? },
        8 => Request::StatOpen { id, handle: handle(&mut packet)? },
        6 | 9 | 10 | 13 | 14 | 15 | 18 | 20 => Request::Write { id },
        _ => Request::Other { id },
    })
}

fn number(packet: &mut Bytes) -> Result<u32, Malformed> {
    packet.try_get_u32().map_err(|_| Malformed)
}

fn bytes(packet: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = number(packet)? as usize;
    if packet.len() < length { Err(Malformed) } else { Ok(packet.split_to(length)) }
}

fn text(packet: &mut Bytes) -> Result<String, Malformed> {
    String::from_utf8(bytes(packet)?.into()).map_err(|_| Malformed)
}

/// Handles that are not ours belong to no file.
fn handle(packet: &mut Bytes) -> Result<u32, Malformed> {
    let bytes = bytes(packet)?;
    Ok(bytes.as_ref().try_into().map_or(u32::MAX, u32::from_be_bytes))
}

pub(super) fn version() -> Bytes {
    packet(2, VERSION, |_| {})
}

pub(super) fn status(id: u32, status: Status) -> Bytes {
    let message = match status {
        Status::Ok => "",
        Status::EndOfFile => "the file ends here",
        Status::NoSuchFile => "there is no such file",
        Status::Denied => "files can only be copied from here: windlass ps:copy copies both ways",
        Status::Failure => "the file cannot be read",
        Status::Unsupported => "only files can be read here",
    };
    packet(101, id, |out| {
        out.put_u32(status as u32);
        put_bytes(out, message.as_bytes());
        put_bytes(out, b"en");
    })
}

pub(super) fn opened(id: u32, handle: u32) -> Bytes {
    packet(102, id, |out| put_bytes(out, &handle.to_be_bytes()))
}

pub(super) fn data(id: u32, data: &[u8]) -> Bytes {
    packet(103, id, |out| put_bytes(out, data))
}

pub(super) fn attributes(id: u32, file: Attributes) -> Bytes {
    packet(105, id, |out| {
        // Size, permissions, and times of access and change.
        out.put_u32(1 | 4 | 8);
        out.put_u64(file.size);
        out.put_u32(file.mode);
        out.put_u32(file.modified);
        out.put_u32(file.modified);
    })
}

fn packet(kind: u8, id: u32, fill: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u32(0);
    out.put_u8(kind);
    out.put_u32(id);
    fill(&mut out);
    let length = u32::try_from(out.len() - 4).unwrap_or(u32::MAX);
    out[..4].copy_from_slice(&length.to_be_bytes());
    out.freeze()
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: u8, fill: impl FnOnce(&mut BytesMut)) -> BytesMut {
        BytesMut::from(packet(kind, 7, fill).as_ref())
    }

    #[test]
    fn requests_are_taken_when_they_are_whole() {
        let open = |flags: u32| {
            request(3, |out| {
                put_bytes(out, b"notes.txt");
                out.put_u32(flags);
                out.put_u32(0);
            })
        };
        let whole = open(1);
        for end in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..end]);
            assert_eq!(take(&mut part), Ok(None), "{end}");
            assert_eq!(part.len(), end, "nothing is taken");
        }
        let mut both = [whole.as_ref(), &open(2)].concat().as_slice().into();
        let read = Request::Open { id: 7, path: "notes.txt".to_owned() };
        assert_eq!(take(&mut both), Ok(Some(read)));
        assert_eq!(take(&mut both), Ok(Some(Request::Write { id: 7 })));
        assert_eq!(take(&mut both), Ok(None));
        let mut read = request(5, |out| {
            put_bytes(out, &3u32.to_be_bytes());
            out.put_u64(1 << 40);
            out.put_u32(32_768);
        });
        let expected = Request::Read { id: 7, handle: 3, offset: 1 << 40, length: 32_768 };
        assert_eq!(take(&mut read), Ok(Some(expected)));
        assert_eq!(take(&mut request(1, |_| {})), Ok(Some(Request::Init)));
        assert_eq!(take(&mut request(16, |_| {})), Ok(Some(Request::Other { id: 7 })));
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        for bytes in [
            b"\0\0\0\0".as_slice(),
            b"\xff\xff\xff\xff",
            b"\0\0\0\x01\x03",
            b"\0\0\0\x09\x03\0\0\0\x01\xff\xff\xff\xff",
            b"\0\0\0\x0b\x11\0\0\0\x01\0\0\0\x02\xff\xfe",
        ] {
            assert_eq!(take(&mut BytesMut::from(bytes)), Err(Malformed), "{bytes:?}");
        }
        let mut strange = request(4, |out| put_bytes(out, b"not ours"));
        assert_eq!(take(&mut strange), Ok(Some(Request::Close { id: 7, handle: u32::MAX })));
    }

    #[test]
    fn answers_are_as_the_protocol_has_them() {
        assert_eq!(version().as_ref(), b"\0\0\0\x05\x02\0\0\0\x03");
        assert_eq!(opened(7, 3).as_ref(), b"\0\0\0\x0d\x66\0\0\0\x07\0\0\0\x04\0\0\0\x03");
        assert_eq!(data(7, b"hi").as_ref(), b"\0\0\0\x0b\x67\0\0\0\x07\0\0\0\x02hi");
        let file = Attributes { size: 5, mode: 0o100_644, modified: 9 };
        let expected =
            b"\0\0\0\x1d\x69\0\0\0\x07\0\0\0\x0d\0\0\0\0\0\0\0\x05\0\0\x81\xa4\0\0\0\x09\0\0\0\x09";
        assert_eq!(attributes(7, file).as_ref(), expected);
        assert_eq!(
            status(7, Status::Ok).as_ref(),
            b"\0\0\0\x13\x65\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\x02en"
        );
    }
}
