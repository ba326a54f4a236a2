//! One drain at work: from the log's files to its target.

use super::target::Target;
use crate::observe::LogStore;
use crate::observe::log_reader::{LogPosition, LogReader, Skipped};
use crate::outgoing::Outgoing;
use crate::platform::now_us;
use crate::records::LogDrain;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use windlass_core::ids::AppId;
use windlass_core::log_drain::{BACKLOG_BYTES, BATCH_BYTES, Batch, Verdict, overflow, retry_delay};
use windlass_core::log_line::{LogLine, timestamp};
use windlass_core::outgoing::OutgoingUrl;

/// How often is looked for new lines.
const LOOK: Duration = Duration::from_millis(250);
/// The place is written to its file no more often than this.
const KEEP: Duration = Duration::from_secs(1);
/// That a target fails is logged no more often than this.
const TELL: Duration = Duration::from_secs(600);

/// Sends the lines of one app to one target.
pub(super) struct Pump {
    app: AppId,
    token: String,
    url: OutgoingUrl,
    outgoing: Arc<Outgoing>,
    logs: LogStore,
    place_file: PathBuf,
    reader: LogReader,
    target: Target,
    skipped: Skipped,
    failures: u32,
    kept_at: Instant,
    told_at: Option<Instant>,
}

/// What a pump works with.
pub(super) struct Means {
    pub(super) outgoing: Arc<Outgoing>,
    pub(super) logs: LogStore,
    pub(super) place_file: PathBuf,
    pub(super) reader: LogReader,
}

impl Pump {
    pub(super) fn new(drain: &LogDrain, url: OutgoingUrl, means: Means) -> Self {
        let Means { outgoing, logs, place_file, reader } = means;
        Self {
            app: drain.app,
            token: drain.token.clone(),
            target: Target::new(url.clone(), drain.token.clone()),
            url,
            outgoing,
            logs,
            place_file,
            reader,
            skipped: Skipped::default(),
            failures: 0,
            kept_at: Instant::now(),
            told_at: None,
        }
    }

    /// Runs until it is aborted. What goes wrong with the log's files is tried again.
    pub(super) async fn run(mut self) {
        loop {
            match self.round().await {
                Ok(pause) => tokio::time::sleep(pause).await,
                Err(error) => {
                    tracing::warn!(%error, app = %self.app, "a log drain cannot read its log");
                    tokio::time::sleep(KEEP).await;
                }
            }
        }
    }

    /// Sends a batch, if there is one; returns how long to wait for the next.
    async fn round(&mut self) -> io::Result<Duration> {
        self.skip_what_is_too_much()?;
        let text = self.reader.peek(2 * BATCH_BYTES)?;
        if text.is_empty() {
            return Ok(LOOK);
        }
        let batch = self.batch(&text);
        if batch.messages == 0 {
            self.advance(&batch)?;
            return Ok(Duration::ZERO);
        }
        match self.target.send(&self.outgoing, &batch).await {
            Ok(Verdict::Taken | Verdict::Refused) => {
                self.failures = 0;
                self.skipped = Skipped::default();
                self.advance(&batch)?;
                Ok(Duration::ZERO)
            }
            Ok(Verdict::Later) => Ok(self.failed("it refuses for the moment")),
            Err(error) => Ok(self.failed(&error)),
        }
    }

    fn batch(&self, text: &str) -> Batch {
        let mut batch = Batch::of(text, self.url.scheme, &self.token);
        if let Some(since) = self.skipped.since.as_deref().filter(|_| self.skipped.lines > 0) {
            let message = overflow(self.skipped.lines, since);
            let timestamp = timestamp(now_us());
            let line = LogLine {
                timestamp: &timestamp,
                source: "heroku",
                process: "logplex",
                message: &message,
            };
            batch.begin_with(&line, self.url.scheme, &self.token);
        }
        batch
    }

    fn skip_what_is_too_much(&mut self) -> io::Result<()> {
        if self.reader.behind()? <= BACKLOG_BYTES {
            return Ok(());
        }
        // More than needed, so that it is not done again for every line.
        let skipped = self.reader.skip_to(BACKLOG_BYTES / 2)?;
        self.skipped.lines += skipped.lines;
        self.skipped.since = self.skipped.since.take().or(skipped.since);
        // A batch that was not taken is not the next one any more.
        self.target.forget_frame();
        Ok(())
    }

    fn advance(&mut self, batch: &Batch) -> io::Result<()> {
        self.reader.advance(batch.log_bytes);
        if self.kept_at.elapsed() >= KEEP || self.reader.behind()? == 0 {
            keep_place(&self.place_file, self.reader.position())?;
            self.kept_at = Instant::now();
        }
        Ok(())
    }

