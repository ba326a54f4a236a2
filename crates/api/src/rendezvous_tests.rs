use super::*;
use crate::attach::tests::{Process, exited, process_with};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use windlass_core::instance::TerminalSize;

const TERMINAL: TerminalSize = TerminalSize { rows: 24, columns: 80 };

/// A process, its client's end, and what serves both.
fn start(terminal: Option<TerminalSize>) -> (Process, DuplexStream, JoinHandle<io::Result<()>>) {
    let (process, attached) = process_with(terminal);
    let (client, server) = tokio::io::duplex(1 << 16);
    (process, client, tokio::spawn(exchange(server, attached)))
}

async fn greeted(client: &mut DuplexStream) {
    let mut greeting = vec![0; GREETING.len()];
    client.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, GREETING);
}

async fn say(process: &Process, text: &str) {
    let text = Bytes::copy_from_slice(text.as_bytes());
    process.output.send(AttachedOutput::Stdout(text)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_greeting_comes_alone() {
    let (process, mut client, _serving) = start(None);
    say(&process, "at once").await;
    let mut first = vec![0; 1_024];
    let count = client.read(&mut first).await.unwrap();
    assert_eq!(&first[..count], GREETING);
    let count = client.read(&mut first).await.unwrap();
    assert_eq!(&first[..count], b"at once");
}

#[tokio::test(start_paused = true)]
async fn output_waits_for_a_client_without_a_terminal_to_hear_the_greeting() {
    let mut piece = [0; 64];
    let (process, mut client, _serving) = start(None);
    greeted(&mut client).await;
    say(&process, "a line").await;
    let early = tokio::time::timeout(HEARD_LIMIT / 2, client.read(&mut piece)).await;
    assert!(early.is_err(), "it may not have read the greeting yet");
    client.write_all(b"\x04").await.unwrap();
    let read = tokio::time::timeout(HEARD_LIMIT / 4, client.read(&mut piece)).await;
    assert_eq!(&piece[..read.unwrap().unwrap()], b"a line");

    // At a terminal nobody types anything before there is something to see.
    let (process, mut client, _serving) = start(Some(TERMINAL));
    greeted(&mut client).await;
    say(&process, "$ ").await;
    let read = tokio::time::timeout(HEARD_LIMIT / 2, client.read(&mut piece)).await;
    assert_eq!(&piece[..read.unwrap().unwrap()], b"$ ");
}

#[tokio::test(start_paused = true)]
async fn the_last_byte_of_piped_input_ends_it_and_the_connection_waits_for_it() {
    let (mut process, mut client, serving) = start(None);
    greeted(&mut client).await;
    client.write_all(b"one\x04two\n").await.unwrap();
    let data = Bytes::from_static(b"one\x04two\n");
    assert_eq!(process.input.recv().await, Some(AttachedInput::Stdin(data)));
    process.output.send(exited(0)).await.unwrap();
    // The process has ended, but the client has not sent its last byte yet.
    let early = tokio::time::timeout(FAREWELL / 2, client.read_u8()).await;
    assert!(early.is_err(), "closed too early");
    client.write_all(b"\x04").await.unwrap();
    assert_eq!(process.input.recv().await, Some(AttachedInput::StdinClosed));
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0, "closed now");
    drop(client);
    serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_its_input_is_not_waited_for_long() {
    for terminal in [None, Some(TERMINAL)] {
        let (process, mut client, serving) = start(terminal);
        greeted(&mut client).await;
        process.output.send(exited(0)).await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        serving.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_gets_the_byte_itself() {
    let (mut process, mut client, _serving) = start(Some(TERMINAL));
    greeted(&mut client).await;
    client.write_all(b"\x03\x04").await.unwrap();
    let data = Bytes::from_static(b"\x03\x04");
    assert_eq!(process.input.recv().await, Some(AttachedInput::Stdin(data)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_hangs_up() {
    let (mut process, mut client, serving) = start(Some(TERMINAL));
    greeted(&mut client).await;
    drop(client);
    assert_eq!(process.input.recv().await, Some(AttachedInput::Signal(SIGHUP)));
    assert!(!process.output.is_closed(), "it has time to end");
    // It does not: it loses both ends, which kills it.
    serving.await.unwrap().unwrap();
    assert!(process.output.is_closed());
}

#[test]
fn the_line_with_the_exit_code_stays_whole() {
    let line = "\u{ffff} heroku-command-exit-status: 42\r\n";
    let text = format!("output {line}");
    let whole = text.as_bytes();
    for at in 0..=whole.len() {
        let mut marked = MarkedLine::default();
        let mut pieces = marked.cut(&whole[..at]);
        pieces.extend(marked.cut(&whole[at..]));
        assert!(pieces.iter().any(|piece| piece == line.as_bytes()), "cut at {at}: {pieces:?}");
        assert_eq!(pieces.concat(), whole, "cut at {at}");
        assert!(marked.is_empty());
    }
}

#[test]
fn what_only_looks_like_it_is_not_kept() {
    let mut marked = MarkedLine::default();
    assert_eq!(marked.cut(b"a\xef").concat(), b"a");
    assert_eq!(marked.cut(b"\xbb\xbf b").concat(), b"\xef\xbb\xbf b");
    let long = ["\u{ffff}", &"x".repeat(LONGEST_MARKED)].concat();
    assert_eq!(marked.cut(long.as_bytes()).concat(), long.as_bytes());
    assert_eq!(marked.cut("\u{ffff} ".as_bytes()).concat(), b"");
    assert_eq!(marked.take(), "\u{ffff} ".as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_line_that_does_not_end_is_sent_all_the_same() {
    let (process, mut client, _serving) = start(None);
    greeted(&mut client).await;
    say(&process, "\u{ffff} ?").await;
    let mut received = vec![0; 5];
    client.read_exact(&mut received).await.unwrap();
    assert_eq!(received, "\u{ffff} ?".as_bytes());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_secret_s_line_is_no_input() {
    for (rest, later) in [("\r\n", ""), ("", "\r\n"), ("?a=b", "&c\r\n"), ("", "")] {
        let (mut client, mut server) = tokio::io::duplex(64);
        client.write_all(later.as_bytes()).await.unwrap();
        end_line(&mut server, rest.as_bytes()).await.unwrap();
        client.write_all(b"input").await.unwrap();
        let mut input = vec![0; 5];
        server.read_exact(&mut input).await.unwrap();
        assert_eq!(input, b"input", "{rest} {later}");
    }
}
