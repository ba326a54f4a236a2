//! One request on its way to a target and the answer on its way back, both at the same time.

mod download;

pub(super) use download::with_date;

use super::body::Flow;
use super::connection::Side;
use super::head::Ending;
use super::io::{Sink, poll_read_with};
use super::request::RequestHead;
use super::response::{After, Asked};
use crate::access_log::ErrorCode;
use crate::listen::ClientStream;
use crate::policy::Changes;
use crate::proxy::exchange::{Exchange, TimeLimits};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::net::TcpStream;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client has all of the answer.
    Complete {
        after: After,
        /// The target takes another request on the connection.
        reusable: bool,
    },
    /// Both sides speak another protocol now.
    Switched,
    /// Not a byte has left.
    Unsent,
    /// The target closed the connection without a word.
    Lost,
    /// The client has seen nothing of an answer.
    Failed(ErrorCode),
    /// The client has seen a part of one.
    Broken(ErrorCode),
    /// Nobody waits for it any more: the client is gone, or the router ends.
    Gone,
}

/// A request under way.
pub(super) struct Relay<'a> {
    side: &'a mut Side,
    exchange: &'a mut Exchange,
    asked: Asked,
    upgrade: bool,
    keep_alive: bool,
    /// The length of the request's head, with which `input` begins.
    head: usize,
    /// Up to here `input` has been taken.
    taken: usize,
    /// First the head for the target, then that for the client.
    out: Vec<u8>,
    upload: Flow,
    /// The largest body, in bytes.
    most: u64,
    times: TimeLimits,
    /// The target does not take the rest of the request.
    refused: bool,
    awaits_client: bool,
    to_target: Sink,
    /// A head has come from the target, if only an interim one: `out` is for the client.
    answered: bool,
    /// The beginning of a head that has not come to its end.
    begun: Vec<u8>,
    ending: Ending,
    interim: u32,
    download: Option<Flow>,
    after: After,
    reusable: bool,
    /// Something has moved since the limit was set.
    moved: bool,
}

impl<'a> Relay<'a> {
    /// `out` is the head as the target gets it.
    pub fn new(
        side: &'a mut Side,
        exchange: &'a mut Exchange,
        request: &RequestHead,
        head: usize,
        out: Vec<u8>,
    ) -> Self {
        let most = exchange.changes().and_then(Changes::max_body).unwrap_or(u64::MAX);
        let times = exchange.times();
        Self {
            side,
            exchange,
            most,
            times,
            asked: request.asked(),
            upgrade: request.upgrade.is_some(),
            keep_alive: request.keep_alive,
            head,
            taken: head,
            out,
            upload: Flow::new(request.framing, true),
            refused: false,
            awaits_client: false,
            to_target: Sink::default(),
            answered: false,
            begun: Vec::new(),
            ending: Ending::default(),
            interim: 0,
            download: None,
            after: After::Close,
            reusable: true,
            moved: true,
        }
    }

    /// Sends the head with what has come of the body.
    pub fn begin(&mut self, target: &mut TcpStream, cx: &mut Context<'_>) -> Result<(), End> {
        let bytes = &mut self.side.input[self.taken..];
        let admitted = self.upload.admit(bytes).map_err(|_| End::Failed(ErrorCode::BadChunk))?;
        if self.upload.payload > self.most {
            return Err(End::Failed(ErrorCode::BodyTooLarge));
        }
        let parts =
            [self.out.as_slice(), admitted.before(), &bytes[..admitted.send], admitted.after()];
        match self.to_target.send(target, cx, parts) {
            Ok(()) => self.taken += admitted.taken,
            Err(_) if self.to_target.written == 0 => return Err(End::Unsent),
            // It may have said why.
            Err(_) => self.refused = true,
        }
        Ok(())
    }

    /// Gives the head for the target back, if nothing has come from one.
    pub fn into_head(self) -> Vec<u8> {
        self.out
    }

    /// Returns how much of `input` belonged to this request.
    pub fn taken(&self) -> usize {
        self.taken
    }

