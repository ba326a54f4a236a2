//! The hook's side: git's `proc-receive` protocol on standard input and output, the server on a
//! socket. Runs in a process of its own that git starts; see `githooks(5)`.

use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// The name under which git runs this binary.
pub const HOOK_NAME: &str = "proc-receive";
pub(super) const SOCKET_VARIABLE: &str = "WINDLASS_HOOK_SOCKET";
pub(super) const SESSION_VARIABLE: &str = "WINDLASS_GIT_SESSION";

/// One ref that a push wants to change. Ids are hexadecimal; all zeros stand for "none".
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct RefUpdate {
    pub old: String,
    pub new: String,
    pub name: String,
}

/// What the hook asks the server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HookRequest {
    pub session: String,
    pub updates: Vec<RefUpdate>,
}

/// What the server answers, one JSON object a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HookAnswer {
    /// Text for the person who pushes.
    Output(String),
    /// The last answer.
    Results(Vec<RefResult>),
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct RefResult {
    pub name: String,
    pub outcome: RefOutcome,
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefOutcome {
    /// The server moved it, from this old value.
    Moved {
        old: String,
    },
    /// git may move it as usual.
    Stored,
    Refused {
        reason: String,
    },
}

/// Runs the hook. Its exit code only matters when it is not 0: git then refuses everything.
#[must_use]
pub fn main() -> ExitCode {
    match run(&mut io::stdin().lock(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(" !     Windlass could not take this push: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(from_git: &mut impl Read, to_git: &mut impl Write) -> io::Result<()> {
    let variable = |name| {
        std::env::var(name).map_err(|_| {
            io::Error::other(format!("{name} is not set: this is a hook that Windlass runs"))
        })
    };
    // Version and features: we use none.
    while read_packet(from_git)?.is_some() {}
    write_packet(to_git, b"version=1")?;
    to_git.write_all(b"0000")?;
    to_git.flush()?;
    let mut updates = Vec::new();
    while let Some(line) = read_packet(from_git)? {
        updates.push(parse_update(&line)?);
    }
    let mut server = UnixStream::connect(variable(SOCKET_VARIABLE)?)
        .map_err(|error| io::Error::other(format!("the server does not answer ({error})")))?;
    let request = HookRequest { session: variable(SESSION_VARIABLE)?, updates };
    server.write_all(serde_json::to_string(&request)?.as_bytes())?;
    server.write_all(b"\n")?;
    for result in relay(server)? {
        write_result(to_git, &result)?;
    }
    to_git.write_all(b"0000")?;
    to_git.flush()
}

/// Passes the server's output on to standard error, which git shows to the pusher as `remote:`.
fn relay(server: UnixStream) -> io::Result<Vec<RefResult>> {
    let mut lines = BufReader::new(server);
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Err(io::Error::other(
                "the server stopped during the push; the old release is untouched, push again",
            ));
        }
        match serde_json::from_str(&line)? {
            HookAnswer::Output(text) => io::stderr().write_all(text.as_bytes())?,
            HookAnswer::Results(results) => return Ok(results),
        }
    }
}

fn parse_update(line: &[u8]) -> io::Result<RefUpdate> {
    let text = String::from_utf8_lossy(line);
    let mut parts = text.trim_end().splitn(3, ' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(old), Some(new), Some(name)) => {
            Ok(RefUpdate { old: old.to_owned(), new: new.to_owned(), name: name.to_owned() })
        }
        _ => Err(io::Error::other(format!("git sent an update that cannot be read: {text:?}"))),
    }
}

fn write_result(to_git: &mut impl Write, result: &RefResult) -> io::Result<()> {
    match &result.outcome {
        RefOutcome::Moved { old } => {
            write_packet(to_git, format!("ok {}", result.name).as_bytes())?;
            write_packet(to_git, format!("option old-oid {old}").as_bytes())
        }
        RefOutcome::Stored => {
            write_packet(to_git, format!("ok {}", result.name).as_bytes())?;
            write_packet(to_git, b"option fall-through")
        }
        RefOutcome::Refused { reason } => {
            write_packet(to_git, format!("ng {} {reason}", result.name).as_bytes())
        }
    }
}

/// Reads one pkt-line; `None` for a flush.
fn read_packet(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0u8; 4];
    from.read_exact(&mut length)?;
    let length =
        std::str::from_utf8(&length).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
    match length {
        Some(0) => Ok(None),
        Some(length @ 4..) => {
            let mut packet = vec![0u8; length - 4];
            from.read_exact(&mut packet)?;
            Ok(Some(packet))
        }
        _ => Err(io::Error::other("git sent a packet with a bad length")),
    }
}

fn write_packet(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write!(to, "{:04x}", bytes.len() + 4)?;
    to.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_go_there_and_back() {
        let mut wire = Vec::new();
        write_packet(&mut wire, b"ok refs/heads/main").unwrap();
        wire.extend_from_slice(b"0000");
        let mut reader = wire.as_slice();
        assert_eq!(read_packet(&mut reader).unwrap().unwrap(), b"ok refs/heads/main");
        assert!(read_packet(&mut reader).unwrap().is_none());
        for bad in [&b"zzzz"[..], b"0001", b"00ff short", b"00"] {
            assert!(read_packet(&mut &bad[..]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn updates_are_parsed() {
        let update = parse_update(b"0000 1234 refs/heads/a b\n").unwrap();
        assert_eq!((update.old.as_str(), update.name.as_str()), ("0000", "refs/heads/a b"));
        assert!(parse_update(b"0000 1234").is_err());
    }
}
