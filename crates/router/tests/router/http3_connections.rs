//! Connections of HTTP/3: their limits, and how they end.

use crate::hand_over::next;
use crate::http3::{Client, all, get_request, quic, start};
use crate::support::*;
use bytes::Bytes;
use h3::error::Code;
use http::{Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use windlass_router::Limits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_taken_back_is_over_at_once() {
    let (backend, _gate) = Backend::held().await;
    let (router, client, _) = start(|_| {}, &backend).await;
    let mut stream = client.open(get_request("https://app.test/")).await;
    stream.finish().await.unwrap();
    router.wait_in_flight(1).await;
    stream.stop_sending(Code::H3_REQUEST_CANCELLED);
    router.wait_in_flight(0).await;
    let log = router.log_lines("app", 1).await;
    assert!(log[0].contains("code=H27 ") && log[0].contains(" status=499 "), "{}", log[0]);
    // So is the upload of a client that breaks it off.
    let mut stream = client.open(get_request("https://app.test/")).await;
    stream.send_data(Bytes::from_static(b"begun")).await.unwrap();
    router.wait_in_flight(1).await;
    stream.stop_stream(Code::H3_REQUEST_CANCELLED);
    router.wait_in_flight(0).await;
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_back_everything_is_sent_away() {
    let (backend, _gate) = Backend::held().await;
    let (router, client, der) = start(|_| {}, &backend).await;
    for _ in 0..2_000 {
        let request = client.requests.clone().send_request(get_request("https://app.test/")).await;
        let Ok(mut stream) = request else { break };
        tokio::task::yield_now().await;
        stream.stop_stream(Code::H3_REQUEST_CANCELLED);
        stream.stop_sending(Code::H3_REQUEST_CANCELLED);
    }
    let closed = client.connection.closed().await;
    let told = matches!(&closed, quinn::ConnectionError::ApplicationClosed(close)
        if close.error_code.into_inner() == Code::H3_EXCESSIVE_LOAD.value());
    assert!(told, "{closed}");
    // Others are served.
    let other = Client::connect(router.status().await.https.unwrap(), &der).await;
    assert_eq!(other.get("https://nobody.test/").await.0, StatusCode::NOT_FOUND);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_opens_no_window_is_given_up() {
    let backend = Backend::start(|_| async { Response::new(full(vec![b'x'; 4_000_000])) }).await;
    let adjust = |limits: &mut Limits| limits.idle = Duration::from_millis(300);
    let (router, client, _) = start(adjust, &backend).await;
    let mut stream = client.open(get_request("https://app.test/")).await;
    stream.finish().await.unwrap();
    stream.recv_response().await.unwrap();
    router.wait_in_flight(0).await;
    let log = router.log_lines("app", 1).await;
    assert!(log[0].contains("code=H28 "), "{}", log[0]);
    assert_eq!(client.get("https://nobody.test/").await.0, StatusCode::NOT_FOUND);
    router.stop().await;
}

/// Bytes of the stream of a request that no client library sends: what is wrong, the bytes, and
/// with what code the request ends.
const WRONG: [(&str, &[u8], Code); 3] = [
    (
        "a head of a gigabyte is begun",
        &[1, 0xc0, 0, 0, 0, 0x40, 0, 0, 0, 7],
        Code::H3_EXCESSIVE_LOAD,
    ),
    (
        "a frame that means nothing is as long",
        &[0x21, 0xc0, 0, 0, 0, 0x40, 0, 0, 0, 7],
        Code::H3_EXCESSIVE_LOAD,
    ),
    ("a head is cut off", &[1, 9, 0, 0], Code::H3_NO_ERROR),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_claim_too_much_are_broken_off() {
    let backend = Backend::says("hello").await;
    let (router, client, _) = start(|_| {}, &backend).await;
    for (what, bytes, code) in WRONG {
        let (mut send, mut receive) = client.connection.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        if code == Code::H3_NO_ERROR {
            send.finish().unwrap();
        } else {
            let stopped = send.stopped().await.unwrap().map(|code| code.into_inner());
            assert_eq!(stopped, Some(code.value()), "{what}");
        }
        let mut answer = Vec::new();
        while let Ok(Some(chunk)) = receive.read_chunk(1_000, true).await {
            answer.extend_from_slice(&chunk.bytes);
        }
        assert!(answer.is_empty(), "{what}");
    }
    assert_eq!(client.get("https://app.test/").await.0, StatusCode::OK, "others go on");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_cut_off_is_not_taken_for_whole() {
    let mirror = Backend::mirror().await;
    let (router, client, _) = start(|_| {}, &mirror).await;
    // The head of a POST, by the static table of QPACK: method, scheme, path, and a name.
    let mut head = vec![0, 0, 0xc0 | 20, 0xc0 | 23, 0xc0 | 1, 0x50, 8];
    head.extend_from_slice(b"app.test");
    let mut frame = vec![1, u8::try_from(head.len()).unwrap()];
    frame.extend_from_slice(&head);
    for (data, is_whole) in [
        // An empty frame is no end.
        (&[0, 0, 0, 2, b'o', b'k', 0, 0, 0, 1, b'!'][..], true),
        (&[0, 9, b'c', b'u', b't'], false),
    ] {
        let (mut send, mut receive) = client.connection.open_bi().await.unwrap();
        send.write_all(&frame).await.unwrap();
        send.write_all(data).await.unwrap();
        // The end comes by itself, after everything was read.
        router.wait_in_flight(1).await;
        send.finish().unwrap();
        let mut answer = Vec::new();
        while let Ok(Some(chunk)) = receive.read_chunk(10_000, true).await {
            answer.extend_from_slice(&chunk.bytes);
        }
        let text = String::from_utf8_lossy(&answer);
        assert_eq!(text.contains("\n\nok!"), is_whole, "{text}");
        router.wait_in_flight(0).await;
    }
    assert_eq!(client.get("https://app.test/").await.0, StatusCode::OK, "others go on");
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_beyond_the_limit_wait() {
    let (backend, gate) = Backend::held().await;
    let adjust = |limits: &mut Limits| limits.streams_per_connection = 4;
    let (router, client, _) = start(adjust, &backend).await;
    let client = Arc::new(client);
    let ask = || {
        let client = Arc::clone(&client);
        tokio::spawn(async move { client.get("https://app.test/").await.0 })
    };
    let requests: Vec<_> = (0..8).map(|_| ask()).collect();
    router.wait_in_flight(4).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(router.status().await.in_flight, 4);
    gate.add_permits(8);
    for request in requests {
        assert_eq!(request.await.unwrap(), StatusCode::OK);
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit_are_refused() {
    let backend = Backend::says("hello").await;
    // Two are kept for what may come over TCP.
    let adjust = |limits: &mut Limits| limits.client_connections = 3;
    let (router, client, der) = start(adjust, &backend).await;
    let address = router.status().await.https.unwrap();
    assert_eq!(client.get("https://app.test/").await.0, StatusCode::OK);
    let refused = quic(address, &[&der], "app.test").await.err().unwrap();
    assert!(matches!(refused, quinn::ConnectionError::ConnectionClosed(_)), "{refused}");
    client.connection.close(0_u8.into(), b"");
    // Its place is free once the router has heard that.
    while quic(address, &[&der], "app.test").await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_told_to_go() {
    let backend = Backend::says("hello").await;
    let adjust = |limits: &mut Limits| limits.client_idle = Duration::from_millis(1_500);
    let (router, client, _) = start(adjust, &backend).await;
    assert_eq!(client.get("https://app.test/").await.0, StatusCode::OK);
    // What keeps the connection open says nothing that matters.
    let (mut send, _receive) = client.connection.open_bi().await.unwrap();
    let closed = loop {
        tokio::select! {
            closed = client.connection.closed() => break closed,
            () = tokio::time::sleep(Duration::from_millis(50)) => drop(send.write(&[0x21]).await),
        }
    };
    drop(closed);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_router_ends_with_its_streams() {
    let (backend, gate) = Backend::held().await;
    let (mut router, client, _) = start(|_| {}, &backend).await;
    let mut stream = client.open(get_request("https://app.test/")).await;
    stream.finish().await.unwrap();
    router.wait_in_flight(1).await;
    router.order_stop();
    // Once it says that it goes, nothing new is begun here.
    while let Ok(mut stream) =
        client.requests.clone().send_request(get_request("https://app.test/")).await
    {
        stream.stop_stream(Code::H3_REQUEST_CANCELLED);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gate.add_permits(100);
    let (status, _, text) = all(&mut stream).await.unwrap();
    assert_eq!((status, text.as_str()), (StatusCode::OK, "late"));
    router.stop().await;
    let closed = client.connection.closed().await;
    let properly = matches!(&closed, quinn::ConnectionError::ApplicationClosed(close)
        if close.error_code.into_inner() == Code::H3_NO_ERROR.value());
    assert!(properly, "{closed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_end_at_the_old_router_before_the_next_one_reads() {
    let (backend, gate) = Backend::held().await;
    let (router, client, der) = start(|_| {}, &backend).await;
    let address = router.status().await.https.unwrap();
    let mut stream = client.open(get_request("https://app.test/")).await;
    stream.finish().await.unwrap();
    router.wait_in_flight(1).await;
    let (_next, _stop) = next(&router.config).await;
    // Until the old one has answered, nobody begins anything over UDP.
    let refused = quic(address, &[&der], "app.test").await.err().unwrap();
    assert!(matches!(refused, quinn::ConnectionError::ConnectionClosed(_)), "{refused}");
    gate.add_permits(100);
    let (status, _, text) = all(&mut stream).await.unwrap();
    assert_eq!((status, text.as_str()), (StatusCode::OK, "late"));
    router.ended().await;
    // The next one has the socket.
    let client = Client::connect(address, &der).await;
    assert_eq!(client.get("https://app.test/").await.0, StatusCode::OK);
}
