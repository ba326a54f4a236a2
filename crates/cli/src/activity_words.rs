//! What people did, in words: the audit trail names the endpoints that were called.

/// Returns what an entry of the audit trail says, in words where they are known: `PATCH
/// /apps/{app}/config-vars` is `changed config vars`. All else stays as it is.
pub fn in_words(action: &str) -> &str {
    let known = WORDS.iter().find(|(known, _)| *known == action);
    known.map_or(action, |(_, words)| words)
}

/// Endpoints and what calling them means.
pub const WORDS: &[(&str, &str)] = &[
    ("POST /apps", "created the app"),
    ("PATCH /apps/{app}", "changed the app"),
    ("DELETE /apps/{app}", "destroyed the app"),
    ("POST /apps/{app}/actions/start", "started the app"),
    ("POST /apps/{app}/actions/stop", "stopped the app"),
    ("POST /sources", "asked where to upload"),
    ("POST /apps/{app}/sources", "asked where to upload"),
    ("POST /apps/{app}/builds", "started a build"),
    ("DELETE /apps/{app}/builds/{build}", "canceled a build"),
    ("DELETE /apps/{app}/build-cache", "purged the build cache"),
    ("PUT /apps/{app}/buildpack-installations", "chose buildpacks"),
    ("POST /apps/{app}/git-sync", "deployed from another repository"),
    ("POST /apps/{app}/git-webhook", "enabled the git webhook"),
    ("DELETE /apps/{app}/git-webhook", "disabled the git webhook"),
    ("POST /apps/{app}/images", "deployed an image"),
    ("POST /apps/{app}/images/pull", "deployed an image"),
    ("POST /apps/{app}/slugs", "made a slug"),
    ("POST /apps/{app}/releases", "made a release, or rolled back"),
    ("PATCH /apps/{app}/config-vars", "changed config vars"),
    ("PATCH /apps/{app}/formation", "changed the formation"),
    ("PATCH /apps/{app}/formation/{formation}", "changed the formation"),
    ("POST /apps/{app}/dynos", "ran a one-off process"),
    ("DELETE /apps/{app}/dynos", "restarted all processes"),
    ("DELETE /apps/{app}/dynos/{dyno}", "restarted a process"),
    ("DELETE /apps/{app}/formations/{formation}", "restarted a process type"),
    ("POST /apps/{app}/dynos/{dyno}/actions/stop", "stopped a process"),
    ("POST /apps/{app}/formations/{formation}/actions/stop", "stopped a process type"),
    ("POST /apps/{app}/dynos/{dyno}/actions/exec", "ran a command inside a process"),
    ("PATCH /apps/{app}/limits/{process}", "changed limits"),
    ("DELETE /apps/{app}/limits/{process}", "reset limits"),
    ("PUT /apps/{app}/checks/{process}", "changed checks"),
    ("DELETE /apps/{app}/checks/{process}", "reset checks"),
    ("POST /apps/{app}/checks/actions/run", "ran checks"),
    ("POST /apps/{app}/cron-jobs", "added a cron job"),
    ("PATCH /apps/{app}/cron-jobs/{job}", "changed a cron job"),
    ("DELETE /apps/{app}/cron-jobs/{job}", "removed a cron job"),
    ("POST /apps/{app}/cron-jobs/{job}/runs", "ran a cron job"),
    ("PATCH /apps/{app}/deploys", "changed how it is deployed"),
    ("POST /apps/{app}/deploys/actions/abort", "aborted a deploy"),
    ("POST /apps/{app}/deploys/actions/promote", "promoted a canary"),
    ("POST /apps/{app}/deploys/actions/lock", "locked deploys"),
    ("POST /apps/{app}/deploys/actions/unlock", "unlocked deploys"),
    ("POST /apps/{app}/domains", "added a domain"),
    ("PATCH /apps/{app}/domains/{domain}", "changed a domain"),
    ("DELETE /apps/{app}/domains/{domain}", "removed a domain"),
    ("PATCH /apps/{app}/routing", "changed routing"),
    ("POST /apps/{app}/acm", "enabled automatic certificates"),
    ("DELETE /apps/{app}/acm", "disabled automatic certificates"),
    ("POST /apps/{app}/sni-endpoints", "added a certificate"),
    ("PATCH /apps/{app}/sni-endpoints/{endpoint}", "changed a certificate"),
    ("DELETE /apps/{app}/sni-endpoints/{endpoint}", "removed a certificate"),
    ("PATCH /apps/{app}/features/{feature}", "changed a feature"),
    ("POST /apps/{app}/log-sessions", "read the logs"),
    ("POST /apps/{app}/log-drains", "added a log drain"),
    ("DELETE /apps/{app}/log-drains/{drain}", "removed a log drain"),
    ("POST /apps/{app}/network-links", "linked the app to another"),
    ("DELETE /apps/{app}/network-links/{link}", "removed a link to another app"),
    ("POST /apps/{app}/volumes", "added a volume"),
    ("PATCH /apps/{app}/volumes/{volume}", "changed a volume"),
    ("DELETE /apps/{app}/volumes/{volume}", "detached a volume"),
    ("POST /apps/{app}/volumes/actions/attach", "attached a volume"),
    ("POST /apps/{app}/volumes/{volume}/snapshots", "made a snapshot of a volume"),
    ("POST /apps/{app}/volumes/{volume}/actions/restore", "restored a volume"),
    ("DELETE /volumes/{volume}", "destroyed a volume"),
    ("POST /apps/{app}/webhooks", "added a webhook"),
    ("PATCH /apps/{app}/webhooks/{webhook}", "changed a webhook"),
    ("DELETE /apps/{app}/webhooks/{webhook}", "removed a webhook"),
    ("POST /apps/{app}/collaborators", "gave somebody access"),
    ("PATCH /apps/{app}/collaborators/{collaborator}", "changed somebody's access"),
    ("DELETE /apps/{app}/collaborators/{collaborator}", "took somebody's access"),
    ("PATCH /account", "changed their account"),
    ("POST /account/keys", "added an SSH key"),
    ("DELETE /account/keys/{key}", "removed an SSH key"),
    ("POST /account/app-transfers", "offered an app to somebody"),
    ("PATCH /account/app-transfers/{transfer}", "answered an offer of an app"),
    ("POST /oauth/authorizations", "made a token"),
    ("DELETE /oauth/authorizations/{authorization}", "revoked a token"),
    ("POST /invitations", "invited somebody"),
    ("POST /invitations/actions/accept", "accepted an invitation"),
    ("DELETE /invitations/{invitation}", "took an invitation back"),
    ("DELETE /users/{user}", "removed somebody's account"),
    ("DELETE /users/{user}/two-factor", "took somebody's second factor"),
    ("DELETE /users/{user}/passkeys", "took somebody's passkeys"),
    ("POST /teams", "made a team"),
    ("PATCH /teams/{team}", "changed a team"),
    ("DELETE /teams/{team}", "deleted a team"),
    ("PUT /teams/{team}/members", "changed who is in a team"),
    ("DELETE /teams/{team}/members/{member}", "took somebody out of a team"),
    ("PUT /teams/{team}/invitations", "invited somebody to a team"),
    ("POST /pipelines", "created a pipeline"),
    ("PATCH /pipelines/{pipeline}", "changed a pipeline"),
    ("DELETE /pipelines/{pipeline}", "destroyed a pipeline"),
    ("POST /pipeline-couplings", "added the app to a pipeline"),
    ("DELETE /pipeline-couplings/{coupling}", "took the app out of a pipeline"),
    ("POST /pipeline-promotions", "promoted"),
    ("POST /pipeline-transfers", "transferred a pipeline"),
    ("POST /review-apps", "made a review app"),
    ("DELETE /review-apps/{review_app}", "destroyed a review app"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn actions_are_told_in_words_where_they_are_known() {
        assert_eq!(in_words("PATCH /apps/{app}/formation"), "changed the formation");
        for raw in ["git push", "passkey add", "PUT /api/v2/{dyno}", ""] {
            assert_eq!(in_words(raw), raw);
        }
    }

    #[test]
    fn no_action_has_two_rows() {
        let distinct: BTreeSet<&str> = WORDS.iter().map(|(action, _)| *action).collect();
        assert_eq!(distinct.len(), WORDS.len());
    }
}
