//! A load of one thread over keep-alive connections: as fast as the answers come, or at a fixed
//! rate. At a fixed rate a request counts from when it was due, whatever became of those before
//! it, so that a proxy that falls behind shows it (no coordinated omission).

use super::super::numbers::Samples;
use super::super::{BenchError, Result};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// An answer that takes longer is a failure.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// What is read at once.
const CHUNK: usize = 32 * 1024;

/// When a connection asks again.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As soon as it has its answer.
    Closed,
    /// So many requests a second over all connections, at fixed times.
    Open(f64),
}

/// What became of the requests of one run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub answers: u64,
    /// Not answered, or with another status than 200.
    pub failed: u64,
    pub elapsed: Duration,
    /// Of good answers, in milliseconds, from when each was due.
    pub times: Samples,
}

impl Report {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }
}

/// Connections that are open and may be used for several runs.
pub struct Load {
    address: SocketAddr,
    /// Whole requests without a body; taken in turn.
    requests: Vec<Vec<u8>>,
    connections: Vec<Connection>,
    epoll: OwnedFd,
    next_request: usize,
}

/// What a run has done so far.
struct Run {
    report: Report,
    /// Connections without a request, the one used last at the end.
    idle: VecDeque<usize>,
    /// Requests that wait for their answer.
    waiting: usize,
}

impl Load {
    /// Opens the connections.
    pub fn connect(
        address: SocketAddr,
        connections: usize,
        requests: Vec<Vec<u8>>,
    ) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(failed)?;
        let connections =
            (0..connections).map(|_| Connection::open(address)).collect::<Result<Vec<_>>>()?;
        for (number, connection) in connections.iter().enumerate() {
            watch(&epoll, connection, number)?;
        }
        Ok(Self { address, requests, connections, epoll, next_request: 0 })
    }

    /// Sends requests for `time` and waits for the answers to all of them.
    pub fn run(&mut self, pace: Pace, time: Duration) -> Result<Report> {
        let idle = (0..self.connections.len()).collect();
        let mut run = Run { report: Report::default(), idle, waiting: 0 };
        let begin = Instant::now();
        let (end, give_up) = (begin + time, begin + time * 3 + ANSWER_LIMIT);
        let total = match pace {
            Pace::Closed => u64::MAX,
            Pace::Open(rate) => (rate * time.as_secs_f64()) as u64,
        };
        let mut turn: u64 = 0;
        let mut events = Vec::with_capacity(self.connections.len());
        loop {
            let now = Instant::now();
            if now > give_up {
                run.report.failed += run.waiting as u64;
                self.connections = Vec::new();
                return Err(BenchError::failed("answers did not come in time"));
            }
            let mut pause = ANSWER_LIMIT;
            while let Some(number) = run.idle.front().copied() {
                let due = match pace {
                    Pace::Closed => now,
                    Pace::Open(rate) => begin + Duration::from_secs_f64(turn as f64 / rate),
                };
                let is_over = matches!(pace, Pace::Closed) && now >= end;
                if turn == total || is_over {
                    break;
                }
                if due > now {
                    pause = due - now;
                    break;
                }
                run.idle.pop_front();
                turn += 1;
                self.send(number, due, &mut run)?;
            }
            let is_over = turn == total || (matches!(pace, Pace::Closed) && now >= end);
            if is_over && run.waiting == 0 {
                break;
            }
            events.clear();
            let timeout = Timespec::try_from(pause).unwrap_or_default();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(error)),
            }
            self.receive(&events, &mut run)?;
        }
        run.report.elapsed = begin.elapsed();
        Ok(run.report)
    }

    fn send(&mut self, number: usize, due: Instant, run: &mut Run) -> Result<()> {
        let request = &self.requests[self.next_request % self.requests.len()];
        self.next_request += 1;
        let connection = &mut self.connections[number];
        connection.due = Some(due);
        run.waiting += 1;
        // A connection that the other side has closed shows it at the next event.
        let _ = connection.stream.write_all(request);
        Ok(())
    }

    fn receive(&mut self, events: &[Event], run: &mut Run) -> Result<()> {
        for event in events {
            let number = event.data.u64() as usize;
            let connection = &mut self.connections[number];
            let state = connection.read();
            let was_due = match state {
                State::More => continue,
                State::Answered { .. } | State::Closed => connection.due.take(),
            };
            if let Some(due) = was_due {
                run.waiting -= 1;
                run.idle.push_back(number);
                if let State::Answered { status: 200, .. } = state {
                    run.report.answers += 1;
                    run.report.times.push(due.elapsed().as_secs_f64() * 1e3);
                } else {
                    run.report.failed += 1;
                }
            }
            if !matches!(state, State::Answered { closes: false, .. }) {
                let again = Connection::open(self.address)?;
                watch(&self.epoll, &again, number)?;
                self.connections[number] = again;
            }
        }
        Ok(())
    }
}

