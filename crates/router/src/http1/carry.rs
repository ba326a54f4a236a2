//! One request: for whom it is, which target gets it, and what becomes of the connection after it.

use super::connection::{Connection, Next, Side};
use super::head::{self, Name};
use super::relay::{End, Relay};
use super::request::{self, Refusal, RequestHead};
use super::response::After;
use super::settings::{self, Edits};
use super::tunnel;
use crate::access_log::ErrorCode;
use crate::listen::ClientStream;
use crate::policy;
use crate::proxy::exchange::{Asked, Exchange};
use crate::proxy::forward::{self, FRESH_ENOUGH, Failure};
use crate::proxy::search::Search;
use crate::proxy::{admission, headers};
use crate::target::pool;
use http::StatusCode;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

/// What became of a request that was for an app.
enum Carried {
    /// The client has its answer.
    Answered(After),
    Failed(Failure),
    /// The client has a part of an answer, or is gone.
    Broken,
}

/// A request as it goes to a target, and whose it is.
struct Prepared {
    exchange: Exchange,
    /// The head as the target gets it.
    out: Vec<u8>,
}

impl<S: ClientStream> Connection<S> {
    /// Answers the request whose head is the first `length` bytes of the input.
    pub(super) async fn answer(&mut self, length: usize) -> Next {
        let mut request = match request::read(&self.side.input[..length]) {
            Ok(request) => request,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let router = Arc::clone(&self.side.router);
        let bytes = &self.side.input[..length];
        let host = match request.host(bytes) {
            Ok(host) => host,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let path = request.path(bytes);
        let plain_path = path.split_once('?').map_or(&*path, |(path, _)| path);
        if let Some(answer) = crate::challenge::find(&router.table, &host, plain_path) {
            router.requests.fetch_add(1, Ordering::Relaxed);
            let page = self.side.reader(&request, length, None).challenge(answer);
            return self.page(page, &request, length).await;
        }
        let Some(app) = router.table.current().find_at(&host, plain_path).cloned() else {
            router.requests.fetch_add(1, Ordering::Relaxed);
            let page = self.side.reader(&request, length, None).unknown_host(&host);
            return self.page(page, &request, length).await;
        };
        let compresses = app.policy.is_some() && app.route.settings().is_compressed();
        if compresses || app.speaks_h2c() {
            return Next::General;
        }
        router.requests.fetch_add(1, Ordering::Relaxed);
        let client = &self.side.client;
        let given = |name| head::values(bytes, &request.lines, name);
        let exchange = Exchange::new(
            router,
            Arc::clone(client),
            app,
            Asked {
                host,
                method: request.method.clone(),
                path: &path,
                request_id: headers::request_id_like(given(Name::RequestId).next()),
                forwarded_for: client.forwarded_for(given(Name::ForwardedFor)),
            },
        );
        let mut prepared = Prepared { exchange, out: Vec::new() };
        let prepared_well = self.side.prepare(&mut request, &mut prepared, length).await;
        let carried = match prepared_well {
            Ok(()) => self.carry(&request, &mut prepared, length).await,
            Err(failure) => Carried::Failed(failure),
        };
        match carried {
            Carried::Answered(After::Keep) => Next::Request,
            Carried::Answered(After::Close) => Next::Close,
            Carried::Broken => Next::Gone,
            Carried::Failed(failure) => {
                let exchange = prepared.exchange;
                self.fail(failure, exchange, &request, length).await
            }
        }
    }

    /// Says why a request that was not read is not served.
    pub(super) async fn refuse(&mut self, refusal: Refusal) -> Next {
        self.side.router.requests.fetch_add(1, Ordering::Relaxed);
        let page = self.side.stranger().refusal(refusal.status(), refusal.message());
        self.last_page(page).await
    }

    /// Says why a request of an app got no answer of its own.
    async fn fail(
        &mut self,
        failure: Failure,
        mut exchange: Exchange,
        request: &RequestHead,
        length: usize,
    ) -> Next {
        let reader = self.side.reader(request, length, Some(exchange.request_id()));
        let page = match failure {
            Failure::UnknownHost => {
                exchange.answer(StatusCode::NOT_FOUND);
                exchange.finish();
                reader.unknown_host(exchange.host())
            }
            Failure::TooLong(status) => {
                exchange.fail(ErrorCode::BadHeader);
                exchange.answer(status);
                reader.refusal(status, "The request line or a header of the request is too long.")
            }
            Failure::Refused(answer) => admission::refuse(&mut exchange, &reader, answer),
            Failure::Code(ErrorCode::BodyTooLarge) => {
                admission::refuse(&mut exchange, &reader, policy::too_large())
            }
            // The client is gone, or has fallen silent in the middle of its request.
            Failure::Code(code @ (ErrorCode::ClientIdle | ErrorCode::ClientInterrupted)) => {
                exchange.fail(code);
                return Next::Gone;
            }
            Failure::Code(code) => {
                exchange.fail(code);
                reader.failure_of(exchange.app(), code)
            }
        };
        drop(exchange);
        self.page(page, request, length).await
    }

    /// Sends the request to a target, or to another one for as long as nothing was sent, and its
    /// answer to the client.
    async fn carry(
        &mut self,
        request: &RequestHead,
        prepared: &mut Prepared,
        length: usize,
    ) -> Carried {
        let Prepared { exchange, out } = prepared;
        let upgrade = request.upgrade.is_some();
        let replayable = !request.has_body() && !upgrade && forward::is_idempotent(&request.method);
        let maximum_age = if replayable { Duration::MAX } else { FRESH_ENOUGH };
        let mut search = Search::preferring(exchange.changes().and_then(|changes| changes.sticky));
        let mut may_reuse = !upgrade;
        loop {
            let guard = match self.unless_gone(search.next(exchange)).await {
                Some(Ok(guard)) => guard,
                Some(Err(failure)) => return Carried::Failed(failure),
                None => return Carried::Broken,
            };
            let target = Arc::clone(guard.target());
            exchange.assign(guard);
            let pooled = if may_reuse { target.streams.take(maximum_age) } else { None };
            let reused = pooled.is_some();
            let mut stream = match pooled {
                Some(stream) => {
                    exchange.sending(Duration::ZERO);
                    stream
                }
                None => {
                    let started = Instant::now();
                    let limit = exchange.router().limits.connect;
                    match self.unless_gone(pool::open(target.address, limit)).await {
                        Some(Ok(stream)) => {
                            exchange.sending(started.elapsed());
                            stream
                        }
                        Some(Err(error)) => {
                            search.give_up(exchange, target, forward::connect_failure(&error));
                            continue;
                        }
                        None => return Carried::Broken,
                    }
                }
            };
            may_reuse = false;
            let Self { io, side } = self;
            let head = std::mem::take(out);
            let mut relay = Relay::new(side, exchange, request, length, head);
            let mut begun = false;
            let end = poll_fn(|cx| {
                if !begun {
                    begun = true;
                    if let Err(end) = relay.begin(&mut stream, cx) {
                        return Poll::Ready(end);
                    }
                }
                relay.poll(io, &mut stream, cx)
            })
            .await;
            let (taken, payload) = (relay.taken(), relay.payload());
            *out = relay.into_head();
            match end {
                End::Complete { after, reusable } => {
                    if reusable {
                        let limit = exchange.router().limits.idle_connections_per_target;
                        target.streams.put(stream, limit);
                    }
                    side.consume(taken);
                    return Carried::Answered(after);
                }
                End::Switched => {
                    side.consume(taken);
                    Box::pin(tunnel::run(io, stream, side, exchange)).await;
                    return Carried::Broken;
                }
                // Not a byte of it left, so any request may try again.
                End::Unsent if reused => {}
                End::Unsent => {
                    search.give_up(exchange, target, ErrorCode::ClosedWithoutResponse);
                }
                // The target closed the connection while it was idle: once more on a new one.
                End::Lost if reused && replayable => {}
                End::Lost => {
                    return Carried::Failed(Failure::Code(ErrorCode::ClosedWithoutResponse));
                }
                End::Failed(code) => return Carried::Failed(Failure::Code(code)),
                End::Broken(code) => {
                    exchange.count_bytes(payload);
                    exchange.fail(code);
                    return Carried::Broken;
                }
                End::Gone => {
                    exchange.count_bytes(payload);
                    return Carried::Broken;
                }
            }
        }
    }
}

impl Side {
    /// Checks what only an app's log may say, and writes the head for the target.
    async fn prepare(
        &self,
        request: &mut RequestHead,
        prepared: &mut Prepared,
        length: usize,
    ) -> Result<(), Failure> {
        let limits = &self.router.limits;
        let bytes = &self.input[..length];
        let path = request.path(bytes);
        if path.len() > limits.request_line {
            return Err(Failure::TooLong(StatusCode::URI_TOO_LONG));
        }
        if request.has_line_over(limits.header_line) {
            return Err(Failure::TooLong(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        if !request.expects_only_continue(bytes) {
            return Err(Failure::Code(ErrorCode::UnsupportedExpect));
        }
        let Prepared { exchange, out } = prepared;
        if exchange.app().policy.is_some() {
            Box::pin(settings::admit(self, exchange, request, length)).await?;
        }
        let edits = Edits::of_request(exchange.changes());
        edits.drop_replaced(bytes, &mut request.lines);
        let other_path = exchange.changes().and_then(|changes| changes.path_and_query.as_deref());
        out.reserve(length + 256);
        request.write(out, bytes, other_path.unwrap_or(&path));
        let given = |name| head::values(bytes, &request.lines, name).next();
        let (scheme, port) = (given(Name::ForwardedProto), given(Name::ForwardedPort));
        headers::tell_target(exchange, scheme, port, |name, value| {
            if !edits.replace(name.as_str().as_bytes()) {
                head::put(out, name.as_str(), value.as_bytes());
            }
        });
        if !edits.replace(b"via") {
            head::put_via(out, bytes, &request.lines);
        }
        edits.write(out);
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}
