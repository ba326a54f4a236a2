//! One client connection of HTTP/3, from its first packet to its end.

use super::quic::{self, Requests};
use super::stream;
use crate::listen::{Client, in_time};
use crate::run::{Phase, Router};
use crate::streams::Ending;
use crate::streams::taken_back::TakenBack;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use h3::error::Code;
use h3::server::RequestResolver;
use quinn::VarInt;
use quinn::crypto::rustls::HandshakeData;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

/// How often a connection is looked at which says nothing.
const LOOK: Duration = Duration::from_secs(10);
/// How long a client that is told to go may not have heard it yet.
const HEARING: Duration = Duration::from_secs(1);
/// How far apart two streams with requests are numbered.
const APART: u64 = 4;

type Connection = h3::server::Connection<quic::Connection, Bytes>;
pub(super) type Resolver = RequestResolver<quic::Connection, Bytes>;
type Streams = FuturesUnordered<Pin<Box<dyn Future<Output = Ending> + Send>>>;

/// Shakes hands.
pub(super) async fn begin(incoming: quinn::Incoming, router: &Router) -> Option<quinn::Connection> {
    let address = incoming.remote_address();
    let shaken = async {
        let connecting = incoming.accept().map_err(io::Error::other)?;
        connecting.await.map_err(io::Error::other)
    };
    match in_time(router, router.limits.handshake, shaken).await {
        Ok(connection) => Some(connection),
        Err(error) => {
            tracing::debug!(%address, %error, "no QUIC with this client");
            None
        }
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(
    connection: quinn::Connection,
    permit: OwnedSemaphorePermit,
    router: Arc<Router>,
) {
    let limits = &router.limits;
    let head = limits.request_head as u64;
    // What is a little too long for a head is answered, not cut off.
    let transport = quic::Connection::new(connection.clone(), head.saturating_mul(2));
    let requests = transport.requests();
    let mut builder = h3::server::builder();
    builder.max_field_section_size(head).enable_extended_connect(true).send_grease(false);
    let begun = async { builder.build(transport).await.map_err(io::Error::other) };
    let Ok(h3) = in_time(&router, limits.handshake, begun).await else { return };
    let ip = connection.remote_address().ip();
    let client = Client::of_http3(ip, server_name(&connection), &router.listening);
    let phase = router.phase.subscribe();
    let session = Session {
        h3,
        requests,
        streams: FuturesUnordered::new(),
        client: Arc::new(client),
        connection,
        taken_back: TakenBack::default(),
        began: Instant::now(),
        idle_since: Some(Instant::now()),
        last: None,
        leaving: None,
        router: Arc::clone(&router),
        _permit: permit,
    };
    session.run(phase).await;
}

/// Returns the name that the client asked for, in lower case.
fn server_name(connection: &quinn::Connection) -> Option<Box<str>> {
    let data = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    Some(data.server_name?.to_ascii_lowercase().into_boxed_str())
}

struct Session {
    h3: Connection,
    requests: Arc<Requests>,
    streams: Streams,
    client: Arc<Client>,
    connection: quinn::Connection,
    taken_back: TakenBack,
    began: Instant,
    /// Since when no stream has been open, as far as was looked.
    idle_since: Option<Instant>,
    /// The number of the last request.
    last: Option<u64>,
    leaving: Option<Leaving>,
    router: Arc<Router>,
    _permit: OwnedSemaphorePermit,
}

/// What a client was told that should connect anew.
#[derive(Clone, Copy)]
enum Leaving {
    /// That it should, and from then on when it can be taken to know.
    Asked(Instant),
    /// Which of its requests was the last one.
    Told,
}

impl Session {
    async fn run(mut self, mut phase: watch::Receiver<Phase>) {
        let look = LOOK.min(self.router.limits.client_idle / 4).max(Duration::from_millis(1));
        let mut looks = tokio::time::interval_at(Instant::now() + look, look);
        if *phase.borrow_and_update() != Phase::Serving {
            self.leave().await;
        }
        while !self.has_ended() {
            let heard = match self.leaving {
                Some(Leaving::Asked(heard)) => Some(heard),
                _ => None,
            };
            tokio::select! {
                biased;
                Some(ending) = self.streams.next() => {
                    if !self.ended(ending) {
                        return;
                    }
                }
                accepted = self.h3.accept() => match accepted {
                    Ok(Some(request)) => self.begin(request),
                    // What ends it is the client's doing, and known to the exchanges.
                    Ok(None) | Err(_) => return,
                },
                changed = phase.changed() => {
                    if changed.is_err() || *phase.borrow_and_update() == Phase::Closing {
                        return;
                    }
                    self.leave().await;
                }
                () = tokio::time::sleep_until(heard.unwrap_or(self.began)), if heard.is_some() => {
                    self.tell_last().await;
                }
                _ = looks.tick() => self.look().await,
            }
        }
    }

    /// Returns whether nothing is left to do: dropping it closes the connection properly.
    fn has_ended(&self) -> bool {
        matches!(self.leaving, Some(Leaving::Told)) && self.streams.is_empty()
    }

    fn begin(&mut self, request: Resolver) {
        let Some(latest) = self.requests.latest() else { return };
        self.idle_since = None;
        self.last = self.last.max(Some(latest.number));
        let ip = self.connection.remote_address().ip();
        if ip.to_canonical() != self.client.ip {
            // It has moved to another network.
            let name = self.client.server_name.clone();
            self.client = Arc::new(Client::of_http3(ip, name, &self.router.listening));
        }
        let (client, router) = (Arc::clone(&self.client), Arc::clone(&self.router));
        self.streams.push(Box::pin(stream::serve(request, latest, client, router)));
    }

    /// Notes how a stream ended; returns whether the connection goes on.
    fn ended(&mut self, ending: Ending) -> bool {
        match ending {
            Ending::Served => self.taken_back.forgive(),
            Ending::TakenBack => {
                if self.taken_back.count(self.began.elapsed()) {
                    tracing::debug!("a client takes back too many requests");
                    let code = VarInt::from_u64(Code::H3_EXCESSIVE_LOAD.value());
                    self.connection.close(code.unwrap_or_default(), b"");
                    return false;
                }
            }
        }
        true
    }

    /// Tells the client to send nothing new here. What it has sent until it knows is answered.
    async fn leave(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        let streams = usize::try_from(self.router.limits.streams_per_connection);
        match self.last {
            Some(_) => {
                self.go_away(streams.unwrap_or(usize::MAX)).await;
                self.leaving = Some(Leaving::Asked(Instant::now() + HEARING));
            }
            // There is nothing that the client could wait for.
            None => self.tell_last().await,
        }
    }

    /// Tells the client which request was the last one; it may send those after it elsewhere.
    async fn tell_last(&mut self) {
        self.requests.refuse_from(self.last.map_or(0, |last| last + APART));
        self.go_away(1).await;
        self.leaving = Some(Leaving::Told);
    }

    /// Says that the next `more` requests after the last one are answered, and no others.
    async fn go_away(&mut self, more: usize) {
        // A client that takes nothing will not wait for it either.
        let _ = tokio::time::timeout(HEARING, self.h3.shutdown(more)).await;
    }

    /// Looks after a connection that may be forgotten. One that says nothing at all ends by itself.
    async fn look(&mut self) {
        if !self.streams.is_empty() {
            self.idle_since = None;
            return;
        }
        let now = Instant::now();
        let idle = now - *self.idle_since.get_or_insert(now);
        if idle >= self.router.limits.client_idle {
            self.leave().await;
        }
    }
}
