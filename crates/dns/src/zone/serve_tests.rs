use super::*;
use crate::resolver::{Resolver, Unresolved};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct World {
    address: SocketAddr,
    challenges: watch::Sender<Arc<Challenges>>,
}

fn start() -> World {
    let doors = Doors::open("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = doors.address();
    let zone = Zone {
        name: "apps.example.com".to_owned(),
        listen: address,
        addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
    };
    let challenges = watch::Sender::<Arc<Challenges>>::default();
    let server = ZoneServer::new(zone, challenges.subscribe()).unwrap();
    tokio::spawn(server.serve(doors));
    World { address, challenges }
}

impl World {
    fn set_texts(&self, name: &str, values: &BTreeSet<String>) {
        let txt = BTreeMap::from([(name.to_owned(), values.clone())]);
        self.challenges.send_replace(Arc::new(Challenges { txt, ..Challenges::default() }));
    }
}

#[tokio::test]
async fn a_resolver_sees_the_zone() {
    let world = start();
    let resolver = Resolver::of(world.address);
    let addresses: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    assert_eq!(resolver.addresses("shop.apps.example.com").await.unwrap(), addresses);
    assert_eq!(resolver.name_servers("apps.example.com").await.unwrap(), ["ns1.apps.example.com"]);
    let missing = resolver.addresses("_x.apps.example.com").await.unwrap_err();
    assert_eq!(missing, Unresolved::NoSuchName);
    let refused = resolver.addresses("www.example.org").await.unwrap_err();
    assert!(matches!(refused, Unresolved::Refused(_)), "{refused}");
    assert_eq!(resolver.addresses("a..b").await.unwrap_err(), Unresolved::NotAName);
}

#[tokio::test]
async fn challenges_are_seen_at_once_also_when_they_need_tcp() {
    let world = start();
    let resolver = Resolver::of(world.address);
    let name = "_acme-challenge.apps.example.com";
    assert_eq!(resolver.texts(name).await.unwrap_err(), Unresolved::NoSuchName);
    for count in [1, 2, 100] {
        let values: BTreeSet<_> = (0..count).map(|n| format!("{n:043}")).collect();
        world.set_texts(name, &values);
        let found: BTreeSet<_> = resolver.texts(name).await.unwrap().into_iter().collect();
        assert_eq!(found, values);
    }
    world.challenges.send_replace(Arc::default());
    assert_eq!(resolver.texts(name).await.unwrap_err(), Unresolved::NoSuchName);
}

#[tokio::test]
async fn nobody_is_flooded_and_tcp_still_answers() {
    let world = start();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(world.address).await.unwrap();
    let question = question("shop.apps.example.com.");
    let mut sent = 0usize;
    let mut received = 0usize;
    let mut buffer = [0; 1_500];
    for _ in 0..3_000 {
        socket.send(&question).await.unwrap();
        sent += question.len();
        while let Ok(length) = socket.try_recv(&mut buffer) {
            received += length;
        }
    }
    while let Ok(Ok(length)) =
        tokio::time::timeout(Duration::from_millis(300), socket.recv(&mut buffer)).await
    {
        received += length;
    }
    assert!(received < sent, "{received} bytes came back for {sent}");
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    write_message(&mut stream, &question).await.unwrap();
    let reply = read_message(&mut stream).await.unwrap().unwrap();
    assert_eq!(hickory_proto::op::Message::from_vec(&reply).unwrap().answers.len(), 1);
}

#[tokio::test]
async fn several_questions_of_one_connection_are_answered_and_noise_ends_it() {
    let world = start();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    for _ in 0..3 {
        write_message(&mut stream, &question("a.apps.example.com.")).await.unwrap();
        assert!(read_message(&mut stream).await.unwrap().is_some());
    }
    stream.write_all(&[0, 3, 1, 2, 3]).await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

fn question(name: &str) -> Vec<u8> {
    use hickory_proto::op::{Message, MessageType, OpCode, Query};
    use hickory_proto::rr::{Name, RecordType};
    let mut question = Message::new(7, MessageType::Query, OpCode::Query);
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    question.to_vec().unwrap()
}
