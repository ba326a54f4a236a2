//! Requests to all apps, and an account of each: whose answer it was, and what may excuse a
//! failure.

use crate::bench::deploy::load::{connect, in_words, read_head};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const CLIENTS: usize = 4;
const EVERY: Duration = Duration::from_millis(80);
/// Each so many requests one asks the app to log something.
const LOGGED_EACH: usize = 5;

#[derive(Default)]
struct Account {
    answered: BTreeMap<&'static str, usize>,
    excused: BTreeMap<String, usize>,
    violations: Vec<String>,
    /// What an app said it had logged.
    logged: BTreeSet<String>,
}

struct Excuse {
    /// Of one app, or of all.
    app: Option<&'static str>,
    what: &'static str,
    from: Instant,
    until: Instant,
}

pub struct Load {
    router: SocketAddr,
    apps: [&'static str; 3],
    account: Mutex<Account>,
    excuses: Mutex<Vec<Excuse>>,
    /// Times in which the disk was full: lines of these may be lost.
    full: Mutex<Vec<(Instant, Instant)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Load {
    pub fn new(router: SocketAddr, apps: &[&'static str; 3]) -> Self {
        let (account, excuses, full) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { router, apps: *apps, account, excuses, full }
    }

    pub fn start<'scope, 'env>(&'env self, scope: &'scope std::thread::Scope<'scope, 'env>) {
        for app in self.apps {
            for number in 0..CLIENTS {
                scope.spawn(move || self.client(app, number));
            }
        }
    }

    /// From now on for this time failures of the app, or of all, are those of what was killed.
    pub fn excuse(&self, app: Option<&'static str>, what: &'static str, limit: Duration) {
        let from = Instant::now();
        locked(&self.excuses).push(Excuse { app, what, from, until: from + limit });
    }

    pub fn excuse_all(&self, limit: Duration) {
        let until = Instant::now() + limit;
        // What was killed last may still be coming back, and nothing else is excused.
        for excuse in locked(&self.excuses).iter_mut().filter(|e| e.until > Instant::now()) {
            excuse.until = until;
        }
    }

    /// Lines that apps wrote while the disk was full are not asked for.
    pub fn disk_is_full(&self, is_full: bool) {
        let now = Instant::now();
        let mut full = locked(&self.full);
        if is_full {
            full.push((now, now + Duration::from_secs(3_600)));
        } else if let Some((_, until)) = full.last_mut() {
            *until = now + Duration::from_secs(1);
        }
    }

    fn client(&self, app: &'static str, number: usize) {
        let mut turn = 0;
        while !super::is_stopped() {
            turn += 1;
            let token = format!("token-{app}-{number}-{turn}.");
            let logs = turn % LOGGED_EACH == 0;
            let path = if logs { format!("/log/{token}") } else { "/".to_owned() };
            let begun = Instant::now();
            let outcome = self.request(app, &path);
            self.note(app, begun, outcome, logs.then_some(token));
            std::thread::sleep(EVERY.saturating_sub(begun.elapsed()));
        }
    }

    fn request(&self, app: &str, path: &str) -> Result<String, String> {
        let mut connection = connect(self.router)?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {app}.localhost\r\nConnection: close\r\n\r\n");
        let sent = connection.get_mut().write_all(request.as_bytes());
        sent.map_err(|error| in_words("while it was sent", &error))?;
        let head = read_head(&mut connection)?;
        let mut body = Vec::new();
        let read = connection.take(head.length).read_to_end(&mut body);
        read.map_err(|error| in_words("in the body", &error))?;
        if head.status != 200 {
            return Err(format!("answered {}{}", head.status, error_code(&body)));
        }
        if (body.len() as u64) < head.length {
            return Err("cut in the body".to_owned());
        }
        Ok(String::from_utf8_lossy(&body).trim().to_owned())
    }

    fn note(
        &self,
        app: &'static str,
        begun: Instant,
        outcome: Result<String, String>,
        token: Option<String>,
    ) {
        let ended = Instant::now();
        let excuse = self.excuse_for(app, begun, ended);
        let mut account = locked(&self.account);
        match outcome {
            Ok(said) if said.split(' ').next() == Some(app) => {
                *account.answered.entry(app).or_insert(0) += 1;
                let overlaps = |(from, until): &(Instant, Instant)| begun < *until && ended > *from;
                if !locked(&self.full).iter().any(overlaps) {
                    account.logged.extend(token);
                }
            }
            // Never excused.
            Ok(said) => account.violations.push(format!("{app} was answered with {said:?}")),
            Err(kind) => match excuse {
                Some(what) => *account.excused.entry(format!("{kind}; {what}")).or_insert(0) += 1,
                None => account.violations.push(format!(
                    "a request to {app} failed with nothing of its killed: {kind} after {:.1} s",
                    (ended - begun).as_secs_f64()
                )),
            },
        }
    }

    fn excuse_for(&self, app: &str, begun: Instant, ended: Instant) -> Option<&'static str> {
        let excuses = locked(&self.excuses);
        let fits =
            |e: &&Excuse| e.app.is_none_or(|of| of == app) && begun < e.until && ended > e.from;
        excuses.iter().rev().find(fits).map(|excuse| excuse.what)
    }

    /// Prints the account; returns what must not have been.
    pub fn report(&self) -> Vec<String> {
        let account = locked(&self.account);
        let answered: usize = account.answered.values().sum();
        println!("requests answered by the right app: {answered} {:?}", account.answered);
        println!(
            "requests that failed on what was killed: {}",
            account.excused.values().sum::<usize>()
        );
        for (kind, count) in &account.excused {
            println!("  {count:>5}  {kind}");
        }
        let mut violations = account.violations.clone();
        println!(
            "requests that failed otherwise, or were answered by another app: {}",
            violations.len()
        );
        violations.truncate(20);
        violations
    }

    /// Looks in the files of all logs for what apps said they had logged.
    pub fn missing_log_lines(&self, logs: &Path) -> Vec<String> {
        let mut all = String::new();
        read_below(logs, &mut all);
        let found: BTreeSet<&str> = all
            .split_whitespace()
            .filter(|word| word.starts_with("token-") && word.ends_with('.'))
            .collect();
        let account = locked(&self.account);
        let missing: Vec<&String> =
            account.logged.iter().filter(|token| !found.contains(token.as_str())).collect();
        println!("log lines acknowledged: {}, missing: {}", account.logged.len(), missing.len());
        missing.iter().take(20).map(|token| format!("the log has not {token}")).collect()
    }
}

/// Returns the router's error code that a page names, with a space before it.
fn error_code(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    let is_code = |word: &&str| {
        word.len() == 3 && word.starts_with('H') && word[1..].bytes().all(|b| b.is_ascii_digit())
    };
    let mut words = page.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(is_code).map(|code| format!(" {code}")).unwrap_or_default()
}

fn read_below(path: &Path, all: &mut String) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            read_below(&entry.path(), all);
        } else {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            all.push_str(&String::from_utf8_lossy(&bytes));
            all.push('\n');
        }
    }
}
