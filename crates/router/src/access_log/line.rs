//! One router line: its fields in Heroku's order, and the codes of what went wrong.

use http::{HeaderValue, Method};
use std::io::Write;
use std::sync::Arc;

/// Heroku's codes for what the router itself answers or notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    AppCrashed,
    BacklogTooDeep,
    RequestTimeout,
    ClosedWithoutResponse,
    NoWebProcesses,
    IdleConnection,
    PoorResponse,
    ServerInterrupted,
    ConnectTimeout,
    BootTimeout,
    ConnectionRefused,
    ForcedClose,
    UnsupportedExpect,
    BadHeader,
    BadChunk,
    BodyTooLarge,
    ClientInterrupted,
    ClientIdle,
    Maintenance,
    BlankApp,
}

impl ErrorCode {
    /// Returns the code and its description.
    pub fn code(self) -> (&'static str, &'static str) {
        match self {
            Self::AppCrashed => ("H10", "App crashed"),
            Self::BacklogTooDeep => ("H11", "Backlog too deep"),
            Self::RequestTimeout => ("H12", "Request timeout"),
            Self::ClosedWithoutResponse => ("H13", "Connection closed without response"),
            Self::NoWebProcesses => ("H14", "No web processes running"),
            Self::IdleConnection => ("H15", "Idle connection"),
            Self::PoorResponse => ("H17", "Poorly formatted HTTP response"),
            Self::ServerInterrupted => ("H18", "Server Request Interrupted"),
            Self::ConnectTimeout => ("H19", "Backend connection timeout"),
            Self::BootTimeout => ("H20", "App boot timeout"),
            Self::ConnectionRefused => ("H21", "Backend connection refused"),
            Self::ForcedClose => ("H24", "Forced close"),
            Self::UnsupportedExpect | Self::BadHeader | Self::BadChunk | Self::BodyTooLarge => {
                ("H26", "Request Error")
            }
            Self::ClientInterrupted => ("H27", "Client Request Interrupted"),
            Self::ClientIdle => ("H28", "Client Connection Idle"),
            Self::Maintenance => ("H80", "Maintenance mode"),
            Self::BlankApp => ("H81", "Blank app"),
        }
    }

    /// Returns the status that the log shows, and that the client gets if it is not too late.
    pub fn status(self) -> u16 {
        match self {
            Self::UnsupportedExpect => 417,
            Self::BadHeader | Self::BadChunk => 400,
            Self::BodyTooLarge => 413,
            Self::ClientInterrupted | Self::ClientIdle => 499,
            // As Heroku's router does of late; its documentation still says 503.
            Self::BlankApp => 502,
            _ => 503,
        }
    }

    /// Whether it is the target's doing that a request which was sent has no good answer.
    pub fn is_of_target(self) -> bool {
        use ErrorCode::{ClosedWithoutResponse, PoorResponse, RequestTimeout, ServerInterrupted};
        [RequestTimeout, ClosedWithoutResponse, PoorResponse, ServerInterrupted].contains(&self)
    }

    fn cause(self) -> Option<&'static str> {
        match self {
            Self::UnsupportedExpect => Some("unsupported expect header value"),
            Self::BadHeader => Some("bad header"),
            Self::BadChunk => Some("bad chunk"),
            Self::BodyTooLarge => Some("body too large"),
            _ => None,
        }
    }

    fn socket(self) -> Option<&'static str> {
        match self {
            Self::ServerInterrupted => Some("backend"),
            Self::ClientInterrupted => Some("client"),
            _ => None,
        }
    }

    fn level(self) -> &'static str {
        match self {
            Self::ClientInterrupted | Self::ClientIdle => "warning",
            Self::Maintenance | Self::BlankApp => "info",
            _ => "error",
        }
    }
}

/// What one router line says.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Microseconds since the Unix epoch.
    pub time: u64,
    pub error: Option<ErrorCode>,
    pub method: Method,
    /// With its query.
    pub path: Box<str>,
    pub host: Box<str>,
    pub request_id: HeaderValue,
    /// The whole X-Forwarded-For.
    pub forwarded_for: HeaderValue,
    /// `web.1`; the next two are empty without it.
    pub target: Option<Arc<str>>,
    pub connect_ms: u64,
    pub service_ms: Option<u64>,
    pub status: u16,
    pub bytes: Option<u64>,
    pub protocol: &'static str,
}

