//! A router in this process, instances for it, and clients.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use windlass_core::ids::{AppId, InstanceId};
use windlass_core::route::{
    AppRoute, Availability, RouterCommand, RouterReply, RouterStatus, Target,
};
use windlass_router::client::RouterClient;
use windlass_router::{Limits, RouterConfig, RouterError};

/// How long anything may take that must come: other tests keep the processors busy.
const LIMIT: Duration = Duration::from_secs(60);

pub type Body = BoxBody<Bytes, Infallible>;
type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

pub struct TestRouter {
    pub folder: TempDir,
    pub config: RouterConfig,
    pub address: SocketAddr,
    pub client: RouterClient,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), RouterError>>,
}

impl TestRouter {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(adjust: impl FnOnce(&mut Limits)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = RouterConfig::new(
            "127.0.0.1:0".parse().unwrap(),
            folder.path().join("router.sock"),
            folder.path().join("routes.json"),
        );
        adjust(&mut config.limits);
        Self::run(folder, config).await
    }

    pub async fn run(folder: TempDir, config: RouterConfig) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let running =
            windlass_router::run(config.clone(), async { drop(stopped.await) }, |address| {
                ready.send(address).unwrap()
            });
        let task = tokio::spawn(running);
        let address = is_ready.await.expect("the router starts");
        let client = RouterClient::connect(&config.control_socket).await.unwrap();
        Self { folder, config, address, client, stop: Some(stop), task }
    }

    /// Sends the order to stop; the task ends when the router has.
    pub fn order_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub async fn stop(mut self) -> (TempDir, RouterConfig) {
        if self.stop.is_some() {
            self.order_stop();
        }
        self.task.await.unwrap().unwrap();
        (self.folder, self.config)
    }

    /// Waits until the router has ended by itself.
    pub async fn ended(self) {
        self.task.await.unwrap().unwrap();
    }

    pub async fn send(&self, command: RouterCommand) -> RouterReply {
        self.client.send(command).await.unwrap()
    }

    pub async fn upsert(&self, route: &AppRoute) {
        assert_eq!(
            self.send(RouterCommand::Upsert { route: route.clone() }).await,
            RouterReply::Applied
        );
    }

    pub async fn drain(&self, instance: &InstanceId, timeout_ms: u64) -> u64 {
        match self.send(RouterCommand::Drain { instance: instance.clone(), timeout_ms }).await {
            RouterReply::Drained { in_flight } => in_flight,
            other => panic!("{other:?}"),
        }
    }

    pub async fn status(&self) -> RouterStatus {
        match self.send(RouterCommand::Status).await {
            RouterReply::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until so many requests are in flight.
    pub async fn wait_in_flight(&self, wanted: u64) {
        let end = Instant::now() + LIMIT;
        loop {
            let in_flight = self.status().await.in_flight;
            if in_flight == wanted {
                return;
            }
            assert!(Instant::now() < end, "{in_flight} requests in flight, not {wanted}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// A route of a serving app `name`, with these instances and its own log file.
    pub fn route(&self, name: &str, backends: &[&Backend]) -> AppRoute {
        AppRoute {
            canary: None,
            app: AppId::random(),
            app_name: name.parse().unwrap(),
            hosts: vec![format!("{name}.test")],
            availability: Availability::Serving,
            targets: targets(backends),
            log_file: Some(self.log_file(name)),
            private: Default::default(),
            settings: None,
        }
    }

    pub fn log_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// Waits for the app's log to have `count` lines and returns them.
    pub async fn log_lines(&self, name: &str, count: usize) -> Vec<String> {
        let end = Instant::now() + LIMIT;
        loop {
            let text = std::fs::read_to_string(self.log_file(name)).unwrap_or_default();
            let lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
            if lines.len() >= count {
                return lines;
            }
            assert!(Instant::now() < end, "{count} lines were wanted, not {lines:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub fn targets(backends: &[&Backend]) -> Vec<Target> {
    let target = |(index, backend): (usize, &&Backend)| Target {
        instance: backend.instance.clone(),
        name: format!("web.{}", index + 1),
        address: backend.address,
    };
    backends.iter().enumerate().map(target).collect()
}

/// An instance. Dropping it closes its port and all of its connections.
pub struct Backend {
    pub instance: InstanceId,
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Backend {
    pub async fn start<F, A>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let handler = Arc::new(move |request| -> Answer { Box::pin(handler(request)) });
        Self::raw(move |stream| {
            let handler = Arc::clone(&handler);
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let io = TokioIo::new(stream);
            async move {
                drop(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .with_upgrades()
                        .await,
                );
            }
        })
        .await
    }

    /// An instance that speaks for itself on each connection.
    pub async fn raw<F, A>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut tasks = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                tasks.spawn(serve(stream));
                while tasks.try_join_next().is_some() {}
            }
        });
        Self { instance: InstanceId::random("web", 1), address, connections, task }
    }

    /// An instance that answers everything with `text`.
    pub async fn says(text: &'static str) -> Self {
        Self::start(move |_| async move { Response::new(full(text)) }).await
    }

    /// An instance that answers with the path, after a while.
    pub async fn paths() -> Self {
        Self::start(|request| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Response::new(full(request.uri().path().to_owned()))
        })
        .await
    }

    /// An instance that says `late`, once for each permit of what is returned with it.
    pub async fn held() -> (Self, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        let waiting = Arc::clone(&gate);
        let backend = Self::start(move |_| {
            let gate = Arc::clone(&waiting);
            async move {
                gate.acquire().await.unwrap().forget();
                Response::new(full("late"))
            }
        })
        .await;
        (backend, gate)
    }

    /// An instance that answers HEAD with a length, and everything else with 304.
    pub async fn without_bodies() -> Self {
        Self::start(|request| async move {
            let status = if request.method() == Method::HEAD { 200 } else { 304 };
            let answer = Response::builder().status(status).header("content-length", "1234");
            answer.body(Empty::new().boxed()).unwrap()
        })
        .await
    }

    /// An instance that answers with the request as it saw it.
    pub async fn mirror() -> Self {
        Self::start(|request| async move {
            let mut text = format!("{} {}\n", request.method(), request.uri());
            for (name, value) in request.headers() {
                text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
            }
            text.push('\n');
            let body = request.into_body().collect().await.unwrap().to_bytes();
            text.push_str(std::str::from_utf8(&body).unwrap());
            Response::new(full(text))
        })
        .await
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

/// A keep-alive client connection.
pub async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub fn request(host: &str, path: &str) -> Request<Full<Bytes>> {
    Request::builder().uri(path).header("host", host).body(Full::default()).unwrap()
}

/// One GET on a connection of its own.
pub async fn get(address: SocketAddr, host: &str, path: &str) -> (StatusCode, HeaderMap, String) {
    send(&mut connect(address).await, request(host, path)).await
}

pub async fn send(
    client: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> (StatusCode, HeaderMap, String) {
    client.ready().await.unwrap();
    let (head, body) = client.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// Sends these bytes and returns all that comes back until the router closes.
pub async fn raw(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is the end, too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Reads until the text has come, and returns what came with it.
pub async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "closed before {text:?}: {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(seen).unwrap()
}
