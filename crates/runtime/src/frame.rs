//! Frames on the socket between driver and shim: one byte of kind, a little-endian `u32` of
//! length, the payload.

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Driver to shim: bytes for standard input.
    Stdin = 1,
    /// Driver to shim: standard input has ended. No payload.
    StdinClosed = 2,
    /// Driver to shim: a `TerminalSize` in JSON.
    Resize = 3,
    /// Driver to shim, first frame: a [`crate::launch::ExecRequest`] in JSON.
    Request = 4,
    /// Shim to driver, first frame: a [`crate::launch::Report`] in JSON.
    Report = 16,
    /// Shim to driver: bytes of standard output, or of the terminal.
    Stdout = 17,
    /// Shim to driver: bytes of standard error.
    Stderr = 18,
    /// Shim to driver, last frame of a command beside an instance: an `ExitStatus` in JSON.
    Exited = 19,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        let all = [
            Self::Stdin,
            Self::StdinClosed,
            Self::Resize,
            Self::Request,
            Self::Report,
            Self::Stdout,
            Self::Stderr,
            Self::Exited,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

const HEADER: usize = 5;

/// Longer payloads are a broken peer.
pub const MAXIMUM_PAYLOAD: usize = 1 << 20;

/// The bytes are not frames.
#[derive(Debug, thiserror::Error)]
#[error("the peer sent bytes that are not a frame (kind {kind}, length {length})")]
pub struct BrokenFrame {
    kind: u8,
    length: usize,
}

/// Appends a frame to `out`.
pub fn encode_into(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    out.push(kind as u8);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Cuts a stream of bytes into frames.
#[derive(Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole frame; `None` when more bytes are needed.
    pub fn next(&mut self) -> Result<Option<(Kind, Vec<u8>)>, BrokenFrame> {
        if self.buffer.len() < HEADER {
            return Ok(None);
        }
        let length = [self.buffer[1], self.buffer[2], self.buffer[3], self.buffer[4]];
        let length = u32::from_le_bytes(length) as usize;
        let kind = match Kind::from_byte(self.buffer[0]) {
            Some(kind) if length <= MAXIMUM_PAYLOAD => kind,
            _ => return Err(BrokenFrame { kind: self.buffer[0], length }),
        };
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        let payload = self.buffer[HEADER..HEADER + length].to_vec();
        self.buffer.drain(..HEADER + length);
        Ok(Some((kind, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cutting() {
        let mut bytes = Vec::new();
        encode_into(&mut bytes, Kind::Stdout, b"hello");
        encode_into(&mut bytes, Kind::StdinClosed, b"");
        encode_into(&mut bytes, Kind::Stderr, &[7; 300]);
        for step in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            for piece in bytes.chunks(step) {
                decoder.push(piece);
                while let Some(frame) = decoder.next().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames.len(), 3, "step {step}");
            assert_eq!(frames[0], (Kind::Stdout, b"hello".to_vec()));
            assert_eq!(frames[1], (Kind::StdinClosed, vec![]));
            assert_eq!(frames[2].1.len(), 300);
        }
    }

    #[test]
    fn rubbish_is_refused() {
        let mut decoder = Decoder::default();
        decoder.push(b"GET / HTTP/1.1\r\n");
        assert!(decoder.next().is_err());
    }
}
