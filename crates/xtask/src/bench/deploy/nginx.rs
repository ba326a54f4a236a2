//! The peer: nginx in front of the same app, deployed as is usual. The new process is started and
//! answers, the upstream is written, nginx reloads, the old process gets SIGTERM.

use super::super::server::output;
use super::super::{BenchError, Result};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(20);
/// The app ends what it has begun within 25 s.
const END_LIMIT: Duration = Duration::from_secs(30);

pub struct Nginx {
    directory: PathBuf,
    child: Child,
    pub address: SocketAddr,
    apps: Vec<App>,
    old: Vec<Child>,
}

struct App {
    name: &'static str,
    graceful: bool,
    port: u16,
    child: Child,
}

impl Nginx {
    /// Starts nginx and one process for each app; each is a name and whether it minds SIGTERM.
    pub fn start(directory: &Path, code: &Path, names: &[(&'static str, bool)]) -> Result<Self> {
        std::fs::create_dir_all(directory).map_err(BenchError::io("nginx's directory"))?;
        let mut apps = Vec::new();
        for (name, graceful) in names {
            let (port, child) = start_app(code, *graceful)?;
            apps.push(App { name, graceful: *graceful, port, child });
        }
        let port = free_port()?;
        write_configuration(directory, port, &apps)?;
        let mut nginx = nginx_command(directory);
        let child = nginx
            .args(["-g", "daemon off;"])
            .process_group(0)
            .spawn()
            .map_err(BenchError::io("nginx"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let started =
            Self { directory: directory.to_owned(), child, address, apps, old: Vec::new() };
        until_open(address)?;
        Ok(started)
    }

    /// Deploys an app in the usual order.
    pub fn deploy(&mut self, name: &str, code: &Path) -> Result<()> {
        let position = self.apps.iter().position(|app| app.name == name);
        let position = position.ok_or_else(|| BenchError::failed("there is no such app"))?;
        let (port, child) = start_app(code, self.apps[position].graceful)?;
        self.old.push(std::mem::replace(&mut self.apps[position].child, child));
        self.apps[position].port = port;
        write_configuration(&self.directory, self.address.port(), &self.apps)?;
        output("nginx -s reload", nginx_command(&self.directory).args(["-s", "reload"]))?;
        self.old.last().map_or(Ok(()), |old| signal("-TERM", old))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = signal("-TERM", &self.child);
        end(&mut self.child, Duration::from_secs(5));
        for app in &mut self.apps {
            let _ = app.child.kill();
            let _ = app.child.wait();
        }
        let since = Instant::now();
        for old in &mut self.old {
            end(old, END_LIMIT.saturating_sub(since.elapsed()));
        }
    }
}

fn end(child: &mut Child, limit: Duration) {
    let since = Instant::now();
    while matches!(child.try_wait(), Ok(None)) && since.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn signal(name: &str, child: &Child) -> Result<()> {
    output("kill", Command::new("kill").arg(name).arg(child.id().to_string())).map(drop)
}

fn nginx_command(directory: &Path) -> Command {
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(directory).arg("-c").arg(directory.join("nginx.conf"));
    nginx.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    nginx
}

fn write_configuration(directory: &Path, port: u16, apps: &[App]) -> Result<()> {
    let at = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {at}/{kind};\n"))
        .collect();
    let servers: String = apps
        .iter()
        .map(|app| {
            let (name, upstream) = (app.name, app.port);
            format!(
                "    upstream {name} {{ server 127.0.0.1:{upstream}; }}
    server {{
        listen 127.0.0.1:{port};
        server_name {name}.localhost;
        location / {{
            proxy_pass http://{name};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 60s;
        }}
    }}\n"
            )
        })
        .collect();
    let text = format!(
        "worker_processes 2;
pid {at}/nginx.pid;
error_log {at}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
{temporary}{servers}}}
"
    );
    std::fs::write(directory.join("nginx.conf"), text).map_err(BenchError::io("nginx.conf"))
}

fn start_app(code: &Path, graceful: bool) -> Result<(u16, Child)> {
    let port = free_port()?;
    let mut app = Command::new("python3");
    app.arg(code.join("app.py")).env("PORT", port.to_string());
    if graceful {
        app.env("GRACEFUL", "1");
    }
    app.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let child = app.spawn().map_err(BenchError::io("python3"))?;
    until_open(SocketAddr::from(([127, 0, 0, 1], port)))?;
    Ok((port, child))
}

fn free_port() -> Result<u16> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map(|address| address.port()).map_err(BenchError::io("a free port"))
}

fn until_open(address: SocketAddr) -> Result<()> {
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        if since.elapsed() > START_LIMIT {
            return Err(BenchError::Failed(format!("nothing listens on {address}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
