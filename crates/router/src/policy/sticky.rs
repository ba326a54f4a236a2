//! Clients that keep their instance, by a cookie.

use super::RequestView;
use http::{HeaderValue, header};
use windlass_core::ids::InstanceId;

const COOKIE: &str = "windlass_instance";

/// Says which instance, without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StickyId(u64);

impl StickyId {
    /// FNV-1a: an instance's name is no secret, and no two of an app are alike.
    pub fn of(instance: &InstanceId) -> Self {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(instance.0.bytes().fold(0xcbf2_9ce4_8422_2325, step))
    }

    /// A cookie that lasts as long as the browser's session.
    pub(super) fn cookie(self, is_https: bool) -> Option<HeaderValue> {
        let secure = if is_https { "; Secure" } else { "" };
        let text = format!("{COOKIE}={:016x}; Path=/; HttpOnly; SameSite=Lax{secure}", self.0);
        HeaderValue::try_from(text).ok()
    }
}

/// Returns the instance that the client's cookie names.
pub(super) fn of_request(request: &impl RequestView) -> Option<StickyId> {
    let text = |value| std::str::from_utf8(value).ok();
    let mut pairs =
        request.header_values(&header::COOKIE).filter_map(text).flat_map(|v| v.split(';'));
    let hex = pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))?;
    if hex.len() != 16 { None } else { u64::from_str_radix(hex, 16).ok().map(StickyId) }
}
