//! Handing over: the next router gets the listening sockets and the lock of this one, so that a
//! router is replaced without cutting anything off.
//!
//! 1. The next one listens on `<control socket>.next` and asks for a hand-over on the control socket.
//! 2. This one takes no more commands, saves its table, and passes its descriptors (`SCM_RIGHTS`).
//! 3. The next one reads the table, accepts connections, takes the control socket's place and says
//!    so ([`RouterCommand::TakenOver`]).
//! 4. This one accepts no more and ends with what it has in flight. Until then the next one passes
//!    it every change of the table and every drain, over the connection of step 2.
//!
//! The socket of HTTP/3 is passed as well, but read by one router at a time: see `http3`.
//!
//! When the next one fails before step 3, this one goes on as if nothing had happened.

use crate::client::RouterClient;
use crate::config::RouterError;
use crate::control::{self, Speaker};
use crate::http3;
use crate::listen::{self, TicketKeys};
use crate::run::Router;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use windlass_core::route::{RouterCommand, RouterReply};

/// How long the next router may take from the descriptors to its first request, and how long a
/// router may take to hand them over.
const LIMIT: Duration = Duration::from_secs(10);
/// The listening sockets, the lock, those of others in the process, and two of HTTP/3.
const MOST_DESCRIPTORS: usize = 10;
/// The longest message that goes with them.
const LONGEST_MESSAGE: usize = 4_096;

/// What is said with the descriptors, which are: the socket for http, the lock, that for https,
/// those of others, and last the socket of HTTP/3 and whose turn it is to read it.
#[derive(Default, Serialize, Deserialize)]
struct Message {
    has_https: bool,
    ticket_keys: TicketKeys,
    #[serde(default)]
    has_http3: bool,
}

/// What a router gets from the one before it.
pub struct Inherited {
    http: std::net::TcpListener,
    https: Option<std::net::TcpListener>,
    http3: Option<(std::net::UdpSocket, http3::Turn)>,
    pub(crate) ticket_keys: TicketKeys,
    pub(crate) lock: File,
    /// What the other router had in [`RouterConfig::others`](crate::RouterConfig::others).
    pub others: Vec<OwnedFd>,
    pub(crate) before: RouterClient,
}

/// Asks the router on `control_socket` for its sockets. It serves until the one that is given what
/// this returns does.
///
/// # Errors
/// When there is none, or it cannot hand over; it goes on then.
pub async fn take_over(control_socket: &Path) -> Result<Inherited, RouterError> {
    let failed = |source| RouterError::HandOver { socket: control_socket.to_owned(), source };
    let to = next_socket(control_socket);
    let listener = control::bind_private(&to).map_err(failed)?;
    let taken = receive(control_socket, &to, &listener).await.map_err(failed);
    let _ = std::fs::remove_file(&to);
    taken
}

fn next_socket(control_socket: &Path) -> PathBuf {
    let mut path = control_socket.as_os_str().to_owned();
    path.push(".next");
    path.into()
}

async fn receive(
    control_socket: &Path,
    to: &Path,
    listener: &UnixListener,
) -> io::Result<Inherited> {
    let client = RouterClient::connect(control_socket).await.map_err(io::Error::other)?;
    let asked = client.send(RouterCommand::HandOver { to: to.to_owned() });
    let reply = tokio::time::timeout(LIMIT, asked).await?.map_err(io::Error::other)?;
    if let RouterReply::Failed { message } = reply {
        return Err(io::Error::other(message));
    }
    let (stream, _) = tokio::time::timeout(LIMIT, listener.accept()).await??;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let (message, descriptors) = receive_descriptors(&stream)?;
    // A router of an earlier version says nothing that is understood, and has no https.
    let message: Message = serde_json::from_slice(&message).unwrap_or_default();
    let mut descriptors = descriptors.into_iter();
    let (Some(http), Some(lock)) = (descriptors.next(), descriptors.next()) else {
        return Err(io::Error::other("it passed too few descriptors"));
    };
    let https = if message.has_https { descriptors.next() } else { None };
    let mut others: Vec<OwnedFd> = descriptors.collect();
    let of_http3 = if message.has_http3 { others.pop().zip(others.pop()) } else { None };
    let http3 = of_http3.map(|(turn, socket)| (socket.into(), http3::Turn::from_fd(turn)));
    stream.set_read_timeout(None)?;
    stream.set_nonblocking(true)?;
    let before = RouterClient::over(tokio::net::UnixStream::from_std(stream)?);
    Ok(Inherited {
        http: http.into(),
        https: https.map(Into::into),
        ticket_keys: message.ticket_keys,
        lock: lock.into(),
        http3,
        others,
        before,
    })
}

impl Inherited {
    /// Returns the socket on which the other router took plain requests, or another one where that
    /// is not `wanted`.
    pub(crate) async fn http_listener(
        &self,
        wanted: SocketAddr,
        retry: Duration,
    ) -> Result<TcpListener, RouterError> {
        listener(Some(&self.http), wanted, retry).await
    }

    /// The same for requests over TLS.
    pub(crate) async fn https_listener(
        &self,
        wanted: SocketAddr,
        retry: Duration,
    ) -> Result<TcpListener, RouterError> {
        listener(self.https.as_ref(), wanted, retry).await
    }

    /// The same for those over HTTP/3, once.
    pub(crate) async fn http3_door(
        &mut self,
        wanted: SocketAddr,
        retry: Duration,
    ) -> Result<http3::Door, RouterError> {
        http3::Door::inherit(self.http3.take(), wanted, retry).await
    }
}

