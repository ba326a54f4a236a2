//! A platform with an owner, its HTTP door on port 0, and a small client.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use windlass_api::SshDoors;
use windlass_control::certificates::PrivateCertificates;
use windlass_control::{Platform, Settings, records};
use windlass_core::driver::{
    Attached, AttachedInput, AttachedOutput, Driver, DriverError, InstanceEvent, Stopped,
};
use windlass_core::ids::{BuildId, Digest, InstanceId};
use windlass_core::instance::{ExitStatus, InstanceSpec, InstanceState, ObservedInstance};
use windlass_core::links::Links;
use windlass_core::route::{RouterCommand, RouterPort, RouterReply, RouterUnavailable, SSH_SOCKET};
use windlass_oci::ImageStore;

/// Runs nothing, except attached processes: these give back what they are given.
struct EchoDriver(broadcast::Sender<InstanceEvent>);

#[async_trait]
impl Driver for EchoDriver {
    async fn start(&self, _spec: InstanceSpec) -> Result<ObservedInstance, DriverError> {
        Err(DriverError::Other("this driver starts nothing".into()))
    }
    async fn start_attached(&self, spec: InstanceSpec) -> Result<Attached, DriverError> {
        let (input, mut inputs) = mpsc::channel(4);
        let (outputs, output) = mpsc::channel(4);
        tokio::spawn(async move {
            while let Some(AttachedInput::Stdin(bytes)) = inputs.recv().await {
                let _ = outputs.send(AttachedOutput::Stdout(bytes)).await;
            }
            let status = ExitStatus {
                code: 3,
                out_of_memory: false,
                out_of_processes: false,
                reason: None,
                at_ms: 0,
            };
            let _ = outputs.send(AttachedOutput::Exited(status)).await;
        });
        let instance = ObservedInstance {
            spec,
            state: InstanceState::Running,
            started_at_ms: now_ms(),
            address: None,
            private_address: None,
        };
        Ok(Attached { instance, output, input })
    }
    async fn stop(&self, id: &InstanceId, _grace: Duration) -> Result<Stopped, DriverError> {
        Err(DriverError::NoSuchInstance(id.clone()))
    }
    async fn observe(&self) -> Result<Vec<ObservedInstance>, DriverError> {
        Ok(Vec::new())
    }
    async fn forget(&self, _id: &InstanceId) -> Result<(), DriverError> {
        Ok(())
    }
    async fn set_links(&self, _links: &Links) -> Result<(), DriverError> {
        Ok(())
    }
    fn events(&self) -> broadcast::Receiver<InstanceEvent> {
        self.0.subscribe()
    }
}

struct YesRouter;

#[async_trait]
impl RouterPort for YesRouter {
    async fn send(&self, command: RouterCommand) -> Result<RouterReply, RouterUnavailable> {
        Ok(match command {
            RouterCommand::Drain { .. } => RouterReply::Drained { in_flight: 0 },
            RouterCommand::Metrics => {
                RouterReply::Metrics { text: "windlass_router_apps 0\n".to_owned() }
            }
            _ => RouterReply::Applied,
        })
    }
}

