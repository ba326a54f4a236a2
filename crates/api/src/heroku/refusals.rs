//! What Heroku has and this server has not, on purpose: one sentence each.

use crate::convention::{ApiError, Endpoints, Needs};
use http::StatusCode;

/// The error's id, for programs.
const ID: &str = "not_supported_here";

/// A family of calls that is refused.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// What is said to whoever calls.
    pub sentence: &'static str,
    /// `GET /spaces/{space}`: methods before a path are separated by commas.
    pub calls: &'static [&'static str],
}

impl Refusal {
    /// Returns the method and path of every call.
    pub fn endpoints(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.calls
            .iter()
            .filter_map(|call| call.split_once(' '))
            .flat_map(|(methods, path)| methods.split(',').map(move |method| (method, path)))
    }
}

/// Everything that is refused. What is served never stands here.
pub const REFUSALS: &[Refusal] = &[
    Refusal {
        sentence: "There are no OAuth clients here: give each program a token of its own, with a scope and an expiry \
            (windlass authorizations:create).",
        calls: &[
            "GET,POST /oauth/clients",
            "GET,PATCH,DELETE /oauth/clients/{oauth-client}",
            "POST /oauth/clients/{oauth-client}/actions/rotate-credentials",
            "POST /oauth/tokens",
            "DELETE /oauth/tokens/{oauth-token}",
        ],
    },
    Refusal {
        sentence: "There are no private spaces here: all apps run on this server. Apps that shall reach each other \
            are linked (windlass network:link).",
        calls: &[
            "POST /spaces",
            "GET,PATCH,DELETE /spaces/{space}",
            "GET /spaces/{space}/nat",
            "GET /spaces/{space}/topology",
            "POST /spaces/{space}/transfer",
            "GET /spaces/{space}/members",
            "GET,PATCH /spaces/{space}/members/{account}",
            "GET /spaces/{space}/telemetry-drains",
            "GET,PUT /spaces/{space}/log-drain",
            "GET /spaces/{space}/hosts",
            "GET /spaces/{space}/dynos",
            "GET /teams/{team}/spaces",
        ],
    },
    Refusal {
        sentence: "There are no private spaces here, so there is nothing to peer with.",
        calls: &[
            "GET /spaces/{space}/peering-info",
            "GET,POST /spaces/{space}/peerings",
            "GET,DELETE /spaces/{space}/peerings/{peering}",
            "POST /spaces/{space}/peerings/{peering}/actions/accept",
        ],
    },
    Refusal {
        sentence: "There are no private spaces here, so there are no VPN connections.",
        calls: &[
            "GET,POST /spaces/{space}/vpn-connections",
            "GET,PATCH,DELETE /spaces/{space}/vpn-connections/{vpn-connection}",
        ],
    },
    Refusal {
        sentence: "There are no private spaces here. Which addresses may reach an app is a routing setting \
            (windlass routing:set allow=…).",
        calls: &[
            "GET,PUT /spaces/{space}/inbound-ruleset",
            "GET /spaces/{space}/inbound-rulesets",
            "GET /spaces/{space}/inbound-rulesets/{inbound-ruleset}",
        ],
    },
    Refusal {
        sentence: "There are no enterprise accounts here: people are in teams.",
        calls: &[
            "GET /enterprise-accounts",
            "GET,PATCH /enterprise-accounts/{enterprise-account}",
            "GET,POST /enterprise-accounts/{enterprise-account}/teams",
            "GET,POST /enterprise-accounts/{enterprise-account}/members",
            "PATCH,DELETE /enterprise-accounts/{enterprise-account}/members/{enterprise-account-member}",
            "GET /enterprise-accounts/{enterprise-account}/usage/daily",
            "GET /enterprise-accounts/{enterprise-account}/usage/monthly",
        ],
    },
    Refusal {
        sentence: "There are no enterprise accounts here; who did what is in the server's own audit trail.",
        calls: &[
            "GET /enterprise-accounts/{enterprise-account}/archives",
            "GET /enterprise-accounts/{enterprise-account}/archives/{year}/{month}",
            "GET /enterprise-accounts/{enterprise-account}/events",
        ],
    },
    Refusal {
        sentence: "Nothing is billed here: there are no invoices, credits or usage reports.",
        calls: &[
            "GET /account/invoices",
            "GET /account/invoices/{invoice}",
            "GET,PUT /account/invoice-address",
            "GET,POST /account/credits",
            "GET /account/credits/{credit}",
            "GET /account/delinquency",
            "GET /teams/{team}/invoices",
            "GET /teams/{team}/invoices/{team-invoice}",
            "GET /teams/{team}/delinquency",
            "GET /teams/{team}/usage/daily",
            "GET /teams/{team}/usage/monthly",
        ],
    },
    Refusal {
        sentence: "Nothing is sent to phones here: the second factor is an authenticator app or a recovery code.",
        calls: &[
            "GET /users/{account}/sms-number",
            "POST /users/{account}/sms-number/actions/recover",
            "POST /users/{account}/sms-number/actions/confirm",
        ],
    },
    Refusal {
        sentence: "There is no single sign-on here.",
        calls: &[
            "GET,POST /teams/{team}/identity-providers",
            "PATCH,DELETE /teams/{team}/identity-providers/{identity-provider}",
        ],
    },
    Refusal {
        sentence: "There are no test runs here: run the tests where the code is kept and deploy what passes.",
        calls: &[
            "POST /test-runs",
            "GET,PATCH /test-runs/{test-run}",
            "GET /test-runs/{test-run}/test-cases",
            "GET /test-runs/{test-run}/test-nodes",
            "GET /pipelines/{pipeline}/test-runs",
            "GET /pipelines/{pipeline}/test-runs/{number}",
        ],
    },
    Refusal {
        sentence: "There is one kind of runtime here, so there is no generation to choose.",
        calls: &[
            "GET /generations",
            "GET /generations/{generation}",
            "GET /teams/{team}/available-generations",
        ],
    },
    Refusal {
        sentence: "Preferences of Heroku's dashboard are not kept here.",
        calls: &["GET,PATCH /users/{account}/preferences", "GET,PATCH /teams/{team}/preferences"],
    },
    Refusal {
        sentence: "Teams have no features to switch here: features belong to accounts and apps.",
        calls: &["GET /teams/{team}/features/{team-feature}"],
    },
    Refusal {
        sentence: "Passwords are not used for the API here: ask the server's owner for a new invitation.",
        calls: &["POST /password-resets", "POST /password-resets/{token}/actions/finalize"],
    },
    Refusal {
        sentence: "Images are pushed to the registry of this server (windlass container:push), pulled from another one or \
            loaded from an archive.",
        calls: &["POST /apps/{app}/oci-images", "GET /apps/{app}/oci-images/{oci-image}"],
    },
    Refusal {
        sentence: "There are no add-ons here yet, so there is nothing to allow or to list.",
        calls: &[
            "GET,POST /teams/{team}/allowed-addon-services",
            "DELETE /teams/{team}/allowed-addon-services/{allowed-add-on-service}",
            "GET /teams/{team}/addons",
            "GET /regions/{region}/addon-region-capabilities",
        ],
    },
    Refusal {
        sentence: "There are no add-ons here yet, so nothing of them is used or maintained.",
        calls: &[
            "GET /teams/{team}/usage",
            "GET /teams/{team}/apps/{app}/usage",
            "GET /data/maintenances/v1/apps/{app}",
        ],
    },
    Refusal {
        sentence: "There are no databases to be had here yet: run one beside the apps, and give them its address \
            (windlass config:set DATABASE_URL=…).",
        calls: &[
            "GET /data/postgres/v1/levels/{level}",
            "GET /data/postgres/v1/pricing",
            "GET /client/v11/apps/{app}/transfers",
        ],
    },
    Refusal {
        sentence: "Webhooks belong to apps here, not to pipelines: add one to each app (windlass webhooks:add).",
        calls: &[
            "GET,POST /pipelines/{pipeline}/webhooks",
            "GET,PATCH,DELETE /pipelines/{pipeline}/webhooks/{webhook}",
            "GET /pipelines/{pipeline}/webhook-deliveries",
            "GET /pipelines/{pipeline}/webhook-deliveries/{delivery}",
            "GET /pipelines/{pipeline}/webhook-events",
            "GET /pipelines/{pipeline}/webhook-events/{event}",
        ],
    },
    Refusal {
        sentence: "This call is for apps of another generation: commands are run inside a process with ps:exec.",
        calls: &["POST /apps/{app}/dynos/{dyno}"],
    },
    Refusal {
        sentence: "An account is removed by the server's owner (windlass users:remove).",
        calls: &["DELETE /account"],
    },
];

/// Adds the calls that are refused to those that are served.
pub(crate) fn add_to(mut endpoints: Endpoints) -> Endpoints {
    for refusal in REFUSALS {
        for (method, path) in refusal.endpoints() {
            endpoints = add(endpoints, method, path, refusal.sentence);
        }
    }
    endpoints
}

fn add(endpoints: Endpoints, method: &str, path: &str, sentence: &'static str) -> Endpoints {
    let Some(path) = endpoints.free_path(method, path) else { return endpoints };
    let handler = async move || ApiError::new(StatusCode::NOT_FOUND, ID, sentence);
    match method {
        "GET" => endpoints.get(&path, Needs::Anybody, handler),
        "POST" => endpoints.post(&path, Needs::Anybody, handler),
        "PUT" => endpoints.put(&path, Needs::Anybody, handler),
        "PATCH" => endpoints.patch(&path, Needs::Anybody, handler),
        _ => endpoints.delete(&path, Needs::Anybody, handler),
    }
}