    pub fn payload(&self) -> u64 {
        self.download.as_ref().map_or(0, |download| download.payload)
    }

    /// Goes on until nothing moves any more.
    pub fn poll<S: ClientStream>(
        &mut self,
        io: &mut S,
        target: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<End> {
        let over = self.side.alarm.poll(cx);
        if self.side.is_closing() {
            return Poll::Ready(End::Gone);
        }
        if let Some(end) = self.poll_upload(io, target, cx) {
            return Poll::Ready(end);
        }
        if let Some(end) = self.poll_download(io, target, cx) {
            return Poll::Ready(end);
        }
        // Before that it is the upload that reads.
        if (self.upload.is_done() || self.refused) && self.side.poll_gone(io, cx).is_ready() {
            return Poll::Ready(End::Gone);
        }
        if self.moved {
            self.moved = false;
            let waits = self.download.is_none() && self.upload.is_done();
            let limit = if waits { self.times.first_byte } else { self.times.idle };
            self.side.alarm.set(Instant::now(), limit);
        } else if over {
            return Poll::Ready(self.over());
        }
        Poll::Pending
    }

    /// Says whose silence it was.
    fn over(&self) -> End {
        let client = !self.upload.is_done() && !self.refused && self.awaits_client;
        match (client, self.download.is_some()) {
            (true, false) => End::Failed(ErrorCode::ClientIdle),
            (false, false) => End::Failed(ErrorCode::RequestTimeout),
            (true, true) => End::Broken(ErrorCode::ClientIdle),
            (false, true) if self.side.sink.is_waiting() => End::Broken(ErrorCode::ClientIdle),
            (false, true) => End::Broken(ErrorCode::IdleConnection),
        }
    }

    /// Passes the request's body on.
    fn poll_upload<S: ClientStream>(
        &mut self,
        io: &mut S,
        target: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Option<End> {
        loop {
            if self.refused {
                return None;
            }
            let waiting = self.to_target.is_waiting();
            match self.to_target.poll_drain(target, cx) {
                Poll::Ready(Ok(())) => self.moved |= waiting,
                Poll::Ready(Err(_)) => self.refused = true,
                Poll::Pending => return None,
            }
            if self.upload.is_done() || self.refused {
                return None;
            }
            self.awaits_client = false;
            if self.side.input.len() > self.taken {
                let mut input = std::mem::take(&mut self.side.input);
                let passed = self.pass_up(target, cx, &mut input[self.taken..]);
                self.side.input = input;
                match passed {
                    Ok(taken) => self.taken += taken,
                    Err(end) => return Some(end),
                }
                continue;
            }
            // All of it has gone: the head is kept for what the log or a page may need.
            self.side.input.truncate(self.head);
            self.taken = self.head;
            let read = poll_read_with(io, cx, |bytes, cx, _| {
                if bytes.is_empty() {
                    return Err(End::Gone);
                }
                let taken = self.pass_up(target, cx, bytes)?;
                self.side.input.extend_from_slice(&bytes[taken..]);
                Ok(())
            });
            match read {
                Poll::Ready(Ok(Ok(()))) => {}
                Poll::Ready(Ok(Err(end))) => return Some(end),
                Poll::Ready(Err(_)) => return Some(End::Gone),
                Poll::Pending => {
                    self.awaits_client = true;
                    return None;
                }
            }
        }
    }

    /// Sends what belongs to the body of these bytes, and returns how many those are.
    fn pass_up(
        &mut self,
        target: &mut TcpStream,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Result<usize, End> {
        self.moved = true;
        let seen = self.download.is_some();
        let failed = |code| if seen { End::Broken(code) } else { End::Failed(code) };
        let admitted = self.upload.admit(bytes).map_err(|_| failed(ErrorCode::BadChunk))?;
        if self.upload.payload > self.most {
            return Err(failed(ErrorCode::BodyTooLarge));
        }
        let parts = [admitted.before(), &bytes[..admitted.send], admitted.after(), b""];
        self.refused |= self.to_target.send(target, cx, parts).is_err();
        Ok(admitted.taken)
    }
}
