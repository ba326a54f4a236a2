//! HTTP/1.1 messages, read out of the bytes that pass in one direction of a connection.

/// Longer heads are not HTTP, in bytes.
const LONGEST_HEAD: usize = 64 << 10;
/// More of a body is not kept, in bytes.
const LONGEST_BODY: usize = 8 << 20;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const END_OF_LINE: &[u8] = b"\r\n";

/// The first line of a message, and its headers with names in lower case.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) start: String,
    headers: Vec<(String, String)>,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.split("\r\n");
        let start = lines.next().filter(|line| line.contains("HTTP/1."))?.to_owned();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Self { start, headers: headers.collect::<Option<_>>()? })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The status of an answer.
    pub(super) fn status(&self) -> Option<u16> {
        self.start.split(' ').nth(1)?.parse().ok()
    }

    /// How the body goes on, as the headers say.
    fn framing(&self) -> Option<State> {
        if self.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            return Some(State::ChunkSize);
        }
        self.header("content-length")?.parse().ok().map(State::Length)
    }
}

/// What an observer says of a head.
pub(super) enum Body {
    /// As the headers say; without a word of them there is none.
    AsSaid,
    /// The same, but without a word of them it lasts until the connection ends.
    UntilClosed,
    Never,
    /// What follows is another protocol.
    Upgraded,
}

enum State {
    Head,
    Length(usize),
    ChunkSize,
    /// With the end of line behind it.
    Chunk(usize),
    Trailers,
    UntilClosed,
    /// Not HTTP, or not any more.
    Opaque,
}

/// Who looks at the messages of one direction.
pub(super) trait Observer {
    fn head(&mut self, head: &Head) -> Body;
    fn whole(&mut self, head: Head, body: Vec<u8>);
}

/// Reads one direction.
pub(super) struct Messages {
    state: State,
    waiting: Vec<u8>,
    head: Head,
    body: Vec<u8>,
}

impl Messages {
    pub(super) fn new() -> Self {
        let (waiting, body) = (Vec::new(), Vec::new());
        Self { state: State::Head, waiting, head: Head::default(), body }
    }

    /// Takes what has passed, in pieces of any size.
    pub(super) fn take(&mut self, bytes: &[u8], observer: &mut impl Observer) {
        if !matches!(self.state, State::Opaque) {
            self.waiting.extend_from_slice(bytes);
            while self.step(observer) {}
        }
    }

    /// The connection has ended.
    pub(super) fn end(&mut self, observer: &mut impl Observer) {
        if matches!(self.state, State::UntilClosed) {
            self.finish(observer);
        }
    }

    /// Goes one step on; false if more bytes are needed for it.
    fn step(&mut self, observer: &mut impl Observer) -> bool {
        match self.state {
            State::Opaque => {
                self.waiting.clear();
                false
            }
            State::Head => self.read_head(observer),
            State::Length(0) => self.finish(observer),
            State::Length(left) => {
                let taken = self.keep(left, left);
                self.state = State::Length(left - taken);
                taken > 0
            }
            State::ChunkSize => {
                let Some(line) = self.line() else { return false };
                let size = line.split(';').next().unwrap_or_default().trim();
                self.state = match usize::from_str_radix(size, 16) {
                    Ok(0) => State::Trailers,
                    Ok(size) => State::Chunk(size + END_OF_LINE.len()),
                    Err(_) => State::Opaque,
                };
                true
            }
            State::Chunk(0) => {
                self.state = State::ChunkSize;
                true
            }
            State::Chunk(left) => {
                let taken = self.keep(left, left.saturating_sub(END_OF_LINE.len()));
                self.state = State::Chunk(left - taken);
                taken > 0
            }
            State::Trailers => match self.line() {
                Some(line) if line.is_empty() => self.finish(observer),
                line => line.is_some(),
            },
            State::UntilClosed => self.keep(usize::MAX, usize::MAX) > 0,
        }
    }

    fn read_head(&mut self, observer: &mut impl Observer) -> bool {
        let Some(end) = find(&self.waiting, END_OF_HEAD) else {
            if self.waiting.len() > LONGEST_HEAD {
                self.state = State::Opaque;
            }
            return matches!(self.state, State::Opaque);
        };
        let head = Head::read(&self.waiting[..end]);
        self.waiting.drain(..end + END_OF_HEAD.len());
        self.state = match head {
            None => State::Opaque,
            Some(head) => {
                let said = head.framing();
                let body = observer.head(&head);
                self.head = head;
                match body {
                    Body::AsSaid => said.unwrap_or(State::Length(0)),
                    Body::UntilClosed => said.unwrap_or(State::UntilClosed),
                    Body::Never => State::Length(0),
                    Body::Upgraded => State::Opaque,
                }
            }
        };
        true
    }

    /// Takes up to `most` bytes off, of which the first `ours` are the body's.
    fn keep(&mut self, most: usize, ours: usize) -> usize {
        let taken = most.min(self.waiting.len());
        let room = LONGEST_BODY.saturating_sub(self.body.len());
        self.body.extend_from_slice(&self.waiting[..taken.min(ours).min(room)]);
        self.waiting.drain(..taken);
        taken
    }

    fn line(&mut self) -> Option<String> {
        let end = find(&self.waiting, END_OF_LINE)?;
        let line = String::from_utf8_lossy(&self.waiting[..end]).into_owned();
        self.waiting.drain(..end + END_OF_LINE.len());
        Some(line)
    }

    fn finish(&mut self, observer: &mut impl Observer) -> bool {
        self.state = State::Head;
        observer.whole(std::mem::take(&mut self.head), std::mem::take(&mut self.body));
        true
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Observer for Seen {
        fn head(&mut self, head: &Head) -> Body {
            match head.status() {
                Some(101) => Body::Upgraded,
                Some(204) => Body::Never,
                _ => Body::UntilClosed,
            }
        }

        fn whole(&mut self, head: Head, body: Vec<u8>) {
            let kind = head.header("content-type").unwrap_or_default();
            self.0.push(format!("{} {kind} {}", head.start, String::from_utf8_lossy(&body)));
        }
    }

    fn seen(bytes: &[u8], piece: usize) -> Vec<String> {
        let (mut messages, mut seen) = (Messages::new(), Seen::default());
        bytes.chunks(piece).for_each(|piece| messages.take(piece, &mut seen));
        messages.end(&mut seen);
        seen.0
    }

    #[test]
    fn messages_are_read_in_pieces_of_any_size() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Type: a\r\nContent-Length: 3\r\n\r\n[1]\
            HTTP/1.1 204 No Content\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\n[1\r\n3\r\n,2]\r\n0\r\nx: y\r\n\r\n\
            HTTP/1.1 200 OK\r\n\r\nto the end\r\n\r\n";
        let wanted = [
            "HTTP/1.1 200 OK a [1]",
            "HTTP/1.1 204 No Content  ",
            "HTTP/1.1 200 OK  [1,2]",
            "HTTP/1.1 200 OK  to the end\r\n\r\n",
        ];
        for piece in [1, 2, 7, 1_000] {
            assert_eq!(seen(bytes, piece), wanted, "{piece}");
        }
    }

    #[test]
    fn what_is_not_http_is_let_be() {
        let upgraded = b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        for other in [&upgraded[..], b"secret\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", b"\xff\r\n\r\n", b""]
        {
            assert_eq!(seen(other, 5), Vec::<String>::new());
        }
    }
}