    /// The app's people see it in its log, but not so often that it fills it.
    fn failed(&mut self, why: &str) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if self.failures == 3 && self.told_at.is_none_or(|at| at.elapsed() >= TELL) {
            self.told_at = Some(Instant::now());
            let message = format!("Log drain {} does not take lines: {why}", self.url);
            self.logs.append(self.app, "heroku[logplex]", &message);
        }
        retry_delay(self.failures)
    }
}

/// Writes the place to its file; none: the log has no file yet.
pub(super) fn keep_place(file: &Path, place: Option<LogPosition>) -> io::Result<()> {
    let Some(place) = place else { return Ok(()) };
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let temporary = file.with_extension("new");
    std::fs::write(&temporary, format!("{place}\n"))?;
    std::fs::rename(temporary, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outgoing::OutgoingSettings;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;
    use windlass_core::ids::LogDrainId;

    struct World {
        directory: tempfile::TempDir,
        logs: LogStore,
        drain: LogDrain,
        port: u16,
    }

    impl World {
        fn new(port: u16) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let logs = LogStore::new(directory.path().join("logs"));
            let drain = LogDrain {
                id: LogDrainId::random(),
                app: AppId::random(),
                token: "d.1".into(),
                url: format!("syslog://127.0.0.1:{port}"),
                created_at: 0,
                updated_at: 0,
            };
            Self { directory, logs, drain, port }
        }

        fn say(&self, message: &str) {
            self.logs.append(self.drain.app, "app[web.1]", message);
        }

        fn place_file(&self) -> PathBuf {
            self.directory.path().join("drains/one")
        }

        fn pump(&self, reader: LogReader) -> Pump {
            let settings = OutgoingSettings { allow_private: true, ca_bundle: None };
            let means = Means {
                outgoing: Arc::new(Outgoing::new(settings)),
                logs: self.logs.clone(),
                place_file: self.place_file(),
                reader,
            };
            let url = format!("syslog://127.0.0.1:{}", self.port).parse().unwrap();
            Pump::new(&self.drain, url, means)
        }

        fn at_end(&self) -> LogReader {
            LogReader::at_end(&self.logs.file(self.drain.app)).unwrap()
        }
    }

    async fn received_until(listener: &TcpListener, end: &str) -> String {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if text.contains(end) {
                return text;
            }
            assert!(connection.read_buf(&mut bytes).await.unwrap() > 0, "cut: {text}");
        }
    }

    #[tokio::test]
    async fn what_was_too_much_is_counted_in_the_first_message() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = World::new(listener.local_addr().unwrap().port());
        let reader = world.at_end();
        let lines = 2 * BACKLOG_BYTES / 1_000;
        for number in 0..lines {
            world.say(&format!("{number} {}", "x".repeat(1_000)));
        }
        world.say("the last");
        let pump = tokio::spawn(world.pump(reader).run());
        let text = received_until(&listener, "the last").await;
        pump.abort();
        let first = text.lines().next().unwrap();
        let dropped = first.split_once("overflow): ").unwrap().1.split(' ').next().unwrap();
        assert!(first.contains("heroku logplex - - Error L10 (output buffer overflow)"), "{first}");
        let left = text.lines().filter(|line| line.contains(" app web.1 ")).count() as u64;
        assert_eq!(dropped.parse::<u64>().unwrap() + left, lines + 1);
    }

    #[tokio::test]
    async fn nobody_loses_a_line_to_a_target_that_is_away_for_a_while() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = World::new(listener.local_addr().unwrap().port());
        world.say("before");
        let mut pump = world.pump(world.at_end());
        drop(listener);
        world.say("one");
        for _ in 0..3 {
            assert!(pump.round().await.unwrap() >= Duration::from_secs(1));
        }
        let log = std::fs::read_to_string(world.logs.file(world.drain.app)).unwrap();
        let told = log.lines().filter(|line| line.contains("heroku[logplex]: Log drain syslog://"));
        assert_eq!(told.count(), 1, "{log}");
        let listener = TcpListener::bind(("127.0.0.1", world.port)).await.unwrap();
        assert_eq!(pump.round().await.unwrap(), Duration::ZERO);
        let text = received_until(&listener, "does not take lines").await;
        assert!(text.contains("- - one\n") && !text.contains("before"), "{text}");
        // Another one goes on where this one was.
        world.say("two");
        let place = std::fs::read_to_string(world.place_file()).unwrap().parse().unwrap();
        let reader = LogReader::at(&world.logs.file(world.drain.app), place).unwrap();
        let mut pump = world.pump(reader);
        assert_eq!(pump.round().await.unwrap(), Duration::ZERO);
        let text = received_until(&listener, "two").await;
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}
