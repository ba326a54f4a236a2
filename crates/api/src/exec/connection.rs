//! One SSH connection into an instance: whose key it is, and what it asks for.

use super::{command, copy, forward};
use crate::ssh::{Gone, close, fingerprint, in_background};
use russh::keys::PublicKey;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use windlass_control::Platform;
use windlass_control::run::{ExecLine, ExecSession};
use windlass_core::instance::TerminalSize;

/// Connections that may be forwarded over one at once.
const MAXIMUM_FORWARDED: usize = 64;
/// The size of a terminal that says none.
const CLASSIC: TerminalSize = TerminalSize { rows: 24, columns: 80 };

pub(crate) struct ExecConnection {
    platform: Platform,
    /// Whoever has logged in.
    session: Option<ExecSession>,
    known: watch::Sender<bool>,
    /// What has not yet said what to run.
    waiting: Option<Waiting>,
    forwarded: Arc<Semaphore>,
}

struct Waiting {
    channel: Channel<Msg>,
    terminal: Option<Terminal>,
}

/// A terminal that the client has.
pub(super) struct Terminal {
    pub size: TerminalSize,
    /// What it is, for `TERM`.
    pub kind: String,
}

impl ExecConnection {
    /// Returns a handler, and what turns true when its client is known.
    pub(crate) fn new(platform: Platform) -> (Self, watch::Receiver<bool>) {
        let (known, is_known) = watch::channel(false);
        let forwarded = Arc::new(Semaphore::new(MAXIMUM_FORWARDED));
        (Self { platform, session: None, known, waiting: None, forwarded }, is_known)
    }

    fn session_of(&self, login: &str, key: &PublicKey) -> Option<ExecSession> {
        self.platform.exec_session(login, &fingerprint(key))
    }

    /// Returns what is to be started on a channel. The key is used up then.
    fn begin(&mut self, id: ChannelId) -> Option<(ExecSession, Waiting)> {
        let waiting = self.waiting.take_if(|waiting| waiting.channel.id() == id)?;
        let session = self.session.clone()?;
        self.platform.spend_exec_key(&session).then_some((session, waiting))
    }

    /// Starts on a channel what its client asked for.
    fn start<F>(
        &mut self,
        id: ChannelId,
        answer: &mut Session,
        work: impl FnOnce(Platform, ExecSession, Waiting) -> F,
    ) -> Result<(), russh::Error>
    where
        F: Future<Output = Result<(), Gone>> + Send + 'static,
    {
        let Some((session, waiting)) = self.begin(id) else { return answer.channel_failure(id) };
        answer.channel_success(id)?;
        in_background(work(self.platform.clone(), session, waiting));
        Ok(())
    }

    fn run(
        &mut self,
        id: ChannelId,
        line: ExecLine,
        answer: &mut Session,
    ) -> Result<(), russh::Error> {
        self.start(id, answer, |platform, session, waiting| async move {
            let (reader, writer) = waiting.channel.split();
            let terminal = waiting.terminal;
            let code = command::run(&platform, &session, line, terminal, reader, &writer).await?;
            close(&writer, code).await
        })
    }
}

impl Handler for ExecConnection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        login: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        let is_good = self.session_of(login, offer.public_key).is_some();
        Ok(if is_good { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(
        &mut self,
        login: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        self.session = self.session_of(login, key.public_key);
        if self.session.is_none() {
            return Ok(Auth::reject());
        }
        self.known.send_replace(true);
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        // Dropping the reply refuses the session.
        if self.session.is_some() && self.waiting.is_none() {
            self.waiting = Some(Waiting { channel, terminal: None });
            reply.accept().await;
        }
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(session) = self.session.clone() else { return Ok(()) };
        let Some(target) = forward::Target::parse(host, port) else { return Ok(()) };
        let Ok(place) = self.forwarded.clone().try_acquire_owned() else { return Ok(()) };
        if self.platform.keep_exec_key(&session) {
            let platform = self.platform.clone();
            tokio::spawn(async move {
                forward::serve(&platform, &session, &target, channel, reply).await;
                drop(place);
            });
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        kind: &str,
        columns: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        answer: &mut Session,
    ) -> Result<(), russh::Error> {
        match self.waiting.as_mut().filter(|waiting| waiting.channel.id() == id) {
            Some(waiting) => {
                let size = size(columns, rows).unwrap_or(CLASSIC);
                waiting.terminal = Some(Terminal { size, kind: kind.to_owned() });
                answer.channel_success(id)
            }
            None => answer.channel_failure(id),
        }
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        _name: &str,
        _value: &str,
        answer: &mut Session,
    ) -> Result<(), russh::Error> {
        // The environment is the app's.
        answer.channel_failure(id)
    }

    async fn shell_request(
        &mut self,
        id: ChannelId,
        answer: &mut Session,
    ) -> Result<(), russh::Error> {
        self.run(id, ExecLine::Shell, answer)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        line: &[u8],
        answer: &mut Session,
    ) -> Result<(), russh::Error> {
        match std::str::from_utf8(line) {
            Ok(line) => self.run(id, ExecLine::Line(line.to_owned()), answer),
            Err(_) => answer.channel_failure(id),
        }
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        answer: &mut Session,
    ) -> Result<(), russh::Error> {
        if name != "sftp" {
            return answer.channel_failure(id);
        }
        self.start(id, answer, |platform, session, waiting| async move {
            let (reader, writer) = waiting.channel.split();
            copy::serve(&platform, &session, reader, &writer).await?;
            close(&writer, 0).await
        })
    }

    async fn channel_close(
        &mut self,
        id: ChannelId,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.waiting.take_if(|waiting| waiting.channel.id() == id);
        Ok(())
    }
}

/// Reads a terminal's size; `None` for one that cannot be.
pub(super) fn size(columns: u32, rows: u32) -> Option<TerminalSize> {
    let number = |number: u32| u16::try_from(number).ok().filter(|number| *number > 0);
    Some(TerminalSize { rows: number(rows)?, columns: number(columns)? })
}