impl Record {
    /// Appends the message of the line, without time and source.
    pub fn write_message(&self, out: &mut Vec<u8>) {
        if let Some(socket) = self.error.and_then(ErrorCode::socket) {
            put(out, "sock=", socket.as_bytes());
            out.push(b' ');
        }
        put(out, "at=", self.error.map_or("info", ErrorCode::level).as_bytes());
        if let Some(error) = self.error {
            let (code, description) = error.code();
            put(out, " code=", code.as_bytes());
            put_quoted(out, " desc=", description.as_bytes());
            if let Some(cause) = error.cause() {
                put_quoted(out, " cause=", cause.as_bytes());
            }
        }
        put(out, " method=", self.method.as_str().as_bytes());
        put_quoted(out, " path=", self.path.as_bytes());
        put(out, " host=", self.host.as_bytes());
        put(out, " request_id=", self.request_id.as_bytes());
        put_quoted(out, " fwd=", self.forwarded_for.as_bytes());
        put(out, " dyno=", self.target.as_deref().unwrap_or_default().as_bytes());
        put_number(out, " connect=", self.target.is_some().then_some(self.connect_ms), "ms");
        put_number(out, " service=", self.service_ms, "ms");
        put_number(out, " status=", Some(u64::from(self.status)), "");
        put_number(out, " bytes=", self.bytes, "");
        put(out, " protocol=", self.protocol.as_bytes());
    }
}

fn put(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(value);
}

fn put_quoted(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'"');
    for byte in value {
        if matches!(*byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

fn put_number(out: &mut Vec<u8>, key: &str, value: Option<u64>, unit: &str) {
    out.extend_from_slice(key.as_bytes());
    if let Some(value) = value {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{value}{unit}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            time: 0,
            error: None,
            method: Method::GET,
            path: "/x?y=1".into(),
            host: "app.example.com".into(),
            request_id: HeaderValue::from_static("0191d4a2-5f0c-7d10-9d61-3f8a5b7c2e11"),
            forwarded_for: HeaderValue::from_static("203.0.113.9"),
            target: Some("web.1".into()),
            connect_ms: 0,
            service_ms: Some(12),
            status: 200,
            bytes: Some(345),
            protocol: "https",
        }
    }

    fn message(record: &Record) -> String {
        let mut out = Vec::new();
        record.write_message(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_stand_in_herokus_order() {
        assert_eq!(
            message(&record()),
            "at=info method=GET path=\"/x?y=1\" host=app.example.com \
             request_id=0191d4a2-5f0c-7d10-9d61-3f8a5b7c2e11 fwd=\"203.0.113.9\" dyno=web.1 connect=0ms \
             service=12ms status=200 bytes=345 protocol=https"
        );
    }

    #[test]
    fn errors_name_their_code_and_leave_unknown_fields_empty() {
        let error = Some(ErrorCode::NoWebProcesses);
        let record =
            Record { error, target: None, service_ms: None, bytes: None, status: 503, ..record() };
        let text = message(&record);
        assert!(
            text.starts_with("at=error code=H14 desc=\"No web processes running\" method=GET "),
            "{text}"
        );
        assert!(
            text.ends_with(" dyno= connect= service= status=503 bytes= protocol=https"),
            "{text}"
        );
    }

    #[test]
    fn socket_cause_and_quotes() {
        let broken = Record { error: Some(ErrorCode::ServerInterrupted), ..record() };
        assert!(message(&broken).starts_with("sock=backend at=error code=H18 "));
        let gone = Record { error: Some(ErrorCode::ClientInterrupted), ..record() };
        assert!(message(&gone).starts_with("sock=client at=warning code=H27 "));
        let expect = Record { error: Some(ErrorCode::UnsupportedExpect), ..record() };
        assert!(
            message(&expect).contains(
                "desc=\"Request Error\" cause=\"unsupported expect header value\" method="
            )
        );
        let forged =
            Record { forwarded_for: HeaderValue::from_static("a\" status=200 x=\"b"), ..record() };
        assert!(message(&forged).contains(r#"fwd="a\" status=200 x=\"b" dyno="#));
        let forged =
            Record { forwarded_for: HeaderValue::from_static(r#"\" status=200 x=\"#), ..record() };
        assert!(message(&forged).contains(r#"fwd="\\\" status=200 x=\\" dyno="#));
    }
}
