//! Which certificates are wanted.

use crate::ids::AppId;
use crate::zone::is_within;

/// All names that are served.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Apps are at `<app>.<domain>`.
    pub platform_domain: String,
    /// The zone that this server answers for, if it does.
    pub zone: Option<String>,
    pub apps: Vec<AppNames>,
}

/// The names of one app that wants automatic certificates.
#[derive(Clone, Debug)]
pub struct AppNames {
    pub app: AppId,
    /// `<app>.<domain>`
    pub default_host: String,
    /// Those that people added.
    pub domains: Vec<String>,
}

/// One certificate that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// `None`: the platform's own, good for every app.
    pub app: Option<AppId>,
    /// The first one names it.
    pub names: Vec<String>,
    pub way: Way,
}

/// How it can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// The names lead here: by a request or a handshake.
    Request,
    /// They are in our zone: by a TXT record.
    Zone,
    /// It cannot, and this is why.
    Impossible(String),
}

impl Subject {
    /// Returns the name by which it is known.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

/// Only this machine knows such names: no authority can ask for them.
fn is_of_this_machine(hostname: &str) -> bool {
    is_within(hostname, "localhost") || is_within(hostname, "internal")
}

/// Returns the certificates that are wanted, one a name, so that one name that fails keeps no other
/// from its certificate. With a zone of our own all apps share one for `*.<domain>`.
#[must_use]
pub fn subjects(names: &Names) -> Vec<Subject> {
    let zone = names.zone.as_deref();
    let in_zone = |hostname: &str| zone.is_some_and(|zone| is_within(hostname, zone));
    let platform_is_ours = in_zone(&names.platform_domain);
    let mut wanted = Vec::new();
    if platform_is_ours && !names.apps.is_empty() {
        let domain = &names.platform_domain;
        wanted.push(Subject {
            app: None,
            names: vec![format!("*.{domain}"), domain.clone()],
            way: Way::Zone,
        });
    }
    for app in &names.apps {
        let own = (!platform_is_ours).then_some(&app.default_host);
        for hostname in own.into_iter().chain(&app.domains) {
            if is_of_this_machine(hostname) {
                continue;
            }
            let way = match (hostname.strip_prefix("*."), in_zone(hostname)) {
                (None, _) => Way::Request,
                (Some(_), true) => Way::Zone,
                (Some(below), false) => Way::Impossible(format!(
                    "A certificate for {hostname} is proved by a DNS record, and {below} is in no zone that this server answers for. Delegate it (windlass dns), or bring a certificate with windlass certs:add."
                )),
            };
            wanted.push(Subject { app: Some(app.app), names: vec![hostname.clone()], way });
        }
    }
    wanted
}
