//! One client connection of HTTP/2, from its first bytes to its end.

use super::stream;
use crate::config::Limits;
use crate::last_time::LastTime;
use crate::listen::{Client, ClientIo};
use crate::run::{Phase, Router};
use crate::streams::Ending;
use crate::streams::taken_back::TakenBack;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use h2::server::SendResponse;
use h2::{Ping, PingPong, Reason, RecvStream};
use http::Request;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

/// What a client may send on one stream, and on all of them together, before an app has read it.
/// The second is the most memory that one connection can take with bodies.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What a stream may have waiting to be written to the client.
const SEND_BUFFER: usize = 256 * 1024;
/// Streams that a client may reset before the router has looked at them.
const RESET_UNSEEN: usize = 20;
/// Streams that may end because of the client's mistakes.
const RESET_FOR_ERRORS: usize = 256;
/// How often a connection is looked at which says nothing.
const LOOK: Duration = Duration::from_secs(10);
/// A client with streams open that was silent for longer is asked whether it is still there.
const ASK_AFTER: Duration = Duration::from_secs(30);
/// How long it may take to answer, and how long one may take that was told to go.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a client may still take to begin when the router ends.
const LATE: Duration = Duration::from_secs(1);

type Connection<S> = h2::server::Connection<ClientIo<S>, Bytes>;
type Streams = FuturesUnordered<Pin<Box<dyn Future<Output = Ending> + Send>>>;

/// Serves one connection, of whatever transport, to its end.
pub(crate) async fn serve<S>(stream: S, client: Client, router: Arc<Router>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &router.limits;
    let heard = Arc::<LastTime>::default();
    let stalled = Arc::clone(&client.stalled);
    let io = ClientIo::new(stream, Arc::clone(&heard), limits.idle, stalled);
    let mut phase = router.phase.subscribe();
    let handshake = builder(limits).handshake::<_, Bytes>(io);
    let connection = tokio::select! {
        biased;
        connection = tokio::time::timeout(limits.client_idle, handshake) => connection,
        () = too_late(&mut phase) => return,
    };
    // Whoever does not begin, or begins with something else, gets no answer.
    let Ok(Ok(mut connection)) = connection else { return };
    let session = Session {
        pings: connection.ping_pong(),
        connection,
        streams: FuturesUnordered::new(),
        client: Arc::new(client),
        taken_back: TakenBack::default(),
        heard,
        idle_since: Some(Instant::now()),
        asked: None,
        unread_since: None,
        leaving: None,
        router: Arc::clone(&router),
    };
    session.run(phase).await;
}

fn builder(limits: &Limits) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(u32::try_from(limits.request_head).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESET_UNSEEN)
        .max_local_error_reset_streams(Some(RESET_FOR_ERRORS))
        .enable_connect_protocol();
    builder
}

/// Waits until the router ends, and a little more.
async fn too_late(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| matches!(phase, Phase::Draining | Phase::Closing)).await;
    tokio::time::sleep(LATE).await;
}

struct Session<S> {
    connection: Connection<S>,
    streams: Streams,
    pings: Option<PingPong>,
    client: Arc<Client>,
    router: Arc<Router>,
    taken_back: TakenBack,
    /// When the client was last heard of.
    heard: Arc<LastTime>,
    /// Since when no stream has been open, as far as was looked.
    idle_since: Option<Instant>,
    /// When the client was asked whether it is still there.
    asked: Option<Instant>,
    /// Since when all that is left is what the client has not read.
    unread_since: Option<Instant>,
    /// Since when the client knows that it should connect anew.
    leaving: Option<Instant>,
}

impl<S> Session<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    async fn run(mut self, mut phase: watch::Receiver<Phase>) {
        let limits = &self.router.limits;
        let mut look = LOOK.min(limits.client_idle / 4).min(limits.idle / 4);
        look = look.max(Duration::from_millis(1));
        let mut looks = tokio::time::interval_at(Instant::now() + look, look);
        if *phase.borrow_and_update() != Phase::Serving {
            self.leave();
        }
        loop {
            tokio::select! {
                biased;
                // What ends it is the client's doing, and known to the exchanges that end with it.
                () = poll_fn(|cx| self.advance(cx)) => return,
                changed = phase.changed() => {
                    if changed.is_err() || *phase.borrow_and_update() == Phase::Closing {
                        return;
                    }
                    self.leave();
                }
                _ = looks.tick() => {
                    if !self.look() {
                        return;
                    }
                }
            }
        }
    }

    /// Reads, answers and writes as far as it goes now; ready when the connection has ended.
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "a client broke HTTP/2");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        // What streams send wakes this task once more, to be written all at once.
        while let Poll::Ready(Some(ending)) = self.streams.poll_next_unpin(cx) {
            match ending {
                Ending::Served => self.taken_back.forgive(),
                Ending::TakenBack => {
                    if self.taken_back.count(self.heard.age()) {
                        tracing::debug!("a client takes back too many requests");
                        self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                        cx.waker().wake_by_ref();
                    }
                }
            }
        }
        Poll::Pending
    }

    fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        self.idle_since = None;
        let (client, router) = (Arc::clone(&self.client), Arc::clone(&self.router));
        self.streams.push(Box::pin(stream::serve(request, respond, client, router)));
    }

    /// Tells the client to send nothing new here. What it has sent until it knows is answered.
    fn leave(&mut self) {
        if self.leaving.is_none() {
            self.leaving = Some(Instant::now());
            self.connection.graceful_shutdown();
        }
    }

    /// Looks after a connection that may be forgotten; returns whether it goes on.
    fn look(&mut self) -> bool {
        let now = Instant::now();
        if self.connection.has_streams() {
            self.idle_since = None;
            return self.reads(now) && self.is_there(now);
        }
        self.unread_since = None;
        let idle = now - *self.idle_since.get_or_insert(now);
        if idle < self.router.limits.client_idle {
            return true;
        }
        self.leave();
        self.leaving.is_none_or(|since| now - since < PATIENCE)
    }

    /// Returns whether the client can still be expected to read what waits for it. While a request
    /// is under way, that is for its stream to say.
    fn reads(&mut self, now: Instant) -> bool {
        // Every exchange has the client, tunnels too.
        if !self.streams.is_empty() || Arc::strong_count(&self.client) > 1 {
            self.unread_since = None;
            return true;
        }
        now - *self.unread_since.get_or_insert(now) <= self.router.limits.idle
    }

    /// Asks a client that is silent whether it is still there; returns whether it can be.
    fn is_there(&mut self, now: Instant) -> bool {
        let silence = self.heard.silence();
        if silence < ASK_AFTER {
            self.asked = None;
            return true;
        }
        if let Some(asked) = self.asked {
            return now - asked < PATIENCE;
        }
        if let Some(pings) = &mut self.pings {
            // One that is still under way will do as well.
            let _ = pings.send_ping(Ping::opaque());
            self.asked = Some(now);
        }
        true
    }
}