/// A running server. Dropping it stops the server and removes its directory.
pub struct Server {
    pub address: SocketAddr,
    pub ssh: SocketAddr,
    pub token: String,
    pub platform: Platform,
    pub directory: TempDir,
    stop: Vec<oneshot::Sender<()>>,
    serving: Vec<JoinHandle<()>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same with other settings.
    pub async fn start_with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings = Settings {
            data_directory: directory.path().join("data"),
            run_directory: directory.path().join("run"),
            domain: "localhost".into(),
            routing: Default::default(),
            public: Default::default(),
            outgoing: Default::default(),
            router_port: 8080,
            https_port: Some(8443),
            private_certificates: PrivateCertificates::PrivateNames,
            api_url: "http://api.localhost:5000".into(),
            api_certificate: None,
            exec_tunnel_host: Default::default(),
            boot_timeout: Duration::from_secs(20),
            drain_timeout: Duration::from_secs(1),
            stop_grace: Duration::from_secs(1),
            run_timeout: Duration::from_secs(86_400),
            release_timeout: Duration::from_secs(20),
            build: windlass_control::BuildSettings {
                concurrent: 1,
                timeout: Duration::from_secs(60),
                memory_bytes: 1 << 30,
                cpu_millis: 1000,
                processes: 256,
                spared_processors: 0,
                disk_bytes: 1 << 30,
                image_bytes: 1 << 30,
                cache_max_age: Duration::from_secs(60 * 60),
                cache_max_bytes: 1 << 30,
                environment: Default::default(),
            },
            instance: windlass_control::InstanceSettings {
                memory_bytes: 512 << 20,
                cpu_millis: 1000,
                processes: 256,
                disk_bytes: 1 << 30,
            },
            disk_reserve_bytes: 0,
            requests_per_hour: 0,
            releases_kept: 5,
        };
        adjust(&mut settings);
        std::fs::create_dir_all(&settings.data_directory).unwrap();
        let images = ImageStore::open(&settings.data_directory.join("images")).unwrap();
        let driver = Arc::new(EchoDriver(broadcast::channel(16).0));
        let platform = Platform::open(settings, driver, images, Arc::new(YesRouter)).await.unwrap();
        let (_, token) = platform.create_owner("ada@example.com").unwrap().unwrap();
        let ssh_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ssh = ssh_listener.local_addr().unwrap();
        let (stop_http, http_stopped) = oneshot::channel::<()>();
        let (stop_ssh, ssh_stopped) = oneshot::channel::<()>();
        let http = windlass_api::serve_http(listener, platform.clone(), async {
            drop(http_stopped.await)
        });
        let host_key = platform.settings().data_directory.join(windlass_api::HOST_KEY_FILE);
        let exec = UnixListener::bind(directory.path().join(SSH_SOCKET)).unwrap();
        let ssh_doors = SshDoors { git: ssh_listener, exec: Some(exec) };
        let ssh_door = windlass_api::serve_ssh(ssh_doors, host_key, platform.clone(), async {
            drop(ssh_stopped.await)
        });
        let serving = vec![
            tokio::spawn(async { http.await.unwrap() }),
            tokio::spawn(async { ssh_door.await.unwrap() }),
        ];
        Self { address, ssh, token, platform, directory, stop: vec![stop_http, stop_ssh], serving }
    }

    /// Stops both doors; returns when nobody is served any more.
    pub async fn stop(mut self) {
        self.stop.clear();
        for door in self.serving.drain(..) {
            door.await.unwrap();
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn get_range(&self, path: &str, range: &str) -> Answer {
        self.send(Method::GET, path, &[("range", range)], "").await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], &body.to_string())
            .await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, &[("content-type", "application/json")], &body.to_string())
            .await
    }

    /// Sends with the owner's token.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let authorization = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", authorization.as_str())];
        all.extend_from_slice(headers);
        self.send_as_is(method, path, &all, body.as_bytes()).await
    }

    pub async fn send_as_is(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let connection = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, served) =
            hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.unwrap();
        let served = tokio::spawn(served);
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let answer = tokio::time::timeout(Duration::from_secs(120), body.collect())
            .await
            .expect("the answer ends");
        served.abort();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: answer.unwrap().to_bytes(),
        };
        answer.check(method.as_str(), path);
        answer
    }

    /// Makes an app and gives it a release with an image, as if it had been pushed.
    pub async fn deployed_app(&self, name: &str) {
        self.app(name).await;
        let (_, user) = self.platform.authenticate(&self.token).unwrap();
        let app = self.platform.app(&user, name).unwrap();
        let store = records::Store::open(&self.directory.path().join("data")).unwrap();
        let release = records::NewRelease {
            app: app.id,
            description: "Deploy 1a2b3c4d".into(),
            user: user.id,
            build: None,
            image: Some(Digest::from_sha256(&[7; 32])),
            config_vars: Default::default(),
            processes: Default::default(),
            manifest: Default::default(),
            commit: None,
        };
        let release = store.insert_release(&release, 1).unwrap();
        store.commit_release(&release, &Default::default(), 1).unwrap();
    }

    /// Stores a build that has failed and what it said. Returns its id.
    pub fn finished_build(&self, app: &str, output: &str) -> String {
        let (_, user) = self.platform.authenticate(&self.token).unwrap();
        let app = self.platform.app(&user, app).unwrap();
        let data = self.directory.path().join("data");
        let build = records::Build {
            id: BuildId::random(),
            app: app.id,
            user: user.id,
            status: records::BuildStatus::Failed,
            commit: Some("1a2b3c4d".repeat(5)),
            buildpack: Some("Python".into()),
            buildpacks: vec!["python".into()],
            image: None,
            image_size: None,
            failure: Some("no".into()),
            created_at: 1,
            updated_at: 2,
        };
        records::Store::open(&data).unwrap().save_build(&build).unwrap();
        let file = data.join("builds").join(app.id.to_string()).join(format!("{}.log", build.id));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, output).unwrap();
        build.id.to_string()
    }

    /// Makes an app.
    pub async fn app(&self, name: &str) {
        let answer = self.post("/apps", serde_json::json!({ "name": name })).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// Every answer is as the schemas say.
    #[track_caller]
    fn check(&self, method: &str, path: &str) {
        windlass_testkit::schema::check(windlass_testkit::schema::Exchange {
            method,
            path,
            status: self.status.as_u16(),
            content_type: self.headers.get("content-type").and_then(|kind| kind.to_str().ok()),
            body: &self.body,
        });
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks the status and the error's id, and returns its message.
    #[track_caller]
    pub fn refused(&self, status: u16, id: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        let body = self.json();
        assert_eq!(body["id"], id, "{body}");
        body["message"].as_str().unwrap().to_owned()
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.text())
    }
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}
