//! The proxies that are compared, each with one worker, kept connections to the backend, the
//! forwarded headers, a request id and its access log, and otherwise as it comes.

use super::super::{BenchError, Result};
use super::control::{Control, Route};
use super::process::{Cores, Process, free_address};
use crate::run;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Windlass,
    /// With one write a log line, as it comes.
    Nginx,
    /// With lines collected for a second.
    NginxBuffered,
    Haproxy,
    Caddy,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::Windlass, Self::Nginx, Self::NginxBuffered, Self::Haproxy, Self::Caddy];

    pub fn name(self) -> &'static str {
        match self {
            Self::Windlass => "windlass",
            Self::Nginx => "nginx",
            Self::NginxBuffered => "nginx-buffered",
            Self::Haproxy => "haproxy",
            Self::Caddy => "caddy",
        }
    }

    fn program(self) -> Option<&'static str> {
        match self {
            Self::Windlass => None,
            Self::Nginx | Self::NginxBuffered => Some("nginx"),
            Self::Haproxy => Some("haproxy"),
            Self::Caddy => Some("caddy"),
        }
    }

    pub fn is_installed(self) -> bool {
        self.program().is_none_or(run::is_installed)
    }
}

/// A proxy that runs before one backend.
pub struct Proxy {
    pub kind: Kind,
    pub address: SocketAddr,
    /// Where it speaks TLS, if it was given a certificate.
    pub tls: Option<SocketAddr>,
    pub process: Process,
    /// Of ours.
    pub control: Option<Control>,
}

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// What a proxy is started with.
pub struct Setting<'a> {
    pub windlass: &'a Path,
    pub directory: &'a Path,
    pub cores: &'a Cores,
    pub backend: SocketAddr,
    pub certificate: Option<&'a Certificate>,
}

/// The host that requests are for.
pub const HOST: &str = "bench.test";

