//! What to say to a question: a pure function of the question, who asks and the routes in force.

use crate::clients::Client;
use crate::name::{self, Asked, DOMAIN, Wanted};
use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, BinEncodable, BinEncoder};
use std::net::IpAddr;
use std::sync::Arc;
use windlass_core::ids::AppId;
use windlass_core::route::{AppRoute, NamedInstance};

/// Seconds for which an answer, also that there is none, may be kept. Instances come and go.
const TTL: u32 = 1;

/// The longest UDP reply that is sent, in bytes: it fits any path's packets.
const UDP_LIMIT: u16 = 1232;

/// How a question came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What to do with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Reply(Vec<u8>),
    /// For the host's name servers, as it is.
    PassOn,
    /// Not a question: no answer.
    Ignore,
}

/// Decides what to do with a question.
pub fn judge(
    question: &[u8],
    transport: Transport,
    client: Client,
    routes: &[Arc<AppRoute>],
) -> Verdict {
    let mut decoder = BinDecoder::new(question);
    let Ok(header) = Header::read(&mut decoder) else { return Verdict::Ignore };
    let (metadata, counts) = (header.metadata, header.counts);
    if metadata.message_type != MessageType::Query {
        return Verdict::Ignore;
    }
    let refuse = |code| {
        let message = Message::error_msg(metadata.id, metadata.op_code, code);
        message.to_vec().map_or(Verdict::Ignore, Verdict::Reply)
    };
    if metadata.op_code != OpCode::Query {
        return refuse(ResponseCode::NotImp);
    }
    let query = match Query::read(&mut decoder) {
        Ok(query) if counts.queries == 1 => query,
        _ => return refuse(ResponseCode::FormErr),
    };
    // What is not ours is not read any further: it need not be understood.
    let wanted = match name::read(query.name()) {
        Asked::Outside => return Verdict::PassOn,
        Asked::Nothing => None,
        Asked::Instances(wanted) => Some(wanted),
    };
    let Ok(question) = Message::from_vec(question) else { return refuse(ResponseCode::FormErr) };
    let found = wanted.and_then(|wanted| find(&wanted, client, routes));
    let reply = reply(&question, query, found);
    encode(&reply, transport, question.max_payload()).map_or(Verdict::Ignore, Verdict::Reply)
}

/// Returns the addresses of a name that is there for this client, in random order so that clients
/// which take the first spread; `None` where there is no such name.
fn find(wanted: &Wanted, client: Client, routes: &[Arc<AppRoute>]) -> Option<Vec<IpAddr>> {
    let Client::Of(asking) = client else { return None };
    let route = routes.iter().find(|route| route.app_name.as_str() == wanted.app)?;
    if !may_ask(asking, route) {
        return None;
    }
    let instances = &route.private.instances;
    let process = wanted.process.as_deref().unwrap_or("web");
    let is_meant = |instance: &&NamedInstance| {
        instance.process.as_str().eq_ignore_ascii_case(process)
            && wanted.index.is_none_or(|index| instance.index == index)
    };
    let mut addresses: Vec<IpAddr> =
        instances.iter().filter(is_meant).map(|instance| instance.address).collect();
    fastrand::shuffle(&mut addresses);
    // `<app>.internal` is there as long as anything is below it.
    let is_there = !addresses.is_empty() || (wanted.process.is_none() && !instances.is_empty());
    is_there.then_some(addresses)
}

fn may_ask(asking: AppId, route: &AppRoute) -> bool {
    asking == route.app || route.private.linked.contains(&asking)
}

fn reply(question: &Message, query: Query, found: Option<Vec<IpAddr>>) -> Message {
    let mut reply = Message::response(question.metadata.id, OpCode::Query);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.authoritative = true;
    if question.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_LIMIT);
        reply.set_edns(edns);
    }
    match found {
        None => reply.metadata.response_code = ResponseCode::NXDomain,
        Some(addresses) if is_internet(query.query_class()) => {
            let kind = query.query_type();
            let records = addresses.into_iter().map(record_data);
            let asked = records
                .filter(|data| matches!(kind, RecordType::ANY) || data.record_type() == kind);
            reply
                .add_answers(asked.map(|data| Record::from_rdata(query.name().clone(), TTL, data)));
        }
        Some(_) => {}
    }
    if reply.answers.is_empty() {
        reply.add_authority(start_of_authority());
    }
    reply.add_query(query);
    reply
}

fn is_internet(class: DNSClass) -> bool {
    matches!(class, DNSClass::IN | DNSClass::ANY)
}

fn record_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

/// Says for how long a client may remember that there is nothing.
fn start_of_authority() -> Record {
    let domain = Name::from_labels([DOMAIN]).unwrap_or_default();
    let soa = SOA::new(domain.clone(), domain.clone(), 1, 1, 1, 1, TTL);
    Record::from_rdata(domain, TTL, RData::SOA(soa))
}

/// Returns the reply as bytes. What does not fit is cut off and marked so: then clients ask again
/// over TCP.
fn encode(reply: &Message, transport: Transport, client_limit: u16) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    let mut encoder = BinEncoder::new(&mut bytes);
    if transport == Transport::Udp {
        encoder.set_max_size(client_limit.clamp(512, UDP_LIMIT));
    }
    reply.emit(&mut encoder).ok()?;
    Some(bytes)
}

/// Returns a reply that says that no name server could be asked.
pub fn failure(question: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = BinDecoder::new(question);
    let header = Header::read(&mut decoder).ok()?;
    let query = Query::read(&mut decoder).ok()?;
    let mut reply = Message::error_msg(header.metadata.id, OpCode::Query, ResponseCode::ServFail);
    reply.metadata.recursion_desired = header.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.add_query(query);
    reply.to_vec().ok()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
