//! Connections that are forwarded: they are made by a process inside the instance, so that they
//! reach what it reaches, its own loopback first, and nothing else.

use super::command::{explain, feed, send};
use bytes::Bytes;
use russh::server::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use windlass_control::Platform;
use windlass_control::run::{ExecLine, ExecRequest, ExecSession};
use windlass_core::driver::{Attached, AttachedOutput};

/// How long the target may take to accept.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// What the process writes once it is connected.
const CONNECTED: u8 = b'+';
/// It ends when the target closes; when the client does, it is ended.
const SCRIPT: &str = r#"exec 3<>"/dev/tcp/$1/$2" || exit 1
printf +
exec 4<&0
cat <&4 >&3 &
exec cat <&3"#;

/// Where to connect to, as the instance sees it.
pub(super) struct Target {
    host: String,
    port: u16,
}

impl Target {
    /// Returns `None` for what is no host or port.
    pub fn parse(host: &str, port: u32) -> Option<Self> {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
        let is_host = (1..=255).contains(&host.len()) && host.bytes().all(allowed);
        let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
        is_host.then(|| Self { host: host.to_owned(), port })
    }

    fn words(&self) -> Vec<String> {
        let port = self.port.to_string();
        ["bash", "-c", SCRIPT, "forward", &self.host, &port].map(str::to_owned).into()
    }
}

/// Connects, answers the client whether that went well, and moves bytes until one side has closed.
pub(super) async fn serve(
    platform: &Platform,
    session: &ExecSession,
    target: &Target,
    channel: Channel<Msg>,
    reply: ChannelOpenHandle,
) {
    let Some((attached, first)) = connect(platform, session, target).await else {
        return reply.reject(ChannelOpenFailure::ConnectFailed).await;
    };
    reply.accept().await;
    let Attached { input, mut output, instance: _ } = attached;
    let (reader, writer) = channel.split();
    let ended = Notify::new();
    let receive = async {
        if !first.is_empty() {
            writer.data_bytes(first).await?;
        }
        send(&mut output, &writer).await
    };
    tokio::select! {
        _ = receive => {}
        () = feed(reader, input, &ended) => {}
    }
    // An error means that the client has closed it already.
    let _ = writer.eof().await;
    let _ = writer.close().await;
}

/// Returns the connected process, and what the target has said already.
async fn connect(
    platform: &Platform,
    session: &ExecSession,
    target: &Target,
) -> Option<(Attached, Bytes)> {
    let request = ExecRequest {
        command: ExecLine::Words(target.words()),
        environment: [].into(),
        terminal: None,
    };
    let doing = format!("Connecting to {}:{} in", target.host, target.port);
    match platform.exec_in_session(session, request, &doing).await {
        Ok(mut attached) => {
            let first = first_output(&mut attached.output);
            let first = tokio::time::timeout(CONNECT_LIMIT, first).await.ok()??;
            let rest = first.strip_prefix(&[CONNECTED])?.len();
            Some((attached, first.slice(first.len() - rest..)))
        }
        Err(error) => {
            let why = explain(&error, &session.name);
            tracing::debug!(why, "a connection was not forwarded");
            None
        }
    }
}

async fn first_output(output: &mut mpsc::Receiver<AttachedOutput>) -> Option<Bytes> {
    loop {
        match output.recv().await? {
            AttachedOutput::Stdout(bytes) if !bytes.is_empty() => return Some(bytes),
            AttachedOutput::Exited(_) => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_hosts_and_ports() {
        for (host, port) in [("0.0.0.0", 9229), ("::1", 1), ("db.internal", 65_535)] {
            assert!(Target::parse(host, port).is_some(), "{host} {port}");
        }
        let long = "x".repeat(256);
        for (host, port) in
            [("", 1), ("a", 0), ("a", 65_536), ("a/b", 1), ("a b", 1), ("$(id)", 1), (&long, 1)]
        {
            assert!(Target::parse(host, port).is_none(), "{host} {port}");
        }
    }
}
