//! What the router answers when no target does.

use crate::support::*;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use windlass_core::route::{Availability, Target};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_availability_has_its_answer() {
    let router = TestRouter::start().await;
    let backend = Backend::says("never").await;
    let mut route = router.route("site", &[]);
    for (availability, status, code, title) in [
        (Availability::Blank, 502, "H81", "Ready for its first deploy"),
        (Availability::NoWebProcesses, 503, "H14", "Application error"),
        (Availability::Crashed, 503, "H10", "Application error"),
        (Availability::Maintenance, 503, "H80", "Offline for maintenance"),
    ] {
        route.availability = availability;
        route.targets = if availability == Availability::Maintenance {
            targets(&[&backend])
        } else {
            Vec::new()
        };
        router.upsert(&route).await;
        let (got, headers, page) = get(router.address, "site.test", "/").await;
        assert_eq!(got.as_u16(), status, "{availability:?}");
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(headers["cache-control"], "no-cache, no-store");
        assert!(
            page.starts_with("<!doctype html>") && page.contains(title) && page.contains(code),
            "{page}"
        );
        assert!(!page.contains("http://") && !page.contains("https://"), "self-contained");
    }
    for (accept, kind, start) in [
        ("application/json", "application/json", "{"),
        ("text/plain", "text/plain; charset=utf-8", "Offline"),
    ] {
        let request =
            Request::builder().uri("/").header("host", "site.test").header("accept", accept);
        let request = request.body(Full::default()).unwrap();
        let (status, headers, text) = send(&mut connect(router.address).await, request).await;
        assert_eq!(
            (status, headers["content-type"].to_str().unwrap()),
            (StatusCode::SERVICE_UNAVAILABLE, kind)
        );
        assert!(text.starts_with(start) && text.contains("H80"), "{text}");
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_held_while_instances_start() {
    let router = TestRouter::start().await;
    let mut route = router.route("slow", &[]);
    route.availability = Availability::Starting;
    router.upsert(&route).await;
    let waiting: Vec<_> =
        (0..5).map(|_| tokio::spawn(get_owned(router.address, "slow.test"))).collect();
    router.wait_in_flight(5).await;
    // A change of another app wakes nobody for good.
    router.upsert(&router.route("other", &[])).await;
    assert_eq!(router.status().await.in_flight, 5);
    let backend = Backend::says("up").await;
    route.availability = Availability::Serving;
    route.targets = targets(&[&backend]);
    router.upsert(&route).await;
    for request in waiting {
        assert_eq!(request.await.unwrap(), (StatusCode::OK, "up".to_owned()));
    }
    router.stop().await;
}

async fn get_owned(address: std::net::SocketAddr, host: &'static str) -> (StatusCode, String) {
    let (status, _, text) = get(address, host, "/").await;
    (status, text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_requests_end_with_the_crash_the_limit_or_the_queue() {
    let router = TestRouter::with(|limits| {
        limits.held = Duration::from_secs(2);
        limits.held_requests_per_app = 1;
    })
    .await;
    let mut route = router.route("slow", &[]);
    route.availability = Availability::Starting;
    router.upsert(&route).await;
    assert!(get(router.address, "slow.test", "/").await.2.contains("H20"));
    let waiting = tokio::spawn(get_owned(router.address, "slow.test"));
    router.wait_in_flight(1).await;
    let (status, _, text) = get(router.address, "slow.test", "/").await;
    // The first may just have been given up.
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("H11") || text.contains("H20"), "{text}");
    let _ = waiting.await;
    let waiting = tokio::spawn(get_owned(router.address, "slow.test"));
    router.wait_in_flight(1).await;
    route.availability = Availability::Crashed;
    router.upsert(&route).await;
    let (_, text) = waiting.await.unwrap();
    assert!(text.contains("H10") || text.contains("H20"), "{text}");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_that_fail_to_answer() {
    let router = TestRouter::with(|limits| {
        limits.first_byte = Duration::from_millis(1_000);
        limits.idle = Duration::from_millis(1_000);
    })
    .await;
    let backend = Backend::raw(|mut stream| async move {
        let head = read_until(&mut stream, "\r\n\r\n").await;
        let path = head.split(' ').nth(1).unwrap();
        let answer: &[u8] = match path {
            "/closes" => return,
            "/nonsense" => b"Hello, is it me you're looking for?\r\n\r\n",
            "/stalls" | "/breaks" => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nfirst",
            _ => b"",
        };
        stream.write_all(answer).await.unwrap();
        if path != "/breaks" {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    router.upsert(&router.route("bad", &[&backend])).await;
    for (path, code) in [("/hangs", "H12"), ("/closes", "H13"), ("/nonsense", "H17")] {
        let (status, _, text) = get(router.address, "bad.test", path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(text.contains(code), "{path}: {text}");
    }
    for path in ["/stalls", "/breaks"] {
        let mut client = connect(router.address).await;
        let response = client.send_request(request("bad.test", path)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(
            response.into_body().collect().await.is_err(),
            "{path}: the client must see that it is not whole"
        );
    }
    let log = router.log_lines("bad", 5).await;
    for (line, start, end) in [
        (
            &log[0],
            "at=error code=H12 desc=\"Request timeout\" method=GET path=\"/hangs\" ",
            "status=503 bytes=0 ",
        ),
        (
            &log[1],
            "at=error code=H13 desc=\"Connection closed without response\" ",
            "status=503 bytes=0 ",
        ),
        (
            &log[2],
            "at=error code=H17 desc=\"Poorly formatted HTTP response\" ",
            "status=503 bytes=0 ",
        ),
        (&log[3], "at=error code=H15 desc=\"Idle connection\" ", "status=503 bytes=5 "),
        (
            &log[4],
            "sock=backend at=error code=H18 desc=\"Server Request Interrupted\" ",
            "status=200 bytes=5 ",
        ),
    ] {
        assert!(
            line.contains(start) && line.contains(end) && line.contains(" dyno=web.1 connect="),
            "{line}"
        );
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_or_fall_silent() {
    let router = TestRouter::with(|limits| limits.idle = Duration::from_millis(600)).await;
    let backend = Backend::start(|request: Request<hyper::body::Incoming>| async move {
        if request.method() == "POST" {
            let _ = request.into_body().collect().await;
        }
        std::future::pending::<()>().await;
        unreachable!()
    })
    .await;
    router.upsert(&router.route("patient", &[&backend])).await;
    let mut stream = TcpStream::connect(router.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: patient.test\r\n\r\n").await.unwrap();
    router.wait_in_flight(1).await;
    drop(stream);
    router.wait_in_flight(0).await;
    let log = router.log_lines("patient", 1).await;
    let start = "sock=client at=warning code=H27 desc=\"Client Request Interrupted\" method=GET ";
    assert!(log[0].contains(start) && log[0].contains(" status=499 "), "{}", log[0]);

    let silent = "POST / HTTP/1.1\r\nhost: patient.test\r\ncontent-length: 10\r\n\r\nabc";
    assert_eq!(raw(router.address, silent).await, "", "closed without a word");
    let log = router.log_lines("patient", 2).await;
    let start = ": at=warning code=H28 desc=\"Client Connection Idle\" method=POST ";
    assert!(log[1].contains(start) && log[1].contains(" status=499 "), "{}", log[1]);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_never_connects() {
    let router = TestRouter::with(|limits| limits.connect = Duration::from_millis(500)).await;
    let (listener, filling) = full_backlog().await;
    let address = listener.local_addr().unwrap();
    let instance = windlass_core::ids::InstanceId::random("web", 1);
    let mut route = router.route("full", &[]);
    route.targets = vec![Target { instance, name: "web.1".to_owned(), address }];
    router.upsert(&route).await;
    let (status, _, text) = get(router.address, "full.test", "/").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("H19"), "{text}");
    let log = router.log_lines("full", 1).await;
    assert!(log[0].contains("code=H19 desc=\"Backend connection timeout\" "), "{}", log[0]);
    drop(filling);
    router.stop().await;
}

/// A listener whose queue is full takes no more connections: the handshake stays open.
async fn full_backlog() -> (TcpListener, Vec<TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await
    {
        filling.push(stream.unwrap());
    }
    (listener, filling)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_backlog_is_asked_again_before_the_kernel_would() {
    // Not every time has to do: other tests may keep the processors for most of such a second.
    for _ in 0..10 {
        if is_asked_again_in_time().await {
            return;
        }
    }
    panic!("ten times nothing within 900 ms");
}

async fn is_asked_again_in_time() -> bool {
    // The kernel asks again after 1 s: an answer within less means that the router did.
    let router = TestRouter::with(|limits| limits.connect = Duration::from_millis(900)).await;
    let (listener, filling) = full_backlog().await;
    let address = listener.local_addr().unwrap();
    let instance = windlass_core::ids::InstanceId::random("web", 1);
    let mut route = router.route("busy", &[]);
    route.targets = vec![Target { instance, name: "web.1".to_owned(), address }];
    router.upsert(&route).await;
    let backend = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(filling);
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Those that filled the queue say nothing and are gone.
            let mut head = [0; 1024];
            if stream.read(&mut head).await.unwrap_or(0) > 0 {
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                stream.write_all(answer.as_bytes()).await.unwrap();
                return;
            }
        }
    });
    let (status, _, text) = get(router.address, "busy.test", "/").await;
    backend.abort();
    router.stop().await;
    (status, text.as_str()) == (StatusCode::OK, "ok")
}
