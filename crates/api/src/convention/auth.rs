//! Who is asking: Bearer or Basic credentials, and the app in the path.

use super::ApiError;
use crate::state::ApiState;
use axum::extract::{FromRequestParts, RawPathParams};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use windlass_control::records::{App, Token, User};

/// An authenticated request.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) token: Token,
    /// The token's secret, as it was sent.
    pub(crate) secret: String,
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let secret = secret(&parts.headers).ok_or_else(ApiError::unauthorized)?;
        let (token, user) = state.platform.authenticate(&secret)?;
        Ok(Self { user, token, secret })
    }
}

/// An authenticated request about the app whose name or id stands in the path as `{app}`.
pub(crate) struct AppOfCaller {
    pub(crate) user: User,
    pub(crate) app: App,
}

impl FromRequestParts<ApiState> for AppOfCaller {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let Caller { user, .. } = Caller::from_request_parts(parts, state).await?;
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| ApiError::not_found("app"))?;
        let name = params.iter().find(|(key, _)| *key == "app").map(|(_, value)| value.to_owned());
        let app = state.platform.app(&user, &name.unwrap_or_default())?;
        Ok(Self { user, app })
    }
}

/// Returns the token in the `Authorization` header: a Bearer token or the password of Basic
/// credentials, whose user name does not matter. Some clients send the token as the user name
/// with an empty password; that is taken too.
pub(crate) fn secret(headers: &HeaderMap) -> Option<String> {
    headers.get(AUTHORIZATION).and_then(from_value)
}

fn from_value(value: &HeaderValue) -> Option<String> {
    let (scheme, credentials) = value.to_str().ok()?.trim().split_once(' ')?;
    let credentials = credentials.trim();
    let secret = if scheme.eq_ignore_ascii_case("bearer") {
        credentials.to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        if password.is_empty() { user.to_owned() } else { password.to_owned() }
    } else {
        return None;
    };
    (!secret.is_empty()).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_token_in_every_form() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let cases = [
            ("Bearer t-1".to_owned(), Some("t-1")),
            ("bearer  t-1 ".to_owned(), Some("t-1")),
            (basic(":t-1"), Some("t-1")),
            (basic("me@example.com:t-1"), Some("t-1")),
            (basic("heroku:t:1"), Some("t:1")),
            (basic("t-1:"), Some("t-1")),
            (basic(":"), None),
            (basic("no colon"), None),
            ("Basic !!!".to_owned(), None),
            ("Bearer".to_owned(), None),
            ("Bearer ".to_owned(), None),
            ("Digest t-1".to_owned(), None),
        ];
        for (header, expected) in cases {
            let value = HeaderValue::from_str(&header).unwrap();
            assert_eq!(from_value(&value).as_deref(), expected, "{header}");
        }
        assert_eq!(secret(&HeaderMap::new()), None);
    }
}
