//! Whose a host is, and which paths of it others may answer.

use crate::records::{App, Domain};
use crate::run::Message;
use crate::{Platform, PlatformError, Result};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use windlass_core::names::Hostname;
use windlass_core::routing_settings::{PathMount, RoutingSettings};

/// Looking a name up takes no longer.
const LOOKUP: Duration = Duration::from_secs(5);

/// Where the name of a domain leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainCheck {
    /// The name that was looked up: for `*.example.com` one below it.
    pub looked_up: String,
    /// Its addresses; none: it does not exist, or nobody says.
    pub addresses: BTreeSet<IpAddr>,
    /// The app's own name on the platform, which leads here.
    pub target: String,
    pub target_addresses: BTreeSet<IpAddr>,
}

impl DomainCheck {
    /// Whether the name leads where the platform's own names do.
    #[must_use]
    pub fn points_here(&self) -> bool {
        !self.addresses.is_disjoint(&self.target_addresses)
    }
}

impl Platform {
    /// Returns the app's default host and its custom domains.
    pub(super) fn hosts_of(&self, app: &App) -> Result<Vec<Hostname>> {
        let custom = self.store().domains(app.id)?.into_iter().map(|domain| domain.hostname);
        Ok(self.default_hostname(app).parse().into_iter().chain(custom).collect())
    }

    /// Returns the app that a host belongs to, wildcards included.
    fn app_of_host(&self, host: &Hostname) -> Result<Option<App>> {
        let own = host.as_str().strip_suffix(&format!(".{}", self.settings().domain));
        if let Some(app) = own.map(|name| self.store().app_by_name(name)).transpose()?.flatten() {
            return Ok(Some(app));
        }
        let mut found = self.store().app_of_domain(host)?;
        let mut rest = host.as_str();
        while let (None, Some((_, suffix))) = (found, rest.split_once('.')) {
            if let Ok(wildcard) = format!("*.{suffix}").parse() {
                found = self.store().app_of_domain(&wildcard)?;
            }
            rest = suffix;
        }
        found.map(|app| self.store().app(app)).transpose().map(Option::flatten).map_err(Into::into)
    }

    /// Refuses a path of a host that is not of another app of the same owner.
    pub(super) fn host_of_mount(&self, app: &App, mount: &PathMount) -> Result<()> {
        let host = self.app_of_host(&mount.host)?.filter(|other| is_same_owner(other, app));
        match host {
            Some(other) if other.id == app.id => Err(PlatformError::Invalid(format!(
                "{} is {}'s own host: it gets all its paths already.",
                mount.host, app.name
            ))),
            Some(_) => Ok(()),
            None => Err(PlatformError::Invalid(format!(
                "{} is no host of your apps: path is the host of another of your apps with a path below it.",
                mount.host
            ))),
        }
    }

    /// Returns the settings for the router: the app's over the server's, without paths of hosts
    /// that have gone to somebody else.
    pub(crate) fn routing_in_force(&self, app: &App) -> Result<RoutingSettings> {
        let mut settings = self.store().routing_settings(app.id)?.over(&self.settings().routing);
        settings.paths.retain(|mount| self.host_of_mount(app, mount).is_ok());
        Ok(settings)
    }

    /// Makes the apps look again that answer paths of hosts of other apps: who has these hosts
    /// has changed.
    pub(crate) async fn follow_hosts(&self) {
        self.wake_acme();
        self.sync_certificates_or_later().await;
        let mounts = match self.store().path_mounts() {
            Ok(mounts) => mounts,
            Err(error) => {
                tracing::error!(%error, "paths of hosts could not be looked up");
                return;
            }
        };
        for (app, _) in mounts {
            // One that is being destroyed has no paths any more.
            if let Ok(Err(error)) = self.ask(app, Message::Refresh).await {
                tracing::error!(%app, %error, "an app could not follow the hosts of others");
            }
        }
    }

    /// Forgets where a domain led that the app has no more.
    pub(crate) fn forget_redirect(&self, app: &App, domain: &Domain) -> Result<()> {
        self.store().update_routing_settings(app.id, crate::platform::now_ms(), |settings| {
            settings.redirects.remove(&domain.hostname);
            Ok::<(), PlatformError>(())
        })?;
        Ok(())
    }

    /// Looks up where a domain of the app leads, and where it should.
    pub async fn check_domain(&self, app: &App, hostname: &str) -> Result<DomainCheck> {
        let hostname: Hostname = hostname.to_ascii_lowercase().parse()?;
        if !self.hosts_of(app)?.contains(&hostname) {
            return Err(PlatformError::NotFound { resource: "domain" });
        }
        let looked_up = match hostname.as_str().strip_prefix("*.") {
            Some(suffix) => format!("windlass-check.{suffix}"),
            None => hostname.to_string(),
        };
        let target = self.default_hostname(app);
        let (addresses, target_addresses) = tokio::join!(look_up(&looked_up), look_up(&target));
        Ok(DomainCheck { looked_up, addresses, target, target_addresses })
    }
}

/// Returns the addresses of a name; none if there is none, or nobody answers in time.
async fn look_up(name: &str) -> BTreeSet<IpAddr> {
    // Always this machine (RFC 6761), though not every resolver knows.
    if name.ends_with(".localhost") {
        return [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].into();
    }
    let found = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((name, 0))).await;
    match found {
        Ok(Ok(addresses)) => addresses.map(|address| address.ip().to_canonical()).collect(),
        Ok(Err(error)) => {
            tracing::debug!(name, %error, "a domain is not found");
            BTreeSet::new()
        }
        Err(_) => BTreeSet::new(),
    }
}

/// Whether two apps are of the same person, or of the same team.
fn is_same_owner(one: &App, other: &App) -> bool {
    one.team == other.team && (one.team.is_some() || one.owner == other.owner)
}
