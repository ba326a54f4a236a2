//! One SSH connection: who it is, and the git commands that it runs.

use super::child::{GitChild, Mode};
use super::command::GitCommand;
use crate::convention::error::chain;
use crate::ssh::{Gone, STANDARD_ERROR, close, fingerprint, in_background, say};
use bytes::Bytes;
use russh::keys::PublicKey;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;
use tokio::sync::watch;
use windlass_control::receive::GitOrigin;
use windlass_control::records::User;
use windlass_control::{Platform, PlatformError};

const READ_PIECE: usize = 32 * 1024;
/// Sessions that a connection may have open at once.
const MAXIMUM_CHANNELS: usize = 10;

/// A client of git over SSH.
pub(crate) struct SshConnection {
    platform: Platform,
    /// Where it comes from.
    from: Option<IpAddr>,
    /// The key that it proved to have: whose it is is looked up at each command, since a connection
    /// may outlive the key.
    key: Option<PublicKey>,
    known: watch::Sender<bool>,
    /// Sessions that have not yet said what to run.
    waiting: HashMap<ChannelId, Waiting>,
}

struct Waiting {
    channel: Channel<Msg>,
    protocol: Option<String>,
}

/// Who runs a command.
struct Client {
    platform: Platform,
    user: User,
    /// Of the key that it logged in with.
    fingerprint: String,
    from: Option<IpAddr>,
}

impl SshConnection {
    /// Returns a handler, and what turns true when its client is known.
    pub(crate) fn new(platform: Platform, from: Option<IpAddr>) -> (Self, watch::Receiver<bool>) {
        let (known, is_known) = watch::channel(false);
        (Self { platform, from, key: None, known, waiting: HashMap::new() }, is_known)
    }

    fn owner(&self, key: &PublicKey) -> Option<User> {
        match self.platform.user_of_key(&fingerprint(key)) {
            Ok(user) => user,
            Err(error) => {
                tracing::error!(error = %chain(&error), "an SSH key could not be looked up");
                None
            }
        }
    }

    /// Starts what a session asked for; `command` is `None` for a shell.
    fn start(
        &mut self,
        id: ChannelId,
        command: Option<&[u8]>,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let known = self.key.as_ref().and_then(|key| Some((self.owner(key)?, fingerprint(key))));
        let (Some((user, fingerprint)), Some(waiting)) = (known, self.waiting.remove(&id)) else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        let (reader, writer) = waiting.channel.split();
        let client = Client { platform: self.platform.clone(), user, fingerprint, from: self.from };
        let command = command.map(<[u8]>::to_vec);
        in_background(async move {
            let protocol = waiting.protocol.as_deref();
            let code = run(&client, command.as_deref(), protocol, reader, &writer).await?;
            close(&writer, code).await
        });
        Ok(())
    }
}

