//! The list of all settings.

use super::values::{
    absolute, address, days, domain, megabytes, number, pairs, positive, put, routing, seconds,
    tunnel_host, unless, url,
};
use super::{Config, public, tls};

/// One setting.
pub struct Key {
    /// `router.listen` in the file; `--router-listen`; `WINDLASS_ROUTER_LISTEN`.
    pub name: &'static str,
    pub default: &'static str,
    pub help: &'static str,
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
}

impl Key {
    pub fn flag(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }

    pub fn variable(&self) -> String {
        format!("WINDLASS_{}", self.name.replace('.', "_").to_uppercase())
    }
}

/// All settings, in the order of the reference.
pub const KEYS: &[Key] = &[
    Key {
        name: "data_directory",
        default: "/var/lib/windlass",
        help: "Everything that must survive a reboot: database, repositories, images, logs. One server a directory.",
        set: |c, v| put(&mut c.data_directory, absolute(v)),
    },
    Key {
        name: "run_directory",
        default: "",
        help: "Sockets and state that must not survive a reboot; on a tmpfs. Empty: /run/windlass/<name>, where <name> is derived from the data directory.",
        set: |c, v| put(&mut c.run_directory, unless(v, "", absolute)),
    },
    Key {
        name: "domain",
        default: "localhost",
        help: "Apps are served at <app>.<domain>. Point *.<domain> at this machine; *.localhost works by itself on a laptop.",
        set: |c, v| put(&mut c.domain, domain(v)),
    },
    Key {
        name: "router.listen",
        default: "0.0.0.0:8080",
        help: "Where the router takes requests for apps.",
        set: |c, v| put(&mut c.router_listen, address(v)),
    },
    Key {
        name: "router.public_port",
        default: "0",
        help: "The port in the URLs of apps, if it is not the one of router.listen (behind another proxy). 0: the same.",
        set: |c, v| put(&mut c.router_public_port, unless(v, "0", number)),
    },
    Key {
        name: "router.https_listen",
        default: "0.0.0.0:8443",
        help: "Where the router takes requests over TLS. `off`: nowhere.",
        set: |c, v| put(&mut c.tls.https_listen, unless(v, "off", address)),
    },
    Key {
        name: "router.https_public_port",
        default: "0",
        help: "The port of https in URLs, if it is not the one of router.https_listen. 0: the same.",
        set: |c, v| put(&mut c.tls.https_public_port, unless(v, "0", number)),
    },
    Key {
        name: "router.trusted_proxies",
        default: "",
        help: "Addresses and networks of proxies in front of the router, with blanks between: 10.0.0.0/8 2001:db8::7. What they say in X-Forwarded-For, -Proto and -Port is kept; what others say there is replaced.",
        set: |c, v| put(&mut c.tls.trusted_proxies, tls::networks(v)),
    },
    Key {
        name: "router.proxy_protocol",
        default: "off",
        help: "`on`: the trusted proxies begin each connection with a PROXY header, version 1 or 2.",
        set: |c, v| put(&mut c.tls.proxy_protocol, tls::switch(v)),
    },
    Key {
        name: "router.h2c",
        default: "on",
        help: "`on`: on router.listen, clients that begin with HTTP/2 are served so, without TLS (h2c by prior knowledge). `off`: HTTP/1 only. Over TLS there is always HTTP/2.",
        set: |c, v| put(&mut c.tls.h2c, tls::switch(v)),
    },
    Key {
        name: "router.http3",
        default: "off",
        help: "`on`: HTTP/3 is served as well, over UDP on the port of router.https_listen, and answers over TLS say so (Alt-Svc). Open that port for UDP too.",
        set: |c, v| put(&mut c.tls.http3, tls::switch(v)),
    },
    Key {
        name: "router.private_certificates",
        default: "auto",
        help: "Which hosts get a certificate of the server's own authority, which `windlass trust` installs, while they have no other. `auto`: names that exist in private networks only, as *.localhost; `on`: those and all below domain; `off`: none.",
        set: |c, v| put(&mut c.tls.private_certificates, tls::private_certificates(v)),
    },
    Key {
        name: "routing.defaults",
        default: "",
        help: "Routing settings of apps for which nobody chose otherwise, as NAME=VALUE pairs with blanks between: https=redirect max-body=100M. `windlass routing` shows which there are.",
        set: |c, v| put(&mut c.routing_defaults, routing(v)),
    },
    Key {
        name: "api.listen",
        default: "127.0.0.1:8081",
        help: "Where the API and git over HTTP are served, in plain HTTP: keep it on the loopback, or behind a proxy with TLS. Who begins with TLS here is answered so.",
        set: |c, v| put(&mut c.api_listen, address(v)),
    },
    Key {
        name: "api.url",
        default: "",
        help: "The API's URL as clients see it. Empty: http://localhost:<port of api.listen>.",
        set: |c, v| put(&mut c.api_url, unless(v, "", url)),
    },
    Key {
        name: "api.https_listen",
        default: "off",
        help: "Where the same is served over TLS only; see docs/guides/connect.md. `off`: nowhere.",
        set: |c, v| put(&mut c.api_tls.listen, unless(v, "off", address)),
    },
    Key {
        name: "api.requests_per_hour",
        default: "4500",
        help: "Requests that an account may send to the API in an hour; they refill continuously. 0: as many as it likes.",
        set: |c, v| put(&mut c.requests_per_hour, number(v)),
    },
    Key {
        name: "api.certificate_file",
        default: "",
        help: "A PEM file with the certificate chain that the API shows, for the host in api.url. It is read again when it changes. Empty: one of the platform's that is for this host, else one of the server's own authority.",
        set: |c, v| put(&mut c.api_tls.certificate_file, unless(v, "", absolute)),
    },
    Key {
        name: "api.key_file",
        default: "",
        help: "A PEM file with its private key.",
        set: |c, v| put(&mut c.api_tls.key_file, unless(v, "", absolute)),
    },
    Key {
        name: "ssh.listen",
        default: "0.0.0.0:2222",
        help: "Where git over SSH is served. `off`: nowhere.",
        set: |c, v| put(&mut c.ssh_listen, unless(v, "off", address)),
    },
    Key {
        name: "exec.tunnel_host",
        default: "auto",
        help: "The host whose port 80 Heroku's CLI connects to for `heroku ps:exec`: it must be the one of router.listen, which passes SSH connections on to the server. `auto`: the host under which the client asks the API; `off`: nowhere, as with ssh.listen `off`.",
        set: |c, v| put(&mut c.exec_tunnel_host, tunnel_host(v)),
    },
    Key {
        name: "owner.email",
        default: "owner@localhost",
        help: "The e-mail address of the owner, who is made at the first start.",
        set: |c, v| {
            if v.contains('@') {
                c.owner_email = v.to_owned();
                Ok(())
            } else {
                Err("expected an e-mail address".to_owned())
            }
        },
    },
    Key {
        name: "public_addresses",
        default: "",
        help: "The addresses at which the world reaches the router, with blanks between: 203.0.113.7 2001:db8::7. The zone's names lead there, and a domain that leads there counts as pointing here. Empty: only this machine's own addresses do.",
        set: |c, v| put(&mut c.public.addresses, public::addresses(v)),
    },
    Key {
        name: "dns.zone",
        default: "",
        help: "The zone for which this server is the name server, usually the same as domain; see docs/guides/dns.md. Empty: it is none.",
        set: |c, v| put(&mut c.public.zone, unless(v, "", domain)),
    },
    Key {
        name: "dns.listen",
        default: "0.0.0.0:53",
        help: "Where questions about the zone are answered, over UDP and TCP. Name one of this machine's addresses where another program has port 53 on the loopback, or where it has several.",
        set: |c, v| put(&mut c.public.dns_listen, address(v)),
    },
    Key {
        name: "acme.email",
        default: "",
        help: "Whom the certificate authority writes to. Setting it agrees to the authority's terms of service and switches automatic certificates on. Empty: they are off.",
        set: |c, v| put(&mut c.public.acme_email, unless(v, "", public::email)),
    },
    Key {
        name: "acme.directory",
        default: "https://acme-v02.api.letsencrypt.org/directory",
        help: "The directory of the certificate authority (ACME, RFC 8555).",
        set: |c, v| put(&mut c.public.acme_directory, url(v)),
    },
    Key {
        name: "acme.ca_bundle",
        default: "",
        help: "A file with PEM certificates that vouch for the authority's server itself, for one of your own. Empty: the public ones do.",
        set: |c, v| put(&mut c.public.acme_ca_bundle, unless(v, "", absolute)),
    },
    Key {
        name: "acme.challenges",
        default: "http-01 tls-alpn-01",
        help: "How names are proved to the authority, what is tried first in front. It asks for http-01 at port 80 and for tls-alpn-01 at port 443. Wildcards in the zone are always proved by DNS.",
        set: |c, v| put(&mut c.public.acme_challenges, public::challenges(v)),
    },
    Key {
        name: "acme.name_server",
        default: "",
        help: "The name server (ADDRESS:PORT) that is asked whether a domain points here. Empty: those of the host.",
        set: |c, v| put(&mut c.public.acme_name_server, unless(v, "", address)),
    },
    Key {
        name: "webhooks.allow_private",
        default: "off",
        help: "`on`: webhooks and log drains may lead to addresses of private networks and of this machine, and archives may be fetched from this machine, which everybody who may operate or deploy an app can then reach with them. `off`: webhooks and drains lead to public addresses only.",
        set: |c, v| put(&mut c.outgoing.allow_private, tls::switch(v)),
    },
    Key {
        name: "webhooks.ca_bundle",
        default: "",
        help: "A file with PEM certificates that vouch for the receivers of webhooks and log drains, in place of this machine's. Empty: the machine's.",
        set: |c, v| put(&mut c.outgoing.ca_bundle, unless(v, "", absolute)),
    },
    Key {
        name: "boot_timeout",
        default: "60",
        help: "Seconds a web process may take to open its port (Heroku's R10).",
        set: |c, v| put(&mut c.boot_timeout, seconds(v)),
    },
    Key {
        name: "drain_timeout",
        default: "30",
        help: "Seconds that requests in flight may go on at an instance that is being replaced.",
        set: |c, v| put(&mut c.drain_timeout, seconds(v)),
    },
    Key {
        name: "stop_grace",
        default: "30",
        help: "Seconds between SIGTERM and SIGKILL (Heroku's R12).",
        set: |c, v| put(&mut c.stop_grace, seconds(v)),
    },
    Key {
        name: "run.timeout",
        default: "86400",
        help: "Seconds that a one-off process (`windlass run`) may run at most; 0: no limit.",
        set: |c, v| put(&mut c.run_timeout, seconds(v)),
    },
    Key {
        name: "release_timeout",
        default: "3600",
        help: "Seconds that the release command may take, and each script of app.json.",
        set: |c, v| put(&mut c.release_timeout, seconds(v)),
    },
    Key {
        name: "build.concurrent",
        default: "1",
        help: "Builds that may run side by side; the others wait.",
        set: |c, v| put(&mut c.build_concurrent, positive::<u16>(v).map(usize::from)),
    },
    Key {
        name: "build.timeout",
        default: "900",
        help: "Seconds a build may take.",
        set: |c, v| put(&mut c.build_timeout, seconds(v)),
    },
    Key {
        name: "build.memory",
        default: "2048",
        help: "Megabytes of memory a build may use.",
        set: |c, v| put(&mut c.build_memory, megabytes(v)),
    },
    Key {
        name: "build.cpu",
        default: "0",
        help: "Thousandths of a core a build may use; 0: all, with a quarter of an instance's weight.",
        set: |c, v| put(&mut c.build_cpu, number(v)),
    },
    Key {
        name: "build.spared_processors",
        default: "1",
        help: "Processors that builds keep off where the machine has more, so that what is served does not wait for them.",
        set: |c, v| put(&mut c.build_spared_processors, number(v)),
    },
    Key {
        name: "build.processes",
        default: "1024",
        help: "Processes and threads a build may have.",
        set: |c, v| put(&mut c.build_processes, positive(v)),
    },
    Key {
        name: "build.disk",
        default: "4096",
        help: "Megabytes of disk a build may use: source, dependencies, cache and temporary files together.",
        set: |c, v| put(&mut c.build_disk, megabytes(v)),
    },
    Key {
        name: "build.image",
        default: "2048",
        help: "Megabytes that buildpacks may add to the stack: the app with its dependencies.",
        set: |c, v| put(&mut c.build_image, megabytes(v)),
    },
    Key {
        name: "build.cache_max_age",
        default: "60",
        help: "Days after which an app's build cache is removed if no build has used it, and so are the layers of Dockerfile builds.",
        set: |c, v| put(&mut c.build_cache_max_age, days(v)),
    },
    Key {
        name: "build.cache_max_size",
        default: "10240",
        help: "Megabytes that the build caches of all apps may take together, and the layers of Dockerfile builds as well. What was used longest ago goes first; what was used within a day stays.",
        set: |c, v| put(&mut c.build_cache_max_size, megabytes(v)),
    },
    Key {
        name: "build.environment",
        default: "",
        help: "Environment of every build, as NAME=VALUE pairs: for example npm_config_registry of a mirror.",
        set: |c, v| put(&mut c.build_environment, pairs(v)),
    },
    Key {
        name: "instance.memory",
        default: "512",
        help: "Megabytes of memory an instance may use (Heroku's Standard-1X).",
        set: |c, v| put(&mut c.instance_memory, megabytes(v)),
    },
    Key {
        name: "instance.cpu",
        default: "0",
        help: "Thousandths of a core an instance may use; 0: no limit, shares are equal.",
        set: |c, v| put(&mut c.instance_cpu, number(v)),
    },
    Key {
        name: "instance.processes",
        default: "256",
        help: "Processes and threads an instance may have.",
        set: |c, v| put(&mut c.instance_processes, positive(v)),
    },
    Key {
        name: "instance.disk",
        default: "4096",
        help: "Megabytes of disk an instance may write outside of its volumes.",
        set: |c, v| put(&mut c.instance_disk, megabytes(v)),
    },
    Key {
        name: "disk_reserve",
        default: "1024",
        help: "Megabytes of the data's file system that are kept free: below it pushes are refused, and the instance that has written most is ended.",
        set: |c, v| put(&mut c.disk_reserve, megabytes(v)),
    },
    Key {
        name: "releases_kept",
        default: "10",
        help: "Releases of an app whose image is kept, so that one can go back to them.",
        set: |c, v| put(&mut c.releases_kept, positive(v)),
    },
    Key {
        name: "backup.directory",
        default: "",
        help: "Where the server puts backups of itself. Empty: it makes none.",
        set: |c, v| put(&mut c.backup_directory, unless(v, "", absolute)),
    },
    Key {
        name: "backup.schedule",
        default: "03:30",
        help: "When it makes them: a time of day in UTC, or an interval such as 6h, 90m, 1d. One that was missed is made up for.",
        set: |c, v| put(&mut c.backup_schedule, v.parse()),
    },
    Key {
        name: "backup.keep",
        default: "7",
        help: "How many of these backups are kept; older ones are removed when one was made.",
        set: |c, v| put(&mut c.backup_keep, positive::<u16>(v).map(usize::from)),
    },
    Key {
        name: "backup.passphrase_file",
        default: "",
        help: "A file whose first line is the passphrase with which these backups are encrypted. Empty: they are not.",
        set: |c, v| put(&mut c.backup_passphrase_file, unless(v, "", absolute)),
    },
    Key {
        name: "log",
        default: "info",
        help: "What the server writes about itself to standard error: error, warn, info, debug, or a filter such as info,windlass_control=debug.",
        set: |c, v| {
            c.log = v.to_owned();
            Ok(())
        },
    },
];