async fn listener(
    inherited: Option<&std::net::TcpListener>,
    wanted: SocketAddr,
    retry: Duration,
) -> Result<TcpListener, RouterError> {
    let failed = |source| RouterError::Listen { address: wanted, source };
    let Some(inherited) = inherited else { return listen::bind(wanted, retry).await };
    let has = inherited.local_addr().map_err(failed)?;
    if has != wanted && (wanted.port() != 0 || has.ip() != wanted.ip()) {
        return listen::bind(wanted, retry).await;
    }
    let listener = inherited.try_clone().map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    TcpListener::from_std(listener).map_err(failed)
}

/// Passes the sockets to the router that listens at `to`, and then follows what it says until it
/// is gone. The commands of anyone else wait meanwhile.
pub(crate) async fn offer(router: &Arc<Router>, to: &Path) -> io::Result<()> {
    if !router.gate.close() {
        return Err(io::Error::other("another hand-over is under way"));
    }
    let passed = async {
        router.table.save_now().await?;
        router.listening.tls.save_now().await?;
        pass(router, to)
    };
    match passed.await {
        Ok(stream) => {
            tokio::spawn(follow(stream, Arc::clone(router)));
            Ok(())
        }
        Err(error) => {
            router.gate.open();
            Err(error)
        }
    }
}

fn pass(router: &Router, to: &Path) -> io::Result<tokio::net::UnixStream> {
    let stream = UnixStream::connect(to)?;
    router.handles.send(&stream, router.listening.tls.ticket_keys())?;
    stream.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(stream)
}

/// Boxed, because what it answers may begin another hand-over.
fn follow(
    stream: tokio::net::UnixStream,
    router: Arc<Router>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(follow_to_its_end(stream, router))
}

async fn follow_to_its_end(stream: tokio::net::UnixStream, router: Arc<Router>) {
    let too_slow = async {
        tokio::time::sleep(LIMIT).await;
        if router.has_handed_over() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = control::converse(stream, Arc::clone(&router), Speaker::Next) => {}
        () = too_slow => tracing::warn!("the next router did not begin in time"),
    }
    if router.has_handed_over() {
        // Nobody can say any more when an instance is to be drained.
        router.hurry.notify_one();
    } else {
        tracing::warn!("the next router has ended before it served: going on");
        router.gate.open();
        router.control_lost.notify_one();
    }
}

fn send_descriptors(
    stream: &UnixStream,
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    if descriptors.len() > MOST_DESCRIPTORS {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut buffer = SendAncillaryBuffer::new(&mut space);
    if !buffer.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("the descriptors do not fit into one message"));
    }
    let sent = sendmsg(stream, &[IoSlice::new(message)], &mut buffer, SendFlags::NOSIGNAL)?;
    match sent == message.len() {
        true => Ok(()),
        false => Err(io::Error::other("the descriptors' message was cut off")),
    }
}

fn receive_descriptors(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut buffer = RecvAncillaryBuffer::new(&mut space);
    let mut message = vec![0; LONGEST_MESSAGE];
    let slices = &mut [IoSliceMut::new(&mut message)];
    let received = recvmsg(stream, slices, &mut buffer, RecvFlags::CMSG_CLOEXEC)?;
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("descriptors were lost on the way"));
    }
    let mut descriptors = Vec::new();
    for ancillary in buffer.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = ancillary {
            descriptors.extend(more);
        }
    }
    message.truncate(received.bytes);
    Ok((message, descriptors))
}

/// The descriptors that the next router gets. They are closed once it has them: nothing of a
/// router that has handed over may keep an address or the lock from others.
pub(crate) struct Handles(Mutex<Open>);

/// The listening sockets.
pub(crate) struct Sockets {
    pub http: OwnedFd,
    pub https: Option<OwnedFd>,
    /// The socket of HTTP/3, and whose turn it is to read it.
    pub http3: Option<(OwnedFd, OwnedFd)>,
}

struct Open {
    sockets: Option<Sockets>,
    lock: Option<File>,
    others: Arc<[OwnedFd]>,
}

impl Handles {
    pub fn new(sockets: Sockets, lock: File, others: Arc<[OwnedFd]>) -> Self {
        Self(Mutex::new(Open { sockets: Some(sockets), lock: Some(lock), others }))
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, stream: &UnixStream, ticket_keys: TicketKeys) -> io::Result<()> {
        let open = self.open();
        let (Some(sockets), Some(lock)) = (&open.sockets, &open.lock) else {
            return Err(io::Error::other("this router is ending"));
        };
        let has_http3 = sockets.http3.is_some();
        let message = Message { has_https: sockets.https.is_some(), ticket_keys, has_http3 };
        let mut descriptors = vec![sockets.http.as_fd(), lock.as_fd()];
        descriptors.extend(sockets.https.iter().map(AsFd::as_fd));
        descriptors.extend(open.others.iter().map(AsFd::as_fd));
        descriptors
            .extend(sockets.http3.iter().flat_map(|(udp, turn)| [udp.as_fd(), turn.as_fd()]));
        send_descriptors(stream, &serde_json::to_vec(&message)?, &descriptors)
    }

    /// Lets nobody connect any more.
    pub fn close_listeners(&self) {
        self.open().sockets = None;
    }

    pub fn close(&self) {
        *self.open() = Open { sockets: None, lock: None, others: Arc::new([]) };
    }
}

/// Closed while a hand-over is under way and after it: only the next router may change anything.
#[derive(Default)]
pub(crate) struct Gate {
    closed: Mutex<bool>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, bool> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether it was open.
    fn close(&self) -> bool {
        !std::mem::replace(&mut *self.state(), true)
    }

    fn open(&self) {
        *self.state() = false;
    }

    /// Does something that no hand-over may overtake; `None` when the gate is closed.
    pub fn pass<T>(&self, action: impl FnOnce() -> T) -> Option<T> {
        let closed = self.state();
        if *closed { None } else { Some(action()) }
    }
}