impl Setting<'_> {
    pub fn start(&self, kind: Kind) -> Result<Proxy> {
        let directory = self.directory.join(kind.name());
        std::fs::create_dir_all(&directory)
            .map_err(BenchError::io(directory.display().to_string()))?;
        let address = free_address()?;
        let tls = self.certificate.map(|_| free_address()).transpose()?;
        match kind {
            Kind::Windlass => self.start_ours(&directory, address, tls),
            _ => self.start_peer(kind, &directory, address, tls),
        }
    }

    fn start_ours(
        &self,
        directory: &Path,
        address: SocketAddr,
        tls: Option<SocketAddr>,
    ) -> Result<Proxy> {
        let path = |name: &str| directory.join(name).display().to_string();
        let (program, listen) = (self.windlass.display().to_string(), address.to_string());
        let (socket, table) = (path("router.sock"), path("routes.json"));
        let mut arguments = vec![
            program.as_str(),
            "router",
            "--listen",
            &listen,
            "--control-socket",
            &socket,
            "--table-file",
            &table,
        ];
        let https = tls.map(|tls| tls.to_string());
        if let Some(https) = &https {
            arguments.extend(["--https", https]);
        }
        let log = directory.join("output.log");
        let mut process = Process::start("windlass", &self.cores.proxy, &arguments, &[], &log)?;
        process.until_open(address)?;
        let mut control = Control::connect(Path::new(&socket))?;
        let log_file = directory.join("access.log");
        control.sync(&[Route::new(1, &[HOST], &[self.backend], Some(&log_file))])?;
        if let Some(certificate) = self.certificate {
            control.certificate(&[HOST], &certificate.chain, &certificate.key)?;
        }
        Ok(Proxy { kind: Kind::Windlass, address, tls, process, control: Some(control) })
    }

    fn start_peer(
        &self,
        kind: Kind,
        directory: &Path,
        address: SocketAddr,
        tls: Option<SocketAddr>,
    ) -> Result<Proxy> {
        let file = directory.join("configuration");
        let text = match kind {
            Kind::Haproxy => self.haproxy(address, tls, directory)?,
            Kind::Caddy => self.caddy(address, tls, directory),
            _ => self.nginx(kind, address, tls, directory),
        };
        std::fs::write(&file, text).map_err(BenchError::io(file.display().to_string()))?;
        let (file, at) = (file.display().to_string(), directory.display().to_string());
        let arguments: &[&str] = match kind {
            Kind::Haproxy => &["haproxy", "-db", "-f", &file],
            Kind::Caddy => &["caddy", "run", "--adapter", "caddyfile", "--config", &file],
            _ => &["nginx", "-p", &at, "-c", &file, "-e", "error.log"],
        };
        // Go takes a thread for each core that it may use.
        let environment =
            [("GOMAXPROCS", "1"), ("HOME", &at), ("XDG_DATA_HOME", &at), ("XDG_CONFIG_HOME", &at)];
        let log = directory.join("output.log");
        let mut process =
            Process::start(kind.name(), &self.cores.proxy, arguments, &environment, &log)?;
        process.until_open(address)?;
        Ok(Proxy { kind, address, tls, process, control: None })
    }

    fn nginx(&self, kind: Kind, address: SocketAddr, tls: Option<SocketAddr>, at: &Path) -> String {
        let buffered =
            if kind == Kind::NginxBuffered { " combined buffer=64k flush=1s" } else { "" };
        let tls = match (tls, self.certificate) {
            (Some(tls), Some(Certificate { chain, key })) => format!(
                "listen {tls} ssl http2 backlog=4096; ssl_certificate {}; ssl_certificate_key {}; \
                 ssl_protocols TLSv1.2 TLSv1.3; http2_max_concurrent_streams 128; \
                 http2_max_requests 1000000000;",
                chain.display(),
                key.display()
            ),
            _ => String::new(),
        };
        let (backend, workers) = (self.backend, self.cores.workers);
        let inner = format!(
            "access_log access.log{buffered};
    upstream backend {{ server {backend}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen {address} backlog=4096; {tls}
        client_max_body_size 0;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header Via \"1.1 nginx\";
        }}
    }}"
        );
        nginx_configuration(workers, &inner, at)
    }

    fn haproxy(&self, address: SocketAddr, tls: Option<SocketAddr>, at: &Path) -> Result<String> {
        let bind = match (tls, self.certificate) {
            (Some(tls), Some(certificate)) => {
                // It wants both in one file.
                let both = at.join("certificate.pem");
                let read = |path: &Path| std::fs::read_to_string(path);
                let joined = read(&certificate.chain)
                    .and_then(|chain| Ok(chain + &read(&certificate.key)?))
                    .and_then(|text| std::fs::write(&both, text));
                joined.map_err(BenchError::io(both.display().to_string()))?;
                format!("bind {tls} ssl crt {} alpn h2,http/1.1", both.display())
            }
            _ => String::new(),
        };
        let (backend, workers) = (self.backend, self.cores.workers);
        Ok(format!(
            "global
  nbthread {workers}
  maxconn {}
  log stdout format raw local0
  tune.h2.max-concurrent-streams 128
defaults
  mode http
  log global
  option httplog
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 120s
frontend front
  bind {address} backlog 4096
  {bind}
  unique-id-format %[uuid]
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Port %[dst_port]
  default_backend back
backend back
  server one {backend}
",
            haproxy_connections()
        ))
    }

    fn caddy(&self, address: SocketAddr, tls: Option<SocketAddr>, at: &Path) -> String {
        let (backend, port, log) = (self.backend, address.port(), at.join("access.log"));
        let site = |address: &str, tls: &str| {
            format!(
                "{address} {{
  bind 127.0.0.1
  {tls}
  log {{
    output file {}
  }}
  reverse_proxy {backend} {{
    header_up X-Request-Id {{http.request.uuid}}
    transport http {{
      keepalive_idle_conns_per_host 256
    }}
  }}
}}
",
                log.display()
            )
        };
        let secure = match (tls, self.certificate) {
            (Some(tls), Some(Certificate { chain, key })) => site(
                &format!("https://{HOST}:{}", tls.port()),
                &format!("tls {} {}", chain.display(), key.display()),
            ),
            _ => String::new(),
        };
        let options =
            "{\n  admin off\n  auto_https off\n  log default {\n    level ERROR\n  }\n}\n";
        format!("{options}{}{secure}", site(&format!(":{port}"), ""))
    }
}

/// HAProxy refuses to start unless it may open two files for each connection, and some more.
pub fn haproxy_connections() -> u64 {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    files.map_or(16_000, |files| (files / 2).saturating_sub(100).min(16_000))
}

/// The parts of nginx's configuration that do not depend on what it does.
pub fn nginx_configuration(workers: usize, inner: &str, at: &Path) -> String {
    let at = at.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {at}/{kind};\n"))
        .collect();
    format!(
        "daemon off;
user root;
worker_processes {workers};
worker_rlimit_nofile 60000;
pid {at}/nginx.pid;
error_log {at}/error.log;
events {{ worker_connections 30000; }}
http {{
{temporary}    keepalive_requests 1000000000;
    keepalive_timeout 120s;
    {inner}
}}
"
    )
}
