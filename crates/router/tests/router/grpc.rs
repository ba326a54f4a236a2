//! gRPC through the router: a client and a server of tonic, without generated code.

use crate::h2c::route;
use crate::support::*;
use bytes::{Buf, BufMut};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{
    ClientStreamingService, ServerStreamingService, StreamingService, UnaryService,
};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tower_service::Service;
use windlass_core::ids::InstanceId;

/// Messages are texts, as they are.
#[derive(Clone, Copy, Default)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        String::from_utf8(bytes.to_vec()).map(Some).map_err(|e| Status::internal(e.to_string()))
    }
}

type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;
type Texts = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

/// `greet.Greeter`: `Hello` greets once, `Count` counts to a number, `Sum` adds up what it gets,
/// `Chat` answers each message, `Refuse` fails, `Sleep` takes its time.
#[derive(Clone)]
struct Greeter;

struct Hello;

impl UnaryService<String> for Hello {
    type Response = String;
    type Future = BoxFuture<Response<String>, Status>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            let mut response = Response::new(format!("Hello, {}!", request.get_ref()));
            response.metadata_mut().insert("x-greeted", "yes".parse().unwrap());
            Ok(response)
        })
    }
}

struct Refuse;

impl UnaryService<String> for Refuse {
    type Response = String;
    type Future = BoxFuture<Response<String>, Status>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            let mut status = Status::failed_precondition(format!("no {}", request.get_ref()));
            status.metadata_mut().insert("x-why", "because".parse().unwrap());
            Err(status)
        })
    }
}

struct Sleep;

impl UnaryService<String> for Sleep {
    type Response = String;
    type Future = BoxFuture<Response<String>, Status>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let timeout =
            request.metadata().get("grpc-timeout").map(|t| t.to_str().unwrap().to_owned());
        Box::pin(async move {
            assert!(timeout.is_some(), "the deadline reaches the server");
            tokio::time::sleep(Duration::from_secs(600)).await;
            Ok(Response::new(String::new()))
        })
    }
}

struct Count;

impl ServerStreamingService<String> for Count {
    type Response = String;
    type ResponseStream = Texts;
    type Future = BoxFuture<Response<Texts>, Status>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            let to: u32 =
                request.get_ref().parse().map_err(|_| Status::invalid_argument("no number"))?;
            let numbers = tokio_stream::iter(1..=to).map(|number| Ok(number.to_string()));
            let end = tokio_stream::iter([Err(Status::resource_exhausted("that was all"))]);
            Ok(Response::new(Box::pin(numbers.chain(end)) as Texts))
        })
    }
}

struct Sum;

impl ClientStreamingService<String> for Sum {
    type Response = String;
    type Future = BoxFuture<Response<String>, Status>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        Box::pin(async move {
            let (mut numbers, mut sum) = (request.into_inner(), 0);
            while let Some(number) = numbers.message().await? {
                let number = number.parse::<u32>();
                sum += number.map_err(|_| Status::invalid_argument("no number"))?;
            }
            Ok(Response::new(sum.to_string()))
        })
    }
}

struct Chat;

impl StreamingService<String> for Chat {
    type Response = String;
    type ResponseStream = Texts;
    type Future = BoxFuture<Response<Texts>, Status>;

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        Box::pin(async move {
            let said = request.into_inner();
            Ok(Response::new(
                Box::pin(said.map(|said| said.map(|text| format!("{text}?")))) as Texts
            ))
        })
    }
}

