//! Domains, certificates, and buildpacks: what is set on an app that nothing is deployed to.

use crate::support::{python, shared_server};
use rcgen::{CertificateParams, KeyPair};
use windlass_testkit::heroku::{Session, Step};

pub(super) const SCRIPTS: &[&[Step]] = &[CERTIFICATES, DOMAINS, AUTOMATIC, BUILDPACKS];

/// Before the app has the domain: for one that it has, the CLI asks which to use it for.
const CERTIFICATES: &[Step] = &[
    ("create {app}", 0, &["Creating {app}... done"]),
    ("certs", 0, &["{app} has no SSL certificates.", "!*{app}-localhost*"]),
    (
        "certs:add {certificate} {key}",
        0,
        &["Adding SSL certificate to {app}... done", "Common Name(s): {host}"],
    ),
    (
        "certs:add {certificate} {other}",
        2,
        &["Error: The key does not belong to the certificate *"],
    ),
    ("certs", 0, &["<endpoint> {host} * False SNI 0"]),
    ("certs:info", 0, &["Common Name(s): {host}", "SSL certificate is self signed."]),
];

const DOMAINS: &[Step] = &[
    ("domains", 0, &["=== {app} Heroku Domain", "{app}.localhost"]),
    (
        "domains:add {host}",
        0,
        &[
            "Adding {host} to {app}... done",
            "Configure your app's DNS provider to point to the DNS Target {app}.localhost.",
        ],
    ),
    ("domains:add {host}", 2, &["Error: *", "Error ID: invalid_params"]),
    ("domains:add 'no host'", 2, &["Error: *", "Error ID: invalid_params"]),
    ("domains", 0, &["=== {app} Custom Domains", "{host} CNAME {app}.localhost {endpoint}"]),
    ("domains:info {host}", 0, &["hostname: {host}", "kind: custom", "cname: {app}.localhost"]),
    ("domains:wait {host}", 0, &["Waiting for {host}... done"]),
    (
        "domains:update {host} --cert {endpoint}",
        0,
        &["Updating {host} to use {endpoint} certificate... done"],
    ),
    (
        "certs:update {certificate} {key} --confirm {app}",
        0,
        &["Updating SSL certificate {endpoint} for {app}... done"],
    ),
    (
        "certs:remove --confirm {app}",
        0,
        &["Removing SSL certificate {endpoint} from {app}... done"],
    ),
    ("domains:remove {host}", 0, &["Removing {host} from {app}... done"]),
    ("domains:add {host}", 0, &["Adding {host} to {app}... done"]),
    ("domains:clear", 0, &["Removing all domains from {app}... done"]),
    ("domains", 0, &["!{host} *"]),
];

const AUTOMATIC: &[Step] = &[
    ("certs:auto", 0, &["=== Automatic Certificate Management is disabled on {app}"]),
    (
        "certs:auto:enable",
        2,
        &[
            "Enabling Automatic Certificate Management... !",
            "Error: Automatic certificates are switched off on this server: *",
        ],
    ),
    (
        "certs:auto:refresh",
        2,
        &["Error: Automatic certificates are switched off on this server: *"],
    ),
];

const BUILDPACKS: &[Step] = &[
    ("buildpacks", 0, &["{app} has no Buildpacks."]),
    (
        "buildpacks:set heroku/python",
        0,
        &["Buildpack set. Next release on {app} will use heroku/python."],
    ),
    (
        "buildpacks:add --index 1 heroku/nodejs",
        0,
        &[
            "Buildpack added. Next release on {app} will use:",
            "1. heroku/nodejs",
            "2. heroku/python",
        ],
    ),
    ("buildpacks", 0, &["1. heroku/nodejs", "2. heroku/python"]),
    (
        "buildpacks:remove heroku/nodejs",
        0,
        &["Buildpack removed. Next release on {app} will use heroku/python."],
    ),
    (
        "buildpacks:set https://example.com/x.tgz",
        0,
        &["Buildpack set. Next release on {app} will use https://example.com/x.tgz."],
    ),
    (
        "buildpacks:clear",
        0,
        &["Buildpacks cleared. Next release on {app} will detect buildpacks normally."],
    ),
    ("buildpacks:search python", 0, &["heroku/python languages *"]),
    ("buildpacks:info heroku/python", 0, &["=== heroku/python"]),
    ("apps:destroy --confirm {app}", 0, &["Destroying {app} *... done"]),
];

#[test]
fn domains_certificates_and_buildpacks() {
    let server = shared_server!();
    let Some(mut session) = Session::begin(&server, "name", python()) else { return };
    let host = format!("www.{}.example", session.get("app"));
    let params = CertificateParams::new([host.clone()]).unwrap();
    session.set("host", host);
    let mut file = |name: &str, text: &str| {
        let path = session.path(name);
        std::fs::write(&path, text).unwrap();
        session.set(name, path.display().to_string());
    };
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    file("certificate", &params.self_signed(&key).unwrap().pem());
    file("key", &key.serialize_pem());
    file("other", &other.serialize_pem());
    for script in SCRIPTS {
        session.run(script);
    }
    session.end();
}
