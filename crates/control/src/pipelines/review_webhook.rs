//! Calls of another git host when a branch of a pipeline's repository was pushed or deleted there.

use super::MISSING;
use crate::access::random_secret;
use crate::receive::{EVENTS, SetupSource, Webhook, WebhookAnswer, is_signed};
use crate::records::{Pipeline, User};
use crate::{Platform, PlatformError, Result};
use serde::Deserialize;
use windlass_core::ids::PipelineId;

/// What hosts tell of a push.
#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    reference: Option<String>,
    after: Option<String>,
}

/// What a call says about a branch.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Nothing(&'static str),
    Moved(String),
    Gone(String),
}

impl Platform {
    /// Gives a pipeline a webhook, or with `rotate` another secret.
    ///
    /// # Errors
    /// `Invalid` if it has no repository elsewhere: pushes to its own apps are known anyway.
    pub fn enable_pipeline_webhook(
        &self,
        user: &User,
        pipeline: &Pipeline,
        rotate: bool,
    ) -> Result<Webhook> {
        self.require_pipeline(user, pipeline)?;
        if pipeline.repository.is_none() {
            return Err(PlatformError::Invalid(format!(
                "The pipeline {0} is connected to no repository elsewhere: do that with `windlass pipelines:connect {0} --repo URL`.",
                pipeline.name
            )));
        }
        let known = self.store().pipeline_webhook_secret(pipeline.id)?.filter(|_| !rotate);
        let secret = known.unwrap_or_else(random_secret);
        self.store().set_pipeline_webhook_secret(pipeline.id, Some(&secret))?;
        let url = format!("{}/webhooks/pipelines/{}", self.settings().api_url, pipeline.id);
        Ok(Webhook { url, secret })
    }

    pub fn disable_pipeline_webhook(&self, user: &User, pipeline: &Pipeline) -> Result<()> {
        self.require_pipeline(user, pipeline)?;
        Ok(self.store().set_pipeline_webhook_secret(pipeline.id, None)?)
    }

    /// Acts on a call. `header` returns a header by its name in lower case.
    pub fn take_pipeline_webhook(
        &self,
        pipeline: &str,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
    ) -> Result<WebhookAnswer> {
        let Ok(id) = pipeline.parse::<PipelineId>() else { return Ok(WebhookAnswer::Refused) };
        let secret = self.store().pipeline_webhook_secret(id)?;
        if !secret.is_some_and(|secret| is_signed(&secret, header, body)) {
            return Ok(WebhookAnswer::Refused);
        }
        let pipeline = self.store().pipeline(id)?.ok_or(MISSING)?;
        let Some(url) = pipeline.repository.clone() else {
            return Ok(WebhookAnswer::Ignored("Ignored: no repository is connected.".to_owned()));
        };
        let event = EVENTS.iter().find_map(|name| header(name));
        let (branch, is_there) = match read(event.as_deref(), body)? {
            Said::Nothing(why) => return Ok(WebhookAnswer::Ignored(why.to_owned())),
            Said::Moved(branch) => (branch, true),
            Said::Gone(branch) => (branch, false),
        };
        self.check_branch(&branch)?;
        let source = is_there.then(|| SetupSource::Branch { url, branch: branch.clone() });
        let user = self.person_behind(&pipeline)?;
        Ok(match self.act_on_branch(&user, &pipeline, &branch, source)? {
            Some(said) => WebhookAnswer::Started(said),
            None => WebhookAnswer::Ignored(format!("Ignored: {branch} has no review app.")),
        })
    }
}

fn read(event: Option<&str>, body: &[u8]) -> Result<Said> {
    match event.unwrap_or("push") {
        "push" | "Push Hook" => {}
        // GitHub and Gitea tell of a deleted branch this way too; the push says the same.
        "ping" => return Ok(Said::Nothing("pong: the webhook works.")),
        _ => return Ok(Said::Nothing("Ignored: only pushes are acted on.")),
    }
    let push: Push = serde_json::from_slice(body).map_err(|_| {
        PlatformError::Invalid(
            "The webhook's body is not a push in JSON: choose application/json as its content type."
                .to_owned(),
        )
    })?;
    let reference = push.reference.unwrap_or_default();
    let Some(branch) = reference.strip_prefix("refs/heads/") else {
        return Ok(Said::Nothing("Ignored: it names no branch."));
    };
    let is_gone = push.after.is_some_and(|id| !id.is_empty() && id.bytes().all(|b| b == b'0'));
    Ok(if is_gone { Said::Gone(branch.to_owned()) } else { Said::Moved(branch.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_tell_which_branch_moved_or_went() {
        let zeros = "0".repeat(40);
        for (event, body, said) in [
            (
                Some("push"),
                r#"{"ref": "refs/heads/a/b", "after": "12ab"}"#.to_owned(),
                Said::Moved("a/b".into()),
            ),
            (
                Some("Push Hook"),
                format!(r#"{{"ref": "refs/heads/x", "after": "{zeros}"}}"#),
                Said::Gone("x".into()),
            ),
            (None, r#"{"ref": "refs/heads/x"}"#.to_owned(), Said::Moved("x".into())),
            (
                Some("push"),
                r#"{"ref": "refs/tags/v1"}"#.to_owned(),
                Said::Nothing("Ignored: it names no branch."),
            ),
            (Some("ping"), "{}".to_owned(), Said::Nothing("pong: the webhook works.")),
            (Some("delete"), "{}".to_owned(), Said::Nothing("Ignored: only pushes are acted on.")),
        ] {
            assert_eq!(read(event, body.as_bytes()).unwrap(), said, "{body}");
        }
        assert!(read(Some("push"), b"a=1").is_err());
    }
}