impl Service<http::Request<tonic::body::Body>> for Greeter {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(match request.uri().path() {
                "/greet.Greeter/Hello" => grpc.unary(Hello, request).await,
                "/greet.Greeter/Refuse" => grpc.unary(Refuse, request).await,
                "/greet.Greeter/Sleep" => grpc.unary(Sleep, request).await,
                "/greet.Greeter/Count" => grpc.server_streaming(Count, request).await,
                "/greet.Greeter/Sum" => grpc.client_streaming(Sum, request).await,
                "/greet.Greeter/Chat" => grpc.streaming(Chat, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Greeters {
    router: TestRouter,
    instance: InstanceId,
    server: tokio::task::JoinHandle<()>,
    client: tonic::client::Grpc<Channel>,
}

impl Greeters {
    async fn start() -> Self {
        let router = TestRouter::start().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving =
            Server::builder().serve_with_incoming(Greeter, TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { serving.await.unwrap() });
        let instance = InstanceId::random("web", 1);
        let mut route = route(&router, "greet", &[]);
        route.targets.push(windlass_core::route::Target {
            instance: instance.clone(),
            name: "web.1".to_owned(),
            address,
        });
        router.upsert(&route).await;
        let endpoint = Endpoint::from_shared(format!("http://{}", router.address)).unwrap();
        let endpoint = endpoint.origin("http://greet.test".parse().unwrap());
        let channel = endpoint.connect().await.unwrap();
        Self { router, instance, server, client: tonic::client::Grpc::new(channel) }
    }

    async fn unary(
        &mut self,
        method: &'static str,
        request: Request<String>,
    ) -> Result<Response<String>, Status> {
        self.client.ready().await.unwrap();
        self.client.unary(request, method.parse().unwrap(), Text).await
    }

    async fn stop(self) {
        drop(self.client);
        self.router.stop().await;
        self.server.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unary_calls_and_their_errors() {
    let mut greeters = Greeters::start().await;
    for name in ["you", "me"] {
        let response =
            greeters.unary("/greet.Greeter/Hello", Request::new(name.to_owned())).await.unwrap();
        assert_eq!(response.metadata().get("x-greeted").unwrap(), "yes");
        assert_eq!(response.into_inner(), format!("Hello, {name}!"));
    }
    let status =
        greeters.unary("/greet.Greeter/Refuse", Request::new("way".to_owned())).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "no way"));
    assert_eq!(status.metadata().get("x-why").unwrap(), "because");
    let status =
        greeters.unary("/greet.Greeter/Nothing", Request::new(String::new())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let lines = greeters.router.log_lines("greet", 4).await;
    assert!(lines.iter().all(|line| line.contains(" at=info method=POST path=\"/greet.Greeter/")));
    greeters.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_stream_ends_with_its_status() {
    let mut greeters = Greeters::start().await;
    greeters.client.ready().await.unwrap();
    let request = Request::new("1000".to_owned());
    let path = "/greet.Greeter/Count".parse().unwrap();
    let mut numbers =
        greeters.client.server_streaming(request, path, Text).await.unwrap().into_inner();
    for number in 1..=1_000 {
        assert_eq!(numbers.message().await.unwrap().unwrap(), number.to_string());
    }
    let status = numbers.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "that was all"));
    greeters.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_stream_is_answered_at_its_end() {
    let greeters = Greeters::start().await;
    for (last, expected) in [("1000", Ok("500500")), ("many", Err(Code::InvalidArgument))] {
        let (say, said) = tokio::sync::mpsc::channel::<String>(1);
        let said = tokio_stream::wrappers::ReceiverStream::new(said);
        let path = "/greet.Greeter/Sum".parse().unwrap();
        let mut client = greeters.client.clone();
        let call = tokio::spawn(async move {
            client.ready().await.unwrap();
            client.client_streaming(Request::new(said), path, Text).await
        });
        for number in 1..1_000 {
            say.send(number.to_string()).await.unwrap();
        }
        assert!(!call.is_finished(), "it is not answered before its end");
        say.send(last.to_owned()).await.unwrap();
        drop(say);
        let answer = call.await.unwrap().map(Response::into_inner).map_err(|s| s.code());
        assert_eq!(answer.as_deref().map_err(|code| *code), expected);
    }
    greeters.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_talk_at_once() {
    let mut greeters = Greeters::start().await;
    greeters.client.ready().await.unwrap();
    let (say, said) = tokio::sync::mpsc::channel::<String>(1);
    let said = tokio_stream::wrappers::ReceiverStream::new(said);
    let path = "/greet.Greeter/Chat".parse().unwrap();
    let answers = greeters.client.streaming(Request::new(said), path, Text);
    let mut answers = answers.await.unwrap().into_inner();
    for number in 0..20 {
        say.send(number.to_string()).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap(), format!("{number}?"));
    }
    assert_eq!(greeters.router.status().await.in_flight, 1);
    drop(say);
    assert_eq!(answers.message().await.unwrap(), None);
    greeters.router.wait_in_flight(0).await;
    greeters.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_the_call_everywhere() {
    let mut greeters = Greeters::start().await;
    let mut request = Request::new(String::new());
    request.set_timeout(Duration::from_millis(200));
    let status = greeters.unary("/greet.Greeter/Sleep", request).await.unwrap_err();
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()), "{status}");
    greeters.router.wait_in_flight(0).await;
    greeters.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_instances_a_call_is_unavailable() {
    let mut greeters = Greeters::start().await;
    let mut route = route(&greeters.router, "greet", &[]);
    route.availability = windlass_core::route::Availability::Crashed;
    greeters.router.send(windlass_core::route::RouterCommand::Sync { routes: vec![route] }).await;
    assert_eq!(greeters.router.drain(&greeters.instance, 10_000).await, 0);
    let status =
        greeters.unary("/greet.Greeter/Hello", Request::new(String::new())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    greeters.stop().await;
}
