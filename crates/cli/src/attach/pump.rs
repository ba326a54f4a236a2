//! Moves bytes between the local streams and the attached process until that ends.

use super::connection::Connection;
use super::frames::{Frame, decode, encode};
use crate::error::{CliError, Result};
use crate::output::Output;
use crate::terminal;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use windlass_wire::attach;

/// Standard input is not read while so much waits to be sent, in bytes.
const MOST_WAITING: usize = 256 * 1024;

/// Signals of this process, each as a pipe that can be polled.
#[derive(Default)]
pub struct Signals(Vec<(i32, UnixStream)>);

impl Signals {
    /// Takes over the terminal's size changes and the signals that end a process.
    pub fn take() -> io::Result<Signals> {
        let mut taken = Vec::new();
        for signal in [SIGWINCH, SIGINT, SIGTERM, SIGHUP] {
            let (receiver, sender) = UnixStream::pair()?;
            receiver.set_nonblocking(true)?;
            signal_hook::low_level::pipe::register(signal, sender)?;
            taken.push((signal, receiver));
        }
        Ok(Signals(taken))
    }
}

/// Where what the process writes goes.
pub trait Sink {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn err(&mut self, bytes: &[u8]) -> io::Result<()>;
}

impl Sink for Output {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes(bytes)
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.error_bytes(bytes)
    }
}

/// A running attachment.
pub struct Attachment<'a> {
    connection: Connection,
    input: Option<BorrowedFd<'a>>,
    signals: Signals,
    /// Whether the process has a terminal, ours.
    terminal: bool,
    interrupted: bool,
}

/// What happened on one of the polled descriptors.
#[derive(Default)]
struct Ready {
    input: bool,
    receive: bool,
    send: bool,
    signals: Vec<i32>,
}

impl<'a> Attachment<'a> {
    pub fn new(
        connection: Connection,
        input: BorrowedFd<'a>,
        signals: Signals,
        terminal: bool,
    ) -> Attachment<'a> {
        Attachment { connection, input: Some(input), signals, terminal, interrupted: false }
    }

    /// Runs until the process has ended; gives its exit code.
    ///
    /// SIGTERM and SIGHUP are passed on and end it here with 128 and the number, as does
    /// a second SIGINT. The connection's end without an exit code is an error.
    pub fn run(mut self, output: &mut impl Sink) -> Result<u8> {
        if self.terminal {
            self.send_size();
        }
        let broken = |error: io::Error| CliError::general(format!("The connection broke: {error}"));
        loop {
            while let Some(frame) = decode(&mut self.connection.received)? {
                if let Some(code) = show(&frame, output)? {
                    return Ok(code);
                }
            }
            let ready = self.wait().map_err(broken)?;
            for signal in ready.signals {
                if let Some(code) = self.pass_on(signal) {
                    // The process learns of it if the socket takes it now.
                    let _ = self.connection.send();
                    return Ok(code);
                }
            }
            if ready.input {
                self.read_input()?;
            }
            if (ready.send || self.connection.wants_write()) && self.connection.send().is_err() {
                // The process may have ended without reading all of its input;
                // its last frames are still to be read.
                self.input = None;
                self.connection.to_send.clear();
            }
            let open = !ready.receive || self.connection.receive().unwrap_or(false);
            if !open {
                return self.finish(output);
            }
        }
    }

    /// The connection has ended: the exit code must be among what has come.
    fn finish(mut self, output: &mut impl Sink) -> Result<u8> {
        while let Some(frame) = decode(&mut self.connection.received)? {
            if let Some(code) = show(&frame, output)? {
                return Ok(code);
            }
        }
        Err(CliError::general("The connection ended before the command did.")
            .hint("`windlass ps` tells whether it still runs; `windlass logs` what it wrote."))
    }

    fn wait(&self) -> io::Result<Ready> {
        let mut interest = PollFlags::IN;
        if self.connection.wants_write() {
            interest |= PollFlags::OUT;
        }
        let input = self.input.filter(|_| self.connection.to_send.len() < MOST_WAITING);
        let mut polled = vec![PollFd::from_borrowed_fd(self.connection.descriptor(), interest)];
        for (_, pipe) in &self.signals.0 {
            polled.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
        }
        if let Some(input) = input {
            polled.push(PollFd::from_borrowed_fd(input, PollFlags::IN));
        }
        match poll(&mut polled, None) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(error.into()),
        }
        let happened: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
        let numbers = self.signals.0.iter().map(|(signal, _)| *signal);
        let signals = numbers
            .zip(&happened[1..])
            .filter(|(_, flags)| !flags.is_empty())
            .map(|(signal, _)| signal);
        Ok(Ready {
            input: input.is_some() && happened.last().is_some_and(|flags| !flags.is_empty()),
            receive: happened[0].intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
            send: happened[0].contains(PollFlags::OUT),
            signals: signals.collect(),
        })
    }

    fn read_input(&mut self) -> Result<()> {
        let Some(input) = self.input else {
            return Ok(());
        };
        let mut bytes = [0; 16 * 1024];
        match rustix::io::read(input, &mut bytes) {
            Ok(0) => {
                self.input = None;
                encode(attach::STDIN_CLOSED, &[], &mut self.connection.to_send);
            }
            Ok(count) => {
                let bytes = &bytes[..count];
                encode(attach::STDIN, bytes, &mut self.connection.to_send);
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            // A terminal that hung up reads as an error; so does a closed descriptor.
            Err(_) => {
                self.input = None;
                encode(attach::STDIN_CLOSED, &[], &mut self.connection.to_send);
            }
        }
        Ok(())
    }

    /// Handles one signal; gives the exit code if it ends this client.
    fn pass_on(&mut self, signal: i32) -> Option<u8> {
        if let Some((_, pipe)) = self.signals.0.iter_mut().find(|(n, _)| *n == signal) {
            let mut bytes = [0; 64];
            while matches!(pipe.read(&mut bytes), Ok(1..)) {}
        }
        if signal == SIGWINCH {
            self.send_size();
            return None;
        }
        let number = u8::try_from(signal).unwrap_or_default();
        encode(attach::SIGNAL, &[number], &mut self.connection.to_send);
        let first_interrupt = signal == SIGINT && !self.interrupted;
        self.interrupted = true;
        (!first_interrupt).then_some(128 + number)
    }

    fn send_size(&mut self) {
        if let (true, Some((rows, columns))) = (self.terminal, terminal::size()) {
            let [a, b] = rows.to_le_bytes();
            let [c, d] = columns.to_le_bytes();
            encode(attach::RESIZE, &[a, b, c, d], &mut self.connection.to_send);
        }
    }
}

