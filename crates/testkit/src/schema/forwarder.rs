//! A forwarder in front of a server's API, for clients that are not ours: it changes no byte, and
//! holds every answer that passes against the schemas.

use super::messages::{Body, Head, Messages, Observer};
use super::{Exchange, faults, own};
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const PIECE: usize = 64 << 10;
/// So much of an answer stands in the list of what is wrong.
const SHOWN: usize = 400;

/// Listens until it is dropped.
pub struct CheckingForwarder {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_closed: AtomicBool,
    answers: AtomicUsize,
    faults: Mutex<BTreeSet<String>>,
}

impl CheckingForwarder {
    /// Starts one in front of the API at `upstream`.
    #[must_use]
    pub fn start(upstream: SocketAddr) -> Self {
        // A schema that cannot be read is told here, not in a thread.
        let _ = own();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::<Shared>::default();
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if own.is_closed.load(Ordering::Relaxed) {
                    return;
                }
                // What fails here, the client sees as a connection that ends.
                let _ = client.and_then(|client| forward(client, upstream, &own));
            }
        });
        Self { address, shared }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Panics with the list of the answers that were not as the schemas say.
    #[track_caller]
    pub fn assert_all_matched(&self) {
        let faults = lock(&self.shared.faults);
        assert!(
            faults.is_empty(),
            "answers are not as their schema says:\n{}",
            faults.iter().cloned().collect::<Vec<_>>().join("\n")
        );
        assert!(self.shared.answers.load(Ordering::Relaxed) > 0, "nobody asked anything");
    }
}

impl Drop for CheckingForwarder {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::Relaxed);
        // It waits for somebody.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Methods and paths that were asked for and not answered yet.
type Asked = Arc<Mutex<VecDeque<(String, String)>>>;

fn forward(client: TcpStream, upstream: SocketAddr, shared: &Arc<Shared>) -> io::Result<()> {
    let server = TcpStream::connect(upstream)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let asked = Asked::default();
    let requests = Requests(Arc::clone(&asked));
    let answers = Answers { asked, shared: Arc::clone(shared) };
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || pass(from, to, requests));
    std::thread::spawn(move || pass(server, client, answers));
    Ok(())
}

/// Passes on what comes, each piece after it was looked at: whatever a client has, was checked.
fn pass(mut from: TcpStream, mut to: TcpStream, mut observer: impl Observer) {
    let mut messages = Messages::new();
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                messages.take(&piece[..count], &mut observer);
                if to.write_all(&piece[..count]).is_err() {
                    let _ = from.shutdown(Shutdown::Both);
                    break;
                }
            }
        }
    }
    messages.end(&mut observer);
    let _ = to.shutdown(Shutdown::Write);
}

struct Requests(Asked);

impl Observer for Requests {
    fn head(&mut self, head: &Head) -> Body {
        let mut words = head.start.split(' ').map(str::to_owned);
        if let (Some(method), Some(path)) = (words.next(), words.next()) {
            lock(&self.0).push_back((method, path));
        }
        Body::AsSaid
    }

    fn whole(&mut self, _head: Head, _body: Vec<u8>) {}
}

struct Answers {
    asked: Asked,
    shared: Arc<Shared>,
}

impl Observer for Answers {
    fn head(&mut self, head: &Head) -> Body {
        let is_head = lock(&self.asked).front().is_some_and(|(method, _)| method == "HEAD");
        match head.status() {
            Some(101) => Body::Upgraded,
            Some(100..=199 | 204 | 304) => Body::Never,
            _ if is_head => Body::Never,
            _ => Body::UntilClosed,
        }
    }

    fn whole(&mut self, head: Head, body: Vec<u8>) {
        let Some(status) = head.status().filter(|status| *status >= 200) else { return };
        let Some((method, path)) = lock(&self.asked).pop_front() else { return };
        self.shared.answers.fetch_add(1, Ordering::Relaxed);
        let mut found = faults(Exchange {
            method: &method,
            path: &path,
            status,
            content_type: head.header("content-type"),
            body: &body,
        });
        if let Some(encoding) = head.header("content-encoding") {
            found = vec![format!("it cannot be checked: it is {encoding}")];
        }
        if !found.is_empty() {
            let text = String::from_utf8_lossy(&body);
            let text: String = text.chars().take(SHOWN).collect();
            let fault = format!("{method} {path} {status}: {}\n    {text}", found.join("; "));
            lock(&self.shared.faults).insert(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead;

    /// Answers each connection with the same bytes, once the request's head is there.
    fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = io::BufReader::new(stream.try_clone().unwrap()).lines();
                let _ = lines.map_while(Result::ok).find(String::is_empty);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    fn ask(forwarder: &CheckingForwarder, path: &str) -> String {
        let mut stream = TcpStream::connect(forwarder.address()).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }

    const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
        content-length: 16\r\nconnection: close\r\n\r\n{\"remaining\": 4}";

    #[test]
    fn what_passes_is_unchanged_and_checked() {
        let forwarder = CheckingForwarder::start(server(ANSWER));
        assert_eq!(ask(&forwarder, "/account/rate-limits?x=1"), ANSWER);
        forwarder.assert_all_matched();
        // The same bytes are no answer to another question.
        assert_eq!(ask(&forwarder, "/account"), ANSWER);
        let told = std::panic::catch_unwind(|| forwarder.assert_all_matched()).unwrap_err();
        let told = told.downcast_ref::<String>().unwrap();
        assert!(told.contains("GET /account 200: our schema: "), "{told}");
        assert!(!told.contains("rate-limits"), "{told}");
    }
}
