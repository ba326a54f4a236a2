//! One certificate, from the order to its chain.

use super::AcmeSettings;
use super::challenges::Challenge;
use super::client::Client;
use crate::{Platform, PlatformError};
use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Error, Identifier,
    KeyAuthorization, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use std::time::Duration;
use windlass_core::acme::{CertificateState, ChallengeKind, FailureKind, Subject, Way, choose};
use windlass_core::challenges::{AlpnCertificate, dns_name};
use windlass_core::route::RouterUnavailable;
use windlass_store::StoreError;

/// One order, with all that the authority does.
const LIMIT: Duration = Duration::from_secs(180);
/// How long the authority may take to look at the challenges, and to issue.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(75));
/// What problems of the authority are called.
const PROBLEMS: &str = "urn:ietf:params:acme:error:";

/// A certificate that was just issued.
pub(super) struct Issue {
    pub chain_pem: String,
    pub key_pem: String,
}

/// Why there is none.
#[derive(Debug)]
pub(super) struct Failed {
    pub kind: FailureKind,
    pub message: String,
    /// The authority does not know our account any more.
    pub forget_account: bool,
}

impl Failed {
    pub fn unavailable(message: String) -> Self {
        Self { kind: FailureKind::Unavailable, message, forget_account: false }
    }

    fn refused(message: String) -> Self {
        Self { kind: FailureKind::Refused, message, forget_account: false }
    }

    /// Says what an error of the client means.
    pub fn of(error: &Error, client: &Client) -> Self {
        match error {
            Error::Api(problem) => Self::of_problem(problem, client),
            other => {
                Self::unavailable(format!("The certificate authority was not reached: {other}"))
            }
        }
    }

    fn of_problem(problem: &Problem, client: &Client) -> Self {
        let name = problem.r#type.as_deref().unwrap_or_default();
        let name = name.strip_prefix(PROBLEMS).unwrap_or(name);
        let said = said(problem);
        match name {
            "rateLimited" => Self {
                kind: FailureKind::RateLimited,
                message: format!("The certificate authority wants us to wait: {said}"),
                forget_account: false,
            },
            "accountDoesNotExist" => Self {
                forget_account: true,
                ..Self::unavailable(format!(
                    "The certificate authority does not know the account any more ({said}); another one is made."
                ))
            },
            "serverInternal" | "badNonce" => {
                Self::unavailable(format!("The certificate authority has an error: {said}"))
            }
            _ if problem.status.is_some_and(|status| status >= 500 || status == 429) => {
                let limited = problem.status == Some(429) || client.retry_after().is_some();
                let kind =
                    if limited { FailureKind::RateLimited } else { FailureKind::Unavailable };
                let message = format!("The certificate authority cannot answer now: {said}");
                Self { kind, message, forget_account: false }
            }
            _ => Self::refused(format!("The certificate authority refuses: {said}")),
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the state of automatic certificates cannot be used");
        Self::unavailable("The server's database could not be used.".to_owned())
    }
}

impl From<RouterUnavailable> for Failed {
    fn from(error: RouterUnavailable) -> Self {
        Self::unavailable(format!("The challenge could not be put up: {error}"))
    }
}

impl From<PlatformError> for Failed {
    fn from(error: PlatformError) -> Self {
        Self::unavailable(format!("The certificate was issued but not taken: {error}"))
    }
}

/// Returns what the authority says, its details about single names included.
fn said(problem: &Problem) -> String {
    let mut said = problem.detail.clone().unwrap_or_else(|| "it does not say why".to_owned());
    for part in problem.subproblems.iter().filter_map(|part| part.detail.as_deref()) {
        if !said.contains(part) {
            said = format!("{said}; {part}");
        }
    }
    said
}

impl Platform {
    /// Has a certificate issued for the subject's names.
    pub(super) async fn obtain(
        &self,
        settings: &AcmeSettings,
        subject: &Subject,
        state: &CertificateState,
        client: &Client,
    ) -> Result<Issue, Failed> {
        let mut open = Vec::new();
        let ordered = async {
            let account = self.acme_account(settings, client).await?;
            self.order(&account, settings, subject, state, client, &mut open).await
        };
        let outcome = tokio::time::timeout(LIMIT, ordered).await.unwrap_or_else(|_| {
            let seconds = LIMIT.as_secs();
            Err(Failed::unavailable(format!(
                "The certificate authority was not done within {seconds} s."
            )))
        });
        self.close_challenges(&open).await;
        if let Err(Failed { forget_account: true, .. }) = &outcome {
            self.store().delete_acme_account(&settings.directory)?;
        }
        outcome
    }

