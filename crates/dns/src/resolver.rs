//! Questions to name servers: what the world sees of a name.

use crate::upstream::Upstream;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::net::{IpAddr, SocketAddr};

/// Asks name servers that look up names for others.
#[derive(Clone, Debug)]
pub struct Resolver(Upstream);

/// A name could not be looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    #[error("there is no such name")]
    NoSuchName,
    #[error("no name server answers")]
    NoAnswer,
    #[error("the name server says: {0}")]
    Refused(String),
    #[error("it is not a name")]
    NotAName,
}

impl Resolver {
    /// Asks these.
    #[must_use]
    pub fn new(upstream: Upstream) -> Self {
        Self(upstream)
    }

    /// Asks this one.
    #[must_use]
    pub fn of(server: SocketAddr) -> Self {
        Self(Upstream::of(server))
    }

    /// Returns the addresses of a host, IPv4 and IPv6; none where the name has none.
    ///
    /// # Errors
    /// When the name is not there, or nobody can be asked.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let (v4, v6) =
            tokio::join!(self.ask(host, RecordType::A), self.ask(host, RecordType::AAAA));
        let (v4, v6) = match (v4, v6) {
            (Err(error), Err(_)) => return Err(error),
            (v4, v6) => (v4.unwrap_or_default(), v6.unwrap_or_default()),
        };
        Ok(v4.iter().chain(&v6).filter_map(RData::ip_addr).collect())
    }

    /// Returns the name servers of a zone, in lower case without final dot.
    ///
    /// # Errors
    /// As [`Resolver::addresses`].
    pub async fn name_servers(&self, zone: &str) -> Result<Vec<String>, Unresolved> {
        let found = self.ask(zone, RecordType::NS).await?;
        let names = found.iter().filter_map(|data| match data {
            RData::NS(name) => {
                let name = name.0.to_ascii().to_ascii_lowercase();
                Some(name.strip_suffix('.').unwrap_or(&name).to_owned())
            }
            _ => None,
        });
        Ok(names.collect())
    }

    /// Returns the texts at a name.
    ///
    /// # Errors
    /// As [`Resolver::addresses`].
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, Unresolved> {
        let found = self.ask(name, RecordType::TXT).await?;
        let texts = found.iter().filter_map(|data| match data {
            RData::TXT(text) => {
                let whole: Vec<u8> = text.txt_data.iter().flat_map(|part| part.to_vec()).collect();
                String::from_utf8(whole).ok()
            }
            _ => None,
        });
        Ok(texts.collect())
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, Unresolved> {
        let name = Name::from_ascii(name).and_then(|name| Name::from_labels(name.iter()));
        let name = name.map_err(|_| Unresolved::NotAName)?;
        let mut question = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(name, kind));
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        question.set_edns(edns);
        let question = question.to_vec().map_err(|_| Unresolved::NotAName)?;
        let answer = self.0.ask(&question).await.and_then(|bytes| Message::from_vec(&bytes).ok());
        let answer = match answer.ok_or(Unresolved::NoAnswer)? {
            cut if cut.metadata.truncation => {
                let whole = self.0.ask_tcp(&question).await;
                let whole = whole.and_then(|bytes| Message::from_vec(&bytes).ok());
                whole.ok_or(Unresolved::NoAnswer)?
            }
            whole => whole,
        };
        match answer.metadata.response_code {
            ResponseCode::NoError => {
                Ok(answer.answers.into_iter().map(|record| record.data).collect())
            }
            ResponseCode::NXDomain => Err(Unresolved::NoSuchName),
            code => Err(Unresolved::Refused(code.to_str().to_owned())),
        }
    }
}