impl Handler for SshConnection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(if self.owner(offer.public_key).is_some() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        if self.owner(key.public_key).is_none() {
            return Ok(Auth::reject());
        }
        self.key = Some(key.public_key.clone());
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
        if self.key.is_some() && self.waiting.len() < MAXIMUM_CHANNELS {
            self.waiting.insert(channel.id(), Waiting { channel, protocol: None });
            reply.accept().await;
        }
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match self.waiting.get_mut(&channel) {
            Some(waiting) if name == "GIT_PROTOCOL" => {
                waiting.protocol = Some(value.to_owned());
                session.channel_success(channel)
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        // There is nothing to type at; ssh goes on without a terminal.
        session.channel_failure(channel)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.start(channel, None, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.start(channel, Some(command), session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(channel)
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.waiting.remove(&channel);
        Ok(())
    }
}

/// Runs a session's command and returns its exit code.
async fn run(
    client: &Client,
    command: Option<&[u8]>,
    protocol: Option<&str>,
    reader: ChannelReadHalf,
    writer: &ChannelWriteHalf<Msg>,
) -> Result<u32, Gone> {
    let Some(command) = command.and_then(GitCommand::parse) else {
        say(writer, &format!("Hi {}! Windlass does not give shell access.", client.user.email))
            .await?;
        return Ok(1);
    };
    match start_git(client, &command, protocol) {
        Ok(git) => converse(git, reader, writer).await,
        Err(message) => {
            say(writer, &message).await?;
            Ok(1)
        }
    }
}

/// Starts git, or says why not.
fn start_git(
    client: &Client,
    command: &GitCommand,
    protocol: Option<&str>,
) -> Result<GitChild, String> {
    let failed = "The platform failed; its log says why.";
    let explain = |error: PlatformError| match error {
        PlatformError::NotFound { resource: "app" } => {
            format!("Couldn't find an app named \"{}\".", command.app)
        }
        PlatformError::Internal(..) => {
            tracing::error!(error = %chain(&error), "git over SSH failed");
            failed.to_owned()
        }
        other => other.to_string(),
    };
    let Client { platform, user, fingerprint, from } = client;
    let app = platform.app(user, &command.app).map_err(explain)?;
    let keys = platform.keys(user).map_err(explain)?;
    let key = keys.into_iter().find(|key| key.fingerprint == *fingerprint);
    let login = key.map(|key| format!("SSH key {fingerprint} {}", key.comment).trim().to_owned());
    let origin = GitOrigin { address: *from, login };
    let session = platform.begin_git(user, &app, command.service, origin).map_err(explain)?;
    GitChild::start(session, command.service, Mode::Conversation, protocol).map_err(|error| {
        tracing::error!(error = %chain(&error), "git could not be started");
        failed.to_owned()
    })
}

/// Moves bytes between git and the client until git has ended. Leaving early, because the client is
/// gone, drops git and thereby ends it.
async fn converse(
    mut git: GitChild,
    reader: ChannelReadHalf,
    writer: &ChannelWriteHalf<Msg>,
) -> Result<u32, Gone> {
    let stdin = git.stdin.take();
    let output = forward(git.stdout.take(), |piece| writer.data_bytes(piece));
    let complaints =
        forward(git.stderr.take(), |piece| writer.extended_data_bytes(STANDARD_ERROR, piece));
    let all_output = async { tokio::try_join!(output, complaints) };
    tokio::select! {
        sent = all_output => { sent?; }
        () = feed(reader, stdin) => return Err(Gone),
    }
    let status = git.finish(None).await.map_err(|error| {
        tracing::warn!(%error, "git's end was not seen");
        Gone
    })?;
    Ok(status.code().and_then(|code| u32::try_from(code).ok()).unwrap_or(1))
}

/// Gives the client's bytes to git; returns only when the client is gone.
async fn feed(mut reader: ChannelReadHalf, mut stdin: Option<ChildStdin>) {
    while let Some(message) = reader.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                let written = match stdin.as_mut() {
                    Some(stdin) => stdin.write_all(&data).await,
                    None => Ok(()),
                };
                if written.is_err() {
                    // Git reads no more; what it has to say about that is on its way.
                    stdin = None;
                }
            }
            ChannelMsg::Eof => stdin = None,
            ChannelMsg::Close => return,
            _ => {}
        }
    }
}

/// Sends what git writes, each piece as it comes, as fast as the client takes it.
async fn forward<F, S>(from: Option<impl AsyncRead + Unpin>, send: F) -> Result<(), Gone>
where
    F: Fn(Bytes) -> S,
    S: Future<Output = Result<(), russh::Error>>,
{
    let Some(mut from) = from else { return Ok(()) };
    loop {
        let mut piece = Vec::with_capacity(READ_PIECE);
        match from.read_buf(&mut piece).await {
            Ok(1..) => send(Bytes::from(piece)).await?,
            Ok(_) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "git's output could not be read");
                return Ok(());
            }
        }
    }
}