/// Writes a frame's output; gives the exit code of the last frame.
///
/// Codes outside of 0 to 255 (a signal, as -N) become 1 or 128 + N.
fn show(frame: &Frame, output: &mut impl Sink) -> Result<Option<u8>> {
    match frame.kind {
        attach::STDOUT => output.out(&frame.payload)?,
        attach::STDERR => output.err(&frame.payload)?,
        attach::EXIT => {
            let code = frame.payload.first_chunk::<4>();
            let code = code.map_or(1, |bytes| i32::from_le_bytes(*bytes));
            let of_signal = || u8::try_from(code.checked_neg()?.checked_add(128)?).ok();
            let code = u8::try_from(code).ok().or_else(of_signal);
            return Ok(Some(code.unwrap_or(1)));
        }
        // A later server may send kinds that this client does not know.
        _ => {}
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::Captured;
    use crate::tls::Trust;
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;

    /// Takes one connection, upgrades it, and hands it to `serve`.
    fn server(
        serve: impl FnOnce(std::net::TcpStream) + Send + 'static,
    ) -> (String, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/attach/secret", listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            assert!(head.starts_with("GET /attach/secret HTTP/1.1\r\n"), "{head}");
            assert!(head.contains("\r\nUpgrade: windlass-attach\r\n"), "{head}");
            serve(socket);
        });
        (url, thread)
    }

    const SWITCHING: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: windlass-attach\r\n\r\n";

    fn read_frame(socket: &mut std::net::TcpStream) -> Frame {
        let mut received = Vec::new();
        loop {
            if let Some(frame) = decode(&mut received).unwrap() {
                return frame;
            }
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            received.push(byte[0]);
        }
    }

    #[test]
    fn input_goes_in_output_comes_out_and_the_exit_code_is_given() {
        let (url, thread) = server(|mut socket| {
            // Output in the same packet as the head must not be lost.
            let mut first = SWITCHING.to_vec();
            encode(attach::STDOUT, b"out ", &mut first);
            socket.write_all(&first).unwrap();
            let mut input = Vec::new();
            loop {
                let frame = read_frame(&mut socket);
                match frame.kind {
                    attach::STDIN => input.extend(frame.payload),
                    attach::STDIN_CLOSED => break,
                    other => panic!("unexpected frame {other}"),
                }
            }
            let mut answer = Vec::new();
            encode(attach::STDERR, b"warning", &mut answer);
            encode(attach::STDOUT, &input, &mut answer);
            encode(99, b"from the future", &mut answer);
            encode(attach::EXIT, &7_i32.to_le_bytes(), &mut answer);
            socket.write_all(&answer).unwrap();
        });
        let (input, mut feeder) = UnixStream::pair().unwrap();
        let payload = vec![b'x'; 300_000];
        let feeding = thread::spawn(move || feeder.write_all(&payload).unwrap());
        let captured = Captured::new();
        let mut output = captured.output(false);
        let connection = Connection::open(&url, &Trust::System).unwrap();
        let attachment = Attachment::new(connection, input.as_fd(), Signals::default(), false);
        assert_eq!(attachment.run(&mut output).unwrap(), 7);
        thread.join().unwrap();
        feeding.join().unwrap();
        let stdout = captured.stdout();
        assert_eq!(stdout.len(), 4 + 300_000);
        assert!(stdout.starts_with("out xxx"));
        assert_eq!(captured.stderr(), "warning");
    }

    #[test]
    fn an_early_end_and_a_refusal_are_errors() {
        let (url, thread) = server(|mut socket| socket.write_all(SWITCHING).unwrap());
        let (input, _feeder) = UnixStream::pair().unwrap();
        let connection = Connection::open(&url, &Trust::System).unwrap();
        let attachment = Attachment::new(connection, input.as_fd(), Signals::default(), false);
        let error = attachment.run(&mut Captured::new().output(false)).unwrap_err();
        assert!(error.message.contains("ended before"), "{error}");
        thread.join().unwrap();

        let (url, thread) = server(|mut socket| {
            let body = r#"{"id":"not_found","message":"This process was attached before."}"#;
            let length = body.len();
            let head = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {length}\r\n\r\n{body}");
            socket.write_all(head.as_bytes()).unwrap();
        });
        let error = Connection::open(&url, &Trust::System).err().unwrap();
        assert_eq!(error.message, "This process was attached before.");
        thread.join().unwrap();
    }

    #[test]
    fn exit_codes_of_signals_are_above_128() {
        let mut output = Captured::new().output(false);
        for (given, expected) in [(0_i32, 0), (255, 255), (-9, 137), (300, 1)] {
            let payload = given.to_le_bytes().to_vec();
            let kind = attach::EXIT;
            let code = show(&Frame { kind, payload }, &mut output).unwrap();
            assert_eq!(code, Some(expected));
        }
    }
}
