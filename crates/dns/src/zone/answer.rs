//! What to say to a question about the zone.
//!
//! Every host name in the zone, at any depth, has the router's addresses. Names with a label that
//! begins with `_` are no hosts: of these only the open challenges of certificate authorities are
//! there. What is not in the zone is refused: this is nobody's resolver.

use crate::answer::Transport;
use hickory_proto::ProtoError;
use hickory_proto::op::{
    Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode,
};
use hickory_proto::rr::rdata::{A, AAAA, HINFO, NS, SOA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use std::net::IpAddr;
use windlass_core::challenges::Challenges;
use windlass_core::zone::Zone;

/// Seconds for which addresses may be kept: a move to another machine is seen after these.
const ADDRESS_TTL: u32 = 300;
/// Seconds for which the zone's own records may be kept.
const ZONE_TTL: u32 = 3_600;
/// Seconds for which it may be remembered that there is nothing.
const NEGATIVE_TTL: u32 = 30;
/// Challenges are new each time.
const CHALLENGE_TTL: u32 = 1;
/// The longest UDP reply, in bytes: it fits any path's packets.
const UDP_LIMIT: u16 = 1232;
/// The version of EDNS that we speak.
const EDNS_VERSION: u8 = 0;

/// A zone with its names ready for use.
pub(super) struct Authority {
    zone: Zone,
    apex: Name,
    name_server: Name,
    mailbox: Name,
}

/// What is at a name.
enum Node {
    /// The zone's own name.
    Apex,
    Host,
    /// Challenges; none where only something below is there.
    Challenge(Vec<String>),
    Nothing,
}

/// Whether the whole reply is given, or only that it would be over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Truncated,
}

impl Authority {
    /// Fails when a name is too long to be one.
    pub fn new(zone: Zone) -> Result<Self, ProtoError> {
        let apex = Name::from_ascii(&zone.name)?;
        let apex = Name::from_labels(apex.iter())?;
        let name_server = Name::from_labels(Name::from_ascii(zone.name_server())?.iter())?;
        let mailbox = apex.prepend_label("hostmaster")?;
        Ok(Self { zone, apex, name_server, mailbox })
    }

    /// Returns the reply, or `None` for what is no question.
    pub fn answer(
        &self,
        question: &[u8],
        transport: Transport,
        extent: Extent,
        challenges: &Challenges,
    ) -> Option<Vec<u8>> {
        let mut decoder = BinDecoder::new(question);
        let Header { metadata, counts } = Header::read(&mut decoder).ok()?;
        if metadata.message_type != MessageType::Query {
            return None;
        }
        let refuse = |code| Message::error_msg(metadata.id, metadata.op_code, code).to_vec().ok();
        if metadata.op_code != OpCode::Query {
            return refuse(ResponseCode::NotImp);
        }
        let asked = match Query::read(&mut decoder) {
            Ok(query) if counts.queries == 1 => query,
            _ => return refuse(ResponseCode::FormErr),
        };
        let Ok(question) = Message::from_vec(question) else {
            return refuse(ResponseCode::FormErr);
        };
        let mut reply = self.reply(&metadata, &question, &asked, challenges);
        reply.add_query(asked);
        let limit = usize::from(question.max_payload().clamp(512, UDP_LIMIT));
        encode(reply, transport, extent, limit)
    }

    fn reply(
        &self,
        metadata: &Metadata,
        question: &Message,
        asked: &Query,
        challenges: &Challenges,
    ) -> Message {
        let mut reply = Message::response(metadata.id, OpCode::Query);
        reply.metadata.recursion_desired = metadata.recursion_desired;
        if let Some(edns) = &question.edns {
            let mut ours = Edns::new();
            ours.set_max_payload(UDP_LIMIT);
            reply.set_edns(ours);
            if edns.version() > EDNS_VERSION {
                reply.metadata.response_code = ResponseCode::BADVERS;
                return reply;
            }
        }
        let is_transfer = matches!(asked.query_type(), RecordType::AXFR | RecordType::IXFR);
        let is_internet = asked.query_class() == DNSClass::IN;
        if !self.apex.zone_of(asked.name()) || is_transfer || !is_internet {
            reply.metadata.response_code = ResponseCode::Refused;
            return reply;
        }
        reply.metadata.authoritative = true;
        match self.find(asked.name(), challenges) {
            Node::Nothing => reply.metadata.response_code = ResponseCode::NXDomain,
            node => self.add_records(&mut reply, asked, &node),
        }
        if reply.answers.is_empty() {
            reply.add_authority(self.start_of_authority(NEGATIVE_TTL));
        }
        reply
    }

