//! Requests at a fixed rate, and an account of each: a request counts from when it was due, and
//! whatever is not a whole and good answer is lost, by kind.

use super::super::numbers::Samples;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const ANSWER_LIMIT: Duration = Duration::from_secs(40);
/// More than are ever busy at a time, so that no request waits for another one.
const CLIENTS: usize = 96;

/// What a request asks for, and of a hundred how many do.
const MIX: &[(&str, usize)] = &[("/fast", 85), ("/slow", 12), ("/long", 3)];

/// What became of all requests.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Of good answers, in milliseconds, by path.
    pub times: BTreeMap<&'static str, Samples>,
    pub sent: usize,
    /// How many were lost, by what went wrong.
    pub lost: BTreeMap<String, usize>,
}

impl Account {
    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        for (path, times) in &other.times {
            self.times.entry(path).or_default().extend(times);
        }
        for (kind, count) in &other.lost {
            *self.lost.entry(kind.clone()).or_insert(0) += count;
        }
    }

    pub fn lost(&self) -> usize {
        self.lost.values().sum()
    }
}

/// A load that goes on until it is stopped.
pub struct Load {
    pub address: SocketAddr,
    pub host: String,
    /// Requests a second.
    pub rate: f64,
    stopped: AtomicBool,
    next: AtomicUsize,
    account: Mutex<Account>,
}

impl Load {
    pub fn new(address: SocketAddr, host: &str, rate: f64) -> Self {
        Self {
            address,
            host: host.to_owned(),
            rate,
            stopped: AtomicBool::new(false),
            next: AtomicUsize::new(0),
            account: Mutex::default(),
        }
    }

    /// Starts the clients in the scope. They end after [`Load::stop`], with what they have begun.
    pub fn start<'scope, 'env>(&'env self, scope: &'scope std::thread::Scope<'scope, 'env>) {
        let begin = Instant::now();
        for number in 0..CLIENTS {
            scope.spawn(move || self.client(number % 2 == 0, begin));
        }
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub fn account(&self) -> Account {
        self.account.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn client(&self, keeps: bool, begin: Instant) {
        let mut mine = Account::default();
        let mut connection = None;
        while !self.stopped.load(Ordering::Relaxed) {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let due = begin + Duration::from_secs_f64(turn as f64 / self.rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let path = path(turn);
            mine.sent += 1;
            match self.request(path, keeps, &mut connection) {
                Ok(()) => {
                    let time = due.elapsed().as_secs_f64() * 1e3;
                    mine.times.entry(path).or_default().push(time);
                }
                Err(kind) => {
                    connection = None;
                    *mine.lost.entry(kind).or_insert(0) += 1;
                }
            }
        }
        self.account.lock().unwrap_or_else(PoisonError::into_inner).add(&mine);
    }

    fn request(
        &self,
        path: &str,
        keeps: bool,
        kept: &mut Option<BufReader<TcpStream>>,
    ) -> Result<(), String> {
        let mut connection = match kept.take().filter(is_open) {
            Some(connection) => connection,
            None => connect(self.address)?,
        };
        let end = if keeps { "" } else { "Connection: close\r\n" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{end}\r\n", self.host);
        let sent = connection.get_mut().write_all(request.as_bytes());
        sent.map_err(|error| in_words("while it was sent", &error))?;
        let answer = read_head(&mut connection)?;
        let mut body = Vec::new();
        let read = connection.by_ref().take(answer.length).read_to_end(&mut body);
        read.map_err(|error| in_words("in the body", &error))?;
        if answer.status != 200 {
            return Err(format!("answered {}", answer.status));
        }
        if (body.len() as u64) < answer.length || body.is_empty() {
            return Err("cut in the body".to_owned());
        }
        *kept = (keeps && !answer.closes).then_some(connection);
        Ok(())
    }
}

/// Which path a turn asks for; the long ones are spread.
fn path(turn: usize) -> &'static str {
    let mut place = turn * 37 % 100;
    for (path, share) in MIX {
        if place < *share {
            return path;
        }
        place -= share;
    }
    MIX[0].0
}

/// A kept connection that the other side has closed meanwhile is not used again, as by any client.
fn is_open(connection: &BufReader<TcpStream>) -> bool {
    let stream = connection.get_ref();
    let _ = stream.set_nonblocking(true);
    let peeked = stream.peek(&mut [0]);
    let _ = stream.set_nonblocking(false);
    matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

pub fn connect(address: SocketAddr) -> Result<BufReader<TcpStream>, String> {
    let stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)
        .map_err(|error| in_words("connecting", &error))?;
    let set = stream.set_nodelay(true).and(stream.set_read_timeout(Some(ANSWER_LIMIT)));
    set.map_err(|error| in_words("connecting", &error))?;
    Ok(BufReader::new(stream))
}

pub struct Head {
    pub status: u16,
    pub length: u64,
    pub closes: bool,
}

/// Reads status and headers.
pub fn read_head(connection: &mut BufReader<TcpStream>) -> Result<Head, String> {
    let mut line = String::new();
    let mut next = |line: &mut String| {
        line.clear();
        match connection.read_line(line) {
            Ok(0) => Err("closed without an answer".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(in_words("waiting for the answer", &error)),
        }
    };
    next(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let mut head = Head { status, length: 0, closes: false };
    while line.trim_end() != "" {
        next(&mut line)?;
        let header = line.trim_end().to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            head.length = value.trim().parse().unwrap_or(0);
        }
        head.closes |= header == "connection: close";
    }
    Ok(head)
}

pub fn in_words(when: &str, error: &std::io::Error) -> String {
    let what = match error.kind() {
        ErrorKind::ConnectionRefused => "refused",
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "cut",
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer in time",
        _ => return format!("{error} {when}"),
    };
    format!("{what} {when}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_mix_is_as_it_says() {
        let mut counts = BTreeMap::new();
        (0..100).for_each(|turn| *counts.entry(path(turn)).or_insert(0) += 1);
        assert_eq!(counts, BTreeMap::from([("/fast", 85), ("/slow", 12), ("/long", 3)]));
    }

    #[test]
    fn what_is_not_whole_is_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let load = Load::new(listener.local_addr().unwrap(), "x", 1.0);
        let answers = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Ok(())),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", Err("cut in the body")),
            ("HTTP/1.1 502 No\r\nContent-Length: 2\r\n\r\nno", Err("answered 502")),
            ("", Err("closed without an answer")),
        ];
        for (answer, wanted) in answers {
            let outcome = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let _ = stream.read(&mut [0; 1000]).unwrap();
                    stream.write_all(answer.as_bytes()).unwrap();
                });
                load.request("/", false, &mut None)
            });
            assert_eq!(outcome, wanted.map_err(str::to_owned), "{answer:?}");
        }
    }
}