    async fn order(
        &self,
        account: &Account,
        settings: &AcmeSettings,
        subject: &Subject,
        state: &CertificateState,
        client: &Client,
        open: &mut Vec<Challenge>,
    ) -> Result<Issue, Failed> {
        let failed = |error: Error| Failed::of(&error, client);
        let identifiers: Vec<_> = subject.names.iter().cloned().map(Identifier::Dns).collect();
        let mut wanted = NewOrder::new(&identifiers);
        if let Some(replaced) = self.replaced(subject, state) {
            wanted = wanted.replaces(replaced);
        }
        let order = account.new_order(&wanted).await;
        let mut order = order.map_err(failed)?;
        let ways = match subject.way {
            Way::Request => settings.challenges.as_slice(),
            _ => &[ChallengeKind::Dns01],
        };
        let way = choose(ways, state).ok_or_else(|| {
            Failed::refused("acme.challenges leaves no way to prove this name.".to_owned())
        })?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            self.answer(authorization.map_err(failed)?, way, client, open).await?;
        }
        match order.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Ready) => {}
            Ok(_) => return Err(refusal(&mut order, way).await),
            Err(Error::Timeout(_)) => {
                return Err(Failed::unavailable(
                    "The certificate authority has not looked at the challenge yet.".to_owned(),
                ));
            }
            Err(Error::Api(problem)) => {
                let told = refusal(&mut order, way).await;
                let of_order = Failed::of_problem(&problem, client);
                let kind_is_clear = of_order.kind != FailureKind::Refused;
                return Err(if kind_is_clear { of_order } else { told });
            }
            Err(error) => return Err(failed(error)),
        }
        let key_pem = order.finalize().await.map_err(failed)?;
        let chain_pem = order.poll_certificate(&PATIENCE).await.map_err(failed)?;
        Ok(Issue { chain_pem, key_pem })
    }

    /// Puts up the answer to one name's challenge and says that it is there.
    async fn answer(
        &self,
        mut authorization: AuthorizationHandle<'_>,
        way: ChallengeKind,
        client: &Client,
        open: &mut Vec<Challenge>,
    ) -> Result<(), Failed> {
        match authorization.status {
            // It was proved not long ago.
            AuthorizationStatus::Valid => return Ok(()),
            AuthorizationStatus::Pending => {}
            _ => return Err(Failed::refused("The challenge was refused before.".to_owned())),
        }
        let Identifier::Dns(host) = authorization.identifier().identifier.clone() else {
            return Err(Failed::refused("The authority asks for something else.".to_owned()));
        };
        let kind = match way {
            ChallengeKind::Http01 => ChallengeType::Http01,
            ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
            ChallengeKind::Dns01 => ChallengeType::Dns01,
        };
        let Some(mut offered) = authorization.challenge(kind) else {
            return Err(Failed::refused(format!(
                "The certificate authority does not prove {host} by {}: see acme.challenges.",
                way.as_str()
            )));
        };
        let challenge = put_up(&host, &offered.token, &offered.key_authorization(), way)?;
        open.push(challenge.clone());
        self.open_challenge(challenge).await?;
        offered.set_ready().await.map_err(|error| Failed::of(&error, client))
    }
}

fn put_up(
    host: &str,
    token: &str,
    key: &KeyAuthorization,
    way: ChallengeKind,
) -> Result<Challenge, Failed> {
    let host = host.to_owned();
    Ok(match way {
        ChallengeKind::Http01 => Challenge::Http {
            host,
            token: token.to_owned(),
            key_authorization: key.as_str().to_owned(),
        },
        ChallengeKind::Dns01 => Challenge::Txt { name: dns_name(&host), value: key.dns_value() },
        ChallengeKind::TlsAlpn01 => {
            let certificate = alpn_certificate(&host, key.digest().as_ref())
                .map_err(|error| Failed::unavailable(error.to_string()))?;
            Challenge::Alpn { host, certificate }
        }
    })
}

/// Makes the certificate that answers a TLS-ALPN-01 challenge (RFC 8737).
fn alpn_certificate(host: &str, digest: &[u8]) -> Result<AlpnCertificate, rcgen::Error> {
    let mut parameters = CertificateParams::new(vec![host.to_owned()])?;
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    Ok(AlpnCertificate { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// Finds out what the authority did not like.
async fn refusal(order: &mut Order, way: ChallengeKind) -> Failed {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        let problems = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(problems.map(|problem| format!("{name}: {}", said(problem))));
    }
    let reasons = match reasons.is_empty() {
        true => "it does not say why".to_owned(),
        false => reasons.join("; "),
    };
    Failed::refused(format!(
        "The certificate authority did not find the name proved ({}): {reasons}",
        way.as_str()
    ))
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
