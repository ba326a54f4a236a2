//! Builds from an archive: one that was uploaded, or one at a URL. They go on in the background;
//! whoever asked reads their output.

use super::setup::Done;
use super::uploads::SourceFile;
use super::{Session, download};
use crate::build::{BuildJob, BuildOutput, Source, Timings};
use crate::records::{App, Build, User};
use crate::{Platform, PlatformError, Result};
use std::future::Future;
use std::io::Read;
use std::path::Path;

/// The longest version of a source, in bytes (Heroku: 255).
const VERSION_BYTES: usize = 255;

/// A source that a client names.
#[derive(Clone, Debug, Default)]
pub struct SourceRequest {
    /// A URL of ours that an archive was sent to, or any other.
    pub url: String,
    /// What the client calls it, usually a commit.
    pub version: Option<String>,
    /// `SHA256:` and 64 hexadecimal digits.
    pub checksum: Option<String>,
}

/// Where the archive of a request is.
enum Origin {
    Uploaded(SourceFile),
    Url(String),
}

impl Platform {
    /// Starts to build an archive and to deploy what comes of it; returns the pending build.
    ///
    /// # Errors
    /// `Invalid` if the request makes no sense. What goes wrong later is in the build's output.
    pub fn start_build(&self, user: &User, app: &App, request: SourceRequest) -> Result<Build> {
        let (build, work) = self.begin_archive(user, app, request)?;
        tokio::spawn(work);
        Ok(build)
    }

    /// The same; the work is done by whoever awaits it.
    pub(super) fn begin_archive(
        &self,
        user: &User,
        app: &App,
        request: SourceRequest,
    ) -> Result<(Build, impl Future<Output = Done> + Send + use<>)> {
        let version = checked_version(request.version)?;
        let checksum = request.checksum.as_deref().map(parse_checksum).transpose()?;
        let origin = self.origin(&request.url)?;
        let job = self.begin_build(user, app, version.as_deref())?;
        let build = job.build.clone();
        let session = Session::without_git(user, app);
        let platform = self.clone();
        let work =
            async move { platform.deploy_archive(&session, &job, origin, version, checksum).await };
        Ok((build, work))
    }

    fn origin(&self, url: &str) -> Result<Origin> {
        // Through a tunnel or a proxy our own URLs have other hosts: the secret is what counts.
        let path = url.split(['?', '#']).next().unwrap_or_default();
        if let Some((_, secret)) = path.rsplit_once("/sources/")
            && secret.len() == 40
            && secret.bytes().all(|digit| digit.is_ascii_hexdigit())
        {
            return self.receiver().uploads().take(secret).map(Origin::Uploaded);
        }
        download::check_url(url)?;
        Ok(Origin::Url(url.to_owned()))
    }

    async fn deploy_archive(
        &self,
        session: &Session,
        job: &BuildJob,
        origin: Origin,
        version: Option<String>,
        checksum: Option<String>,
    ) -> Done {
        let mut output = BuildOutput::to_nobody();
        output.keep_in(&self.build_output_file(&job.build));
        let line = self.receiver().line_of(session.app.id);
        let mut timings = Timings::default();
        let work = async {
            let source = self.prepare(origin, version, checksum, &mut output).await?;
            let turn = match line.turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => {
                    output
                        .heading("Another build of this app is under way; waiting for its turn...");
                    line.turn.lock().await
                }
            };
            let done =
                self.build_and_release(session, job, &source, &mut output, &mut timings).await;
            drop(turn);
            done
        };
        let done = job.unless_canceled(work).await;
        timings.stop();
        self.keep_timings(session, &timings);
        self.finish(session, done, &mut output).await
    }

    async fn prepare(
        &self,
        origin: Origin,
        version: Option<String>,
        checksum: Option<String>,
        output: &mut BuildOutput,
    ) -> Result<Source> {
        let (file, strip_folder) = match origin {
            Origin::Uploaded(file) => (file, false),
            Origin::Url(url) => {
                output.heading(&format!("Fetching {}", download::shown(&url)));
                let file = self.receiver().uploads().new_file();
                let from_itself = self.settings().outgoing.allow_private;
                download::download(&url, file.path(), from_itself).await?;
                (file, true)
            }
        };
        if let Some(wanted) = checksum {
            let path = file.path().to_owned();
            let found = tokio::task::spawn_blocking(move || sha256(&path)).await;
            let failed = "the source's checksum could not be computed";
            let found = found
                .map_err(|error| PlatformError::internal(failed, error))?
                .map_err(|error| PlatformError::internal(failed, error))?;
            if found != wanted {
                return Err(PlatformError::Invalid(format!(
                    "The source has the checksum SHA256:{found}, not SHA256:{wanted}."
                )));
            }
        }
        Ok(Source::Archive { file, strip_folder, version })
    }
}

fn checked_version(version: Option<String>) -> Result<Option<String>> {
    let version = version.filter(|version| !version.is_empty());
    let strange = |text: &String| text.len() > VERSION_BYTES || text.chars().any(char::is_control);
    if version.as_ref().is_some_and(strange) {
        return Err(PlatformError::Invalid(format!(
            "A source's version is one line of at most {VERSION_BYTES} bytes."
        )));
    }
    Ok(version)
}

/// Returns the digits in lower case.
fn parse_checksum(text: &str) -> Result<String> {
    let digits = text.split_once(':').filter(|(kind, _)| kind.eq_ignore_ascii_case("sha256"));
    match digits {
        Some((_, digits))
            if digits.len() == 64 && digits.bytes().all(|d| d.is_ascii_hexdigit()) =>
        {
            Ok(digits.to_ascii_lowercase())
        }
        _ => Err(PlatformError::Invalid(
            "A source's checksum is SHA256: and 64 hexadecimal digits.".to_owned(),
        )),
    }
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => context.update(&buffer[..count]),
        }
    }
    Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_have_herokus_form() {
        let digits = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";
        let parsed = parse_checksum(&format!("SHA256:{digits}")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), b"").unwrap();
        assert_eq!(sha256(&folder.path().join("empty")).unwrap(), parsed);
        for wrong in [digits, "SHA256:12", "MD5:00", &format!("SHA256:{}g", &digits[1..])] {
            assert!(parse_checksum(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn versions_are_one_short_line() {
        assert_eq!(checked_version(Some(String::new())).unwrap(), None);
        assert_eq!(checked_version(Some("v1".into())).unwrap().as_deref(), Some("v1"));
        assert!(checked_version(Some("a\nb".into())).is_err());
        assert!(checked_version(Some("x".repeat(256))).is_err());
    }
}
