//! WebSockets and event streams that stay open across deploys. Each is left open until it ends by
//! itself; one that ends before is lost.

use super::load::{connect, in_words, read_head};
use std::collections::BTreeMap;
use std::io::{BufRead, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Of each kind, for one app.
pub const OPEN: usize = 10;
const MESSAGES: u8 = 12;
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, Default)]
pub struct StreamAccount {
    pub opened: usize,
    pub lost: BTreeMap<String, usize>,
}

pub struct Streams {
    address: SocketAddr,
    host: String,
    stopped: AtomicBool,
    account: Mutex<StreamAccount>,
}

impl Streams {
    pub fn new(address: SocketAddr, host: &str) -> Self {
        let (stopped, account) = (AtomicBool::new(false), Mutex::default());
        Self { address, host: host.to_owned(), stopped, account }
    }

    /// Keeps [`OPEN`] of each kind open; one that has ended is opened anew.
    pub fn start<'scope, 'env>(&'env self, scope: &'scope std::thread::Scope<'scope, 'env>) {
        for number in 0..OPEN {
            // Apart from each other in time, so that some are young and some old at each deploy.
            let delay = Duration::from_millis(600 * number as u64);
            scope.spawn(move || self.keep("event stream", delay, || self.events()));
            scope.spawn(move || self.keep("WebSocket", delay, || self.web_socket()));
        }
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub fn account(&self) -> StreamAccount {
        self.account.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, kind: &str, delay: Duration, stream: impl Fn() -> Result<(), String>) {
        std::thread::sleep(delay);
        while !self.stopped.load(Ordering::Relaxed) {
            let outcome = stream();
            let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
            account.opened += 1;
            if let Err(error) = outcome {
                *account.lost.entry(format!("{kind} {error}")).or_insert(0) += 1;
                drop(account);
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn events(&self) -> Result<(), String> {
        let mut connection = connect(self.address)?;
        let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        let sent = connection.get_mut().write_all(request.as_bytes());
        sent.map_err(|error| in_words("while it was sent", &error))?;
        match read_head(&mut connection)?.status {
            200 => {}
            status => return Err(format!("answered {status}")),
        }
        // With chunks or until the connection closes, as it came through.
        let mut line = String::new();
        while !line.contains("data: end") {
            line.clear();
            match connection.read_line(&mut line) {
                Ok(0) => return Err("ended early".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(in_words("open", &error)),
            }
        }
        Ok(())
    }

    fn web_socket(&self) -> Result<(), String> {
        let mut connection = connect(self.address)?;
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.host
        );
        let sent = connection.get_mut().write_all(request.as_bytes());
        sent.map_err(|error| in_words("while it was sent", &error))?;
        match read_head(&mut connection)?.status {
            101 => {}
            status => return Err(format!("answered {status}")),
        }
        // Text frames, then a close; a mask of zeros leaves the message as it is.
        let frames = (1..=MESSAGES).map(|number| (0x81, number)).chain([(0x88, 0)]);
        for (kind, number) in frames {
            let sent = connection.get_mut().write_all(&[kind, 0x81, 0, 0, 0, 0, number]);
            sent.map_err(|error| in_words("open", &error))?;
            let mut back = [0; 3];
            let read = connection.read_exact(&mut back);
            read.map_err(|error| format!("ended early ({})", error.kind()))?;
            if back != [kind, 1, number] {
                return Err(format!("answered {back:?} to message {number}"));
            }
            if kind == 0x81 {
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}
