//! The sockets at which the zone is answered.

use super::answer::{Authority, Extent};
use super::rates::Rates;
use crate::answer::Transport;
use crate::serve::{Doors, PAUSE, QUESTION_LIMIT, SILENCE_LIMIT};
use crate::upstream::{read_message, write_message};
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use windlass_core::challenges::Challenges;
use windlass_core::zone::Zone;

/// TCP connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 256;

/// Answers for a zone. Cheap to clone.
#[derive(Clone)]
pub struct ZoneServer {
    authority: Arc<Authority>,
    challenges: watch::Receiver<Arc<Challenges>>,
    connections: Arc<Semaphore>,
}

impl ZoneServer {
    /// Makes a server for this zone and the challenges that are open at each moment.
    ///
    /// # Errors
    /// When the zone's name is none.
    pub fn new(zone: Zone, challenges: watch::Receiver<Arc<Challenges>>) -> io::Result<Self> {
        let authority = Authority::new(zone).map_err(io::Error::other)?;
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        Ok(Self { authority: Arc::new(authority), challenges, connections })
    }

    /// Answers for ever.
    ///
    /// # Errors
    /// When the sockets cannot be used.
    pub async fn serve(self, doors: Doors) -> io::Result<()> {
        let (udp, tcp) = doors.into_tokio()?;
        tokio::join!(self.clone().serve_udp(udp), self.serve_tcp(tcp));
        Ok(())
    }

    async fn serve_udp(self, socket: UdpSocket) {
        let mut buffer = vec![0; QUESTION_LIMIT];
        let (mut rates, start) = (Rates::default(), Instant::now());
        loop {
            let (length, from) = match socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                Err(error) => {
                    tracing::debug!(%error, "a question about the zone was not received");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let now = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
            let Some(extent) = rates.extent(from.ip(), now) else { continue };
            if let Some(reply) = self.answer(&buffer[..length], Transport::Udp, extent) {
                // Whom it does not reach asks again.
                let _ = socket.send_to(&reply, from).await;
            }
        }
    }

    async fn serve_tcp(self, listener: TcpListener) {
        loop {
            let Ok(turn) = Arc::clone(&self.connections).acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a question about the zone");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let server = self.clone();
            tokio::spawn(async move {
                // An error ends the connection, which is all that can be said over it.
                let _ = server.converse(stream).await;
                drop(turn);
            });
        }
    }

    async fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let question = tokio::time::timeout(SILENCE_LIMIT, read_message(&mut stream)).await?;
            let Some(question) = question? else { return Ok(()) };
            let reply = self.answer(&question, Transport::Tcp, Extent::Whole);
            let Some(reply) = reply else { return Ok(()) };
            tokio::time::timeout(SILENCE_LIMIT, write_message(&mut stream, &reply)).await??;
        }
    }

    fn answer(&self, question: &[u8], transport: Transport, extent: Extent) -> Option<Vec<u8>> {
        let challenges = Arc::clone(&self.challenges.borrow());
        self.authority.answer(question, transport, extent, &challenges)
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
