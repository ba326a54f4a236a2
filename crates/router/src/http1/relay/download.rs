//! The way back: the target's answer.

use super::{End, Relay};
use crate::access_log::ErrorCode;
use crate::http1::body::{Flow, Framing};
use crate::http1::head::Ending;
use crate::http1::io::poll_read_with;
use crate::http1::response::{self, After, LONGEST_HEAD, MOST_INTERIM, ResponseHead};
use crate::http1::settings::Edits;
use crate::listen::ClientStream;
use crate::proxy::exchange::Exchange;
use crate::run::Phase;
use http::StatusCode;
use std::cell::RefCell;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;

impl Relay<'_> {
    /// Passes the answer on.
    pub(super) fn poll_download<S: ClientStream>(
        &mut self,
        io: &mut S,
        target: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Option<End> {
        loop {
            let waiting = self.side.sink.is_waiting();
            match self.side.sink.poll_drain(io, cx) {
                Poll::Ready(Ok(())) => self.moved |= waiting,
                Poll::Ready(Err(_)) => return Some(End::Gone),
                Poll::Pending => return None,
            }
            if self.download.as_ref().is_some_and(Flow::is_done) {
                let uploaded = self.upload.is_done() && !self.refused;
                let after = if uploaded { self.after } else { After::Close };
                return Some(End::Complete { after, reusable: self.reusable && uploaded });
            }
            let read = poll_read_with(target, cx, |bytes, cx, _| {
                self.moved = true;
                if bytes.is_empty() {
                    return self.target_closed(io, cx);
                }
                if self.begun.is_empty() {
                    return self.pass_down(io, cx, bytes);
                }
                let mut all = std::mem::take(&mut self.begun);
                all.extend_from_slice(bytes);
                self.pass_down(io, cx, &mut all)
            });
            match read {
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Ok(Some(end))) => return Some(end),
                Poll::Ready(Err(_)) => return Some(self.target_lost()),
                Poll::Pending => return None,
            }
        }
    }

    fn target_closed<S: ClientStream>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Option<End> {
        self.reusable = false;
        let Some(download) = &mut self.download else { return Some(self.target_lost()) };
        match download.close() {
            Ok(rest) => {
                conclude(self.exchange, download);
                let sent = self.side.sink.send(io, cx, [rest, b"", b"", b""]);
                sent.is_err().then_some(End::Gone)
            }
            Err(_) => Some(self.target_lost()),
        }
    }

    fn target_lost(&self) -> End {
        if self.download.is_some() {
            End::Broken(ErrorCode::ServerInterrupted)
        } else if self.begun.is_empty() && self.interim == 0 {
            End::Lost
        } else {
            End::Failed(ErrorCode::ClosedWithoutResponse)
        }
    }

    /// Sends what these bytes of the target mean for the client.
    fn pass_down<S: ClientStream>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Option<End> {
        let mut at = 0;
        while self.download.is_none() {
            let length = match self.ending.find(&bytes[at..]) {
                Ok(Some(length)) if length <= LONGEST_HEAD => length,
                Ok(None) if bytes.len() - at <= LONGEST_HEAD => {
                    self.begun.extend_from_slice(&bytes[at..]);
                    return self.send_interim(io, cx);
                }
                _ => return Some(End::Failed(ErrorCode::PoorResponse)),
            };
            self.ending = Ending::default();
            let head = &bytes[at..at + length];
            at += length;
            let Ok(mut response) = response::read(head, self.asked) else {
                return Some(End::Failed(ErrorCode::PoorResponse));
            };
            if !self.answered {
                self.answered = true;
                self.out.clear();
            }
            match response.status {
                101 => return Some(self.switch(io, cx, &response, head, &bytes[at..])),
                100..200 => {
                    self.interim += 1;
                    if self.interim > MOST_INTERIM {
                        return Some(End::Failed(ErrorCode::PoorResponse));
                    }
                    if self.asked.modern {
                        response.write_interim(&mut self.out, head, self.asked);
                    }
                }
                _ => self.answer(&mut response, head),
            }
        }
        let rest = &mut bytes[at..];
        let Some(download) = &mut self.download else { return None };
        let Ok(admitted) = download.admit(rest) else {
            // As long as `out` has the head, the client has not.
            return Some(match self.out.is_empty() {
                true => End::Broken(ErrorCode::ServerInterrupted),
                false => End::Failed(ErrorCode::PoorResponse),
            });
        };
        // What follows the answer belongs to nobody.
        self.reusable &= admitted.taken == rest.len();
        if download.is_done() {
            conclude(self.exchange, download);
        }
        let parts =
            [self.out.as_slice(), admitted.before(), &rest[..admitted.send], admitted.after()];
        let sent = self.side.sink.send(io, cx, parts);
        self.out.clear();
        sent.is_err().then_some(End::Gone)
    }

    /// Sends the interim responses that were written so far.
    fn send_interim<S: ClientStream>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Option<End> {
        if !self.answered || self.out.is_empty() {
            return None;
        }
        let sent = self.side.sink.send(io, cx, [&self.out, b"", b"", b""]);
        self.out.clear();
        sent.is_err().then_some(End::Gone)
    }

    /// Begins the answer.
    fn answer(&mut self, response: &mut ResponseHead, head: &[u8]) {
        self.exchange.answer(StatusCode::from_u16(response.status).unwrap_or_default());
        let has_end = self.asked.modern || matches!(response.framing, Framing::Length(_));
        let keeps = self.keep_alive && has_end && self.side.phase() == Phase::Serving;
        self.after = if keeps { After::Keep } else { After::Close };
        self.reusable = response.keep_alive;
        let instance = self.exchange.guard().map(|guard| guard.target().in_flight.instance());
        let edits = Edits::of_response(
            self.exchange.changes(),
            instance,
            self.side.client.alt_svc.as_ref(),
        );
        response.write(&mut self.out, head, self.asked, self.after, &edits);
        self.download = Some(Flow::new(response.framing, self.asked.modern));
    }

    /// Begins a tunnel, with the first bytes of the other protocol if there are any.
    fn switch<S: ClientStream>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        response: &ResponseHead,
        head: &[u8],
        rest: &[u8],
    ) -> End {
        if !self.upgrade || !response.has_upgrade() {
            return End::Failed(ErrorCode::PoorResponse);
        }
        self.exchange.answer(StatusCode::SWITCHING_PROTOCOLS);
        self.exchange.count_bytes(rest.len() as u64);
        response.write_interim(&mut self.out, head, self.asked);
        let sent = self.side.sink.send(io, cx, [&self.out, rest, b"", b""]);
        if sent.is_ok() { End::Switched } else { End::Gone }
    }
}

/// Ends the exchange with the target's last byte, before the client can have it: who has an answer
/// finds it in the log, and not in flight.
fn conclude(exchange: &mut Exchange, download: &Flow) {
    exchange.count_bytes(download.payload);
    exchange.finish();
    exchange.conclude();
}

/// Gives the time as `Date` has it, which is made once a second.
pub(in crate::http1) fn with_date<R>(with: impl FnOnce(&[u8]) -> R) -> R {
    thread_local! {
        static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    DATE.with_borrow_mut(|(made, text)| {
        if *made != second {
            *made = second;
            *text = httpdate::fmt_http_date(now);
        }
        with(text.as_bytes())
    })
}
