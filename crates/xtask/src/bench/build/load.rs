//! Requests at a fixed rate, whatever becomes of them: a request that has to wait for its turn
//! counts from when it should have been sent.

use super::super::numbers::Samples;
use super::super::server::output;
use super::super::{BenchError, Result};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// Connections that are kept, as by the clients or the proxy in front of an app.
const CONNECTIONS: u32 = 24;
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What came back of a load.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Of good answers, in milliseconds.
    pub times: Samples,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// Sends `rate` requests a second to an app.
pub fn run(router: SocketAddr, app: &str, rate: u32, span: Duration) -> Result<Answers> {
    // A thread, whose priority does not pass to what the bench starts.
    let load = move || -> Result<Answers> {
        come_first()?;
        let begin = Instant::now() + Duration::from_millis(50);
        let all = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CONNECTIONS)
                .map(|number| scope.spawn(move || client(router, app, number, rate, begin, span)))
                .collect();
            clients.into_iter().map(|client| client.join()).collect::<Vec<_>>()
        });
        let mut answers = Answers::default();
        for client in all {
            let part = client.map_err(|_| BenchError::failed("a client panicked"))?;
            answers.add(&part);
        }
        Ok(answers)
    };
    std::thread::scope(|scope| scope.spawn(load).join())
        .unwrap_or_else(|_| Err(BenchError::failed("the load panicked")))
}

impl Answers {
    pub fn add(&mut self, other: &Self) {
        self.times.extend(&other.times);
        self.failures.extend_from_slice(&other.failures);
    }
}

/// Clients are other machines: they do not wait for this one's processors. Threads inherit it.
fn come_first() -> Result<()> {
    let thread =
        std::fs::read_link("/proc/thread-self").map_err(BenchError::io("/proc/thread-self"))?;
    let number = thread.file_name().unwrap_or_default();
    output("renice", Command::new("renice").args(["-n", "-20", "-p"]).arg(number)).map(drop)
}

fn client(
    router: SocketAddr,
    app: &str,
    number: u32,
    rate: u32,
    begin: Instant,
    span: Duration,
) -> Answers {
    let mut answers = Answers::default();
    let mut kept = None;
    let mut turn = number;
    loop {
        let due = Duration::from_secs_f64(f64::from(turn) / f64::from(rate));
        if due >= span {
            return answers;
        }
        std::thread::sleep((begin + due).saturating_duration_since(Instant::now()));
        match request(router, app, &mut kept) {
            Ok(()) => answers.times.push((begin + due).elapsed().as_secs_f64() * 1e3),
            Err(error) => {
                kept = None;
                answers.failures.push(error.to_string());
            }
        }
        turn += CONNECTIONS;
    }
}

fn request(
    router: SocketAddr,
    app: &str,
    kept: &mut Option<BufReader<TcpStream>>,
) -> std::io::Result<()> {
    let connection = match kept {
        Some(connection) => connection,
        None => {
            let stream = TcpStream::connect_timeout(&router, ANSWER_LIMIT)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_LIMIT))?;
            kept.insert(BufReader::new(stream))
        }
    };
    let request = format!("GET / HTTP/1.1\r\nHost: {app}.localhost\r\n\r\n");
    connection.get_mut().write_all(request.as_bytes())?;
    let (mut line, mut length, mut closes) = (String::new(), 0, false);
    connection.read_line(&mut line)?;
    let status = line.trim_end().to_owned();
    while line.trim_end() != "" {
        line.clear();
        connection.read_line(&mut line)?;
        let header = line.trim_end().to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        closes |= header == "connection: close";
    }
    std::io::copy(&mut connection.by_ref().take(length), &mut std::io::sink())?;
    if closes {
        *kept = None;
    }
    match status.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(std::io::Error::other(format!("answered {status:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_slow_answer_makes_those_behind_it_late() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut requests = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut first = true;
            while let Some(Ok(line)) = requests.next() {
                if line.is_empty() {
                    std::thread::sleep(Duration::from_millis(if first { 100 } else { 0 }));
                    first = false;
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                }
            }
        });
        // One client: a request each 20 ms.
        let rate = CONNECTIONS * 50;
        let begin = Instant::now();
        let answers = client(address, "x", 0, rate, begin, Duration::from_millis(190));
        assert_eq!(answers.failures, Vec::<String>::new());
        // Of the ten, four were due while the first was being answered: 80, 60, 40, 20.
        assert!(answers.times.at(0.75) > 40.0, "{answers:?}");
        assert!(answers.times.at(1.0) >= 100.0, "{answers:?}");
    }
}
