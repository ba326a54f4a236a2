use super::*;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use std::net::Ipv4Addr;
use windlass_core::ids::AppId;
use windlass_core::route::{Availability, NamedInstance, PrivateNames};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// How long nothing has to come where nothing may come.
const SILENCE: Duration = Duration::from_millis(500);

struct World {
    address: SocketAddr,
    routes: watch::Sender<Routes>,
    app: AppId,
    directory: tempfile::TempDir,
}

/// A name server whose client is this process, and a name server of the host that answers
/// everything with 192.0.2.7.
fn start() -> World {
    let directory = tempfile::tempdir().unwrap();
    let app = AppId::random();
    std::os::unix::fs::symlink(app.to_string(), directory.path().join("127.0.0.1")).unwrap();
    let host = bind(SocketAddrV4::new(HERE, 0)).unwrap();
    let resolv_conf = directory.path().join("resolv.conf");
    std::fs::write(&resolv_conf, "nameserver 127.0.0.1\n").unwrap();
    let upstream = Upstream::new(resolv_conf).with_port(host.address().port());
    answer_everything(host);
    let routes = watch::Sender::<Routes>::default();
    let clients = Clients::new(directory.path().to_owned());
    let server = Server::new(clients, upstream, routes.subscribe());
    let doors = bind(SocketAddrV4::new(HERE, 0)).unwrap();
    let address = doors.address();
    tokio::spawn(server.serve(doors));
    World { address, routes, app, directory }
}

fn answer_everything(doors: Doors) {
    let answer = |question: &[u8]| {
        let question = Message::from_vec(question).unwrap();
        let mut reply = Message::response(question.metadata.id, OpCode::Query);
        let name = question.queries[0].name().clone();
        let data = RData::A(A(Ipv4Addr::new(192, 0, 2, 7)));
        reply.add_answer(Record::from_rdata(name, 60, data));
        reply.to_vec().unwrap()
    };
    let udp = tokio::net::UdpSocket::from_std(doors.udp).unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
            udp.send_to(&answer(&buffer[..length]), from).await.unwrap();
        }
    });
    let tcp = tokio::net::TcpListener::from_std(doors.tcp).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let question = read_message(&mut stream).await.unwrap().unwrap();
            write_message(&mut stream, &answer(&question)).await.unwrap();
        }
    });
}

impl World {
    fn set_instances(&self, count: u8) {
        let instances = (1..=count).map(|index| NamedInstance {
            process: "web".parse().unwrap(),
            index: index.into(),
            address: Ipv4Addr::new(10, 0, 0, index).into(),
        });
        let route = AppRoute {
            app: self.app,
            app_name: "shop".parse().unwrap(),
            hosts: Vec::new(),
            availability: Availability::Serving,
            targets: Vec::new(),
            canary: None,
            log_file: None,
            private: PrivateNames { instances: instances.collect(), ..PrivateNames::default() },
            settings: None,
        };
        self.routes.send_replace(Arc::new([Arc::new(route)]));
    }

    /// Asks, and waits for the answer.
    async fn ask(&self, name: &str) -> Message {
        self.ask_within(name, Duration::from_secs(20)).await.expect("an answer")
    }

    async fn ask_within(&self, name: &str, limit: Duration) -> Option<Message> {
        let socket = tokio::net::UdpSocket::bind((HERE, 0)).await.unwrap();
        socket.send_to(&question(name), self.address).await.unwrap();
        let mut buffer = [0; 1500];
        let received = tokio::time::timeout(limit, socket.recv_from(&mut buffer)).await;
        let (length, from) = received.ok()?.unwrap();
        assert_eq!(from, self.address);
        Some(Message::from_vec(&buffer[..length]).unwrap())
    }

    async fn ask_tcp(&self, name: &str) -> Message {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        write_message(&mut stream, &question(name)).await.unwrap();
        Message::from_vec(&read_message(&mut stream).await.unwrap().unwrap()).unwrap()
    }
}

fn question(name: &str) -> Vec<u8> {
    let mut question = Message::new(99, MessageType::Query, OpCode::Query);
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    question.to_vec().unwrap()
}

#[tokio::test]
async fn answers_follow_the_routes_at_once() {
    let world = start();
    let missing = world.ask("web.shop.internal.").await;
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    for count in [1, 3, 2] {
        world.set_instances(count);
        let answers = world.ask("web.shop.internal.").await.answers;
        assert_eq!(answers.len(), usize::from(count));
        assert_eq!(world.ask_tcp("web.shop.internal.").await.answers.len(), usize::from(count));
    }
}

#[tokio::test]
async fn outside_names_come_from_the_hosts_name_server() {
    let world = start();
    for reply in [world.ask("example.com.").await, world.ask_tcp("example.com.").await] {
        let address = reply.answers[0].data.ip_addr().unwrap();
        assert_eq!(address, Ipv4Addr::new(192, 0, 2, 7));
    }
    // Without one it is said at once that nobody could be asked.
    std::fs::write(world.directory.path().join("resolv.conf"), "").unwrap();
    let reply = world.ask("example.com.").await;
    assert_eq!(reply.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn who_is_no_instance_gets_no_answer() {
    let world = start();
    std::fs::remove_file(world.directory.path().join("127.0.0.1")).unwrap();
    assert_eq!(world.ask_within("web.shop.internal.", SILENCE).await, None);
    assert_eq!(world.ask_within("example.com.", SILENCE).await, None);
}

#[test]
fn one_instance_cannot_take_all_turns() {
    let (under_way, greedy) = (UnderWay::default(), IpAddr::from([10, 0, 0, 1]));
    let turns: Vec<_> = std::iter::from_fn(|| under_way.enter(greedy)).collect();
    assert_eq!(turns.len(), AT_ONCE);
    assert!(under_way.enter(IpAddr::from([10, 0, 0, 2])).is_some());
    drop(turns);
    assert!(under_way.enter(greedy).is_some());
    assert!(under_way.0.lock().unwrap().is_empty(), "nothing is left of turns that are over");
}