    /// Returns what is at a name of the zone.
    fn find(&self, name: &Name, challenges: &Challenges) -> Node {
        let below = usize::from(name.num_labels()).saturating_sub(self.apex.num_labels().into());
        if below == 0 {
            return Node::Apex;
        }
        if !name.iter().take(below).any(|label| label.first() == Some(&b'_')) {
            let is_below_name_server =
                self.name_server.zone_of(name) && !self.name_server.eq_ignore_root(name);
            return if is_below_name_server { Node::Nothing } else { Node::Host };
        }
        let Some(text) = plain_text(name) else { return Node::Nothing };
        match challenges.txt.get(&text) {
            Some(values) => Node::Challenge(values.iter().cloned().collect()),
            None => {
                let below = format!(".{text}");
                let has_more = challenges.txt.keys().any(|name| name.ends_with(&below));
                if has_more { Node::Challenge(Vec::new()) } else { Node::Nothing }
            }
        }
    }

    fn add_records(&self, reply: &mut Message, asked: &Query, node: &Node) {
        let owner = asked.name();
        let mut add = |ttl, data| {
            reply.add_answer(Record::from_rdata(owner.clone(), ttl, data));
        };
        match (node, asked.query_type()) {
            (Node::Nothing, _) => {}
            // All there is would be much for a question that small (RFC 8482).
            (_, RecordType::ANY) => {
                let data = HINFO::new("RFC8482".to_owned(), String::new());
                add(ZONE_TTL, RData::HINFO(data));
            }
            (Node::Challenge(values), RecordType::TXT) => {
                for value in values {
                    add(CHALLENGE_TTL, RData::TXT(TXT::new(vec![value.clone()])));
                }
            }
            (Node::Apex, RecordType::NS) => {
                add(ZONE_TTL, RData::NS(NS(self.name_server.clone())));
                let glue = self.zone.addresses.iter().map(|address| {
                    Record::from_rdata(self.name_server.clone(), ZONE_TTL, address_data(*address))
                });
                reply.add_additionals(glue);
            }
            (Node::Apex, RecordType::SOA) => {
                let mut soa = self.start_of_authority(ZONE_TTL);
                soa.name = owner.clone();
                reply.add_answer(soa);
            }
            (Node::Apex | Node::Host, kind) => {
                let data = self.zone.addresses.iter().map(|address| address_data(*address));
                data.filter(|data| data.record_type() == kind).for_each(|d| add(ADDRESS_TTL, d));
            }
            (Node::Challenge(_), _) => {}
        }
    }

    fn start_of_authority(&self, ttl: u32) -> Record {
        // There are no secondaries to see the serial number.
        let (name_server, mailbox) = (self.name_server.clone(), self.mailbox.clone());
        let soa = SOA::new(name_server, mailbox, 1, 3_600, 600, 604_800, NEGATIVE_TTL);
        Record::from_rdata(self.apex.clone(), ttl, RData::SOA(soa))
    }
}

fn address_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

/// Returns a name in lower case without final dot, if that is unambiguous.
fn plain_text(name: &Name) -> Option<String> {
    let plain = |label: &[u8]| {
        let text = std::str::from_utf8(label).ok()?;
        (!text.contains('.')).then(|| text.to_ascii_lowercase())
    };
    name.iter().map(plain).collect::<Option<Vec<_>>>().map(|labels| labels.join("."))
}

/// Returns the reply as bytes. One that is too long for UDP, or not granted as a whole, says only
/// that it is to be asked for over TCP.
fn encode(
    mut reply: Message,
    transport: Transport,
    extent: Extent,
    limit: usize,
) -> Option<Vec<u8>> {
    let whole = reply.to_vec().ok()?;
    if transport == Transport::Tcp || (extent == Extent::Whole && whole.len() <= limit) {
        return Some(whole);
    }
    reply.metadata.truncation = true;
    reply.answers.clear();
    reply.authorities.clear();
    reply.additionals.clear();
    reply.to_vec().ok()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