fn watch(epoll: &OwnedFd, connection: &Connection, number: usize) -> Result<()> {
    let data = EventData::new_u64(number as u64);
    epoll::add(epoll, &connection.stream, data, EventFlags::IN).map_err(failed)
}

fn failed(error: rustix::io::Errno) -> BenchError {
    BenchError::io("the load's sockets")(error.into())
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The head so far.
    filled: usize,
    /// Of the body, once the head is there.
    left: Option<(usize, u16, bool)>,
    /// When the request that waits for its answer should have been sent.
    due: Option<Instant>,
}

#[derive(Clone, Copy)]
enum State {
    More,
    Answered { status: u16, closes: bool },
    Closed,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let open = || {
            let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let stream = open().map_err(BenchError::io(format!("cannot connect to {address}")))?;
        Ok(Self { stream, buffer: vec![0; CHUNK], filled: 0, left: None, due: None })
    }

    /// Reads once: when there is more, there is another event.
    fn read(&mut self) -> State {
        let length = match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return State::Closed,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return State::More,
            Err(_) => return State::Closed,
        };
        let (left, status, closes) = match self.left {
            Some((left, status, closes)) => (left.saturating_sub(length), status, closes),
            None => {
                let searched = self.filled.saturating_sub(3);
                self.filled += length;
                let Some(end) = find(&self.buffer[searched..self.filled], b"\r\n\r\n") else {
                    return if self.filled == CHUNK { State::Closed } else { State::More };
                };
                let end = searched + end + 4;
                let Some(head) = Head::parse(&self.buffer[..end]) else { return State::Closed };
                let here = self.filled - end;
                self.filled = 0;
                (head.length.saturating_sub(here), head.status, head.closes)
            }
        };
        if left > 0 {
            self.left = Some((left, status, closes));
            return State::More;
        }
        self.left = None;
        State::Answered { status, closes }
    }
}

/// What the load must know of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    length: usize,
    closes: bool,
}

impl Head {
    /// Reads a whole head; `None` when the answer's end is not given by its length.
    fn parse(head: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(head).ok()?;
        let mut lines = text.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let (mut length, mut closes) = (None, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            } else if name.eq_ignore_ascii_case("connection") {
                closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        Some(Self { status, length: length?, closes })
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers with a body of two bytes in two pieces; the `slow`th request of all late.
    fn server(slow: usize, pause: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            let mut buffer = [0; 1024];
            for number in 0.. {
                if !matches!(stream.read(&mut buffer), Ok(length) if length > 0) {
                    return;
                }
                if number == slow {
                    std::thread::sleep(pause);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").unwrap();
                stream.write_all(b"k").unwrap();
            }
        });
        address
    }

    #[test]
    fn every_request_is_answered_and_counted() {
        let mut load =
            Load::connect(server(0, Duration::ZERO), 1, vec![b"GET / HTTP/1.1\r\n\r\n".to_vec()])
                .unwrap();
        let report = load.run(Pace::Closed, Duration::from_millis(50)).unwrap();
        assert!(report.answers > 0 && report.failed == 0, "{report:?}");
        let report = load.run(Pace::Open(200.0), Duration::from_millis(200)).unwrap();
        assert_eq!((report.answers, report.failed), (40, 0));
    }

    #[test]
    fn a_pause_counts_for_all_requests_that_were_due_in_it() {
        let pause = Duration::from_millis(300);
        let mut load =
            Load::connect(server(10, pause), 1, vec![b"GET / HTTP/1.1\r\n\r\n".to_vec()]).unwrap();
        let report = load.run(Pace::Open(100.0), Duration::from_millis(600)).unwrap();
        assert_eq!(report.answers, 60);
        // Thirty of sixty were due while the first of them waited: half of them for long.
        assert!(report.times.at(0.8) > 100.0, "{}", report.times.at(0.8));
    }

    #[test]
    fn heads_are_read() {
        let head = |text: &str| Head::parse(text.as_bytes());
        assert_eq!(
            head("HTTP/1.1 404 No\r\ncontent-length: 7\r\nConnection: close\r\n\r\n"),
            Some(Head { status: 404, length: 7, closes: true })
        );
        assert_eq!(head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), None);
    }
}
