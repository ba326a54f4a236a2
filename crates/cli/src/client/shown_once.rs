//! Secrets that the server shows once, in a header of its answer.

use super::Client;
use crate::error::{CliError, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::Method;

impl Client {
    /// Sends a change; returns the resource and the header's value, if there is one.
    pub fn send_for_secret<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
        header: &str,
    ) -> Result<(T, Option<String>)> {
        let body = serde_json::to_vec(body)
            .map_err(|error| CliError::general(format!("Could not write JSON: {error}")))?;
        let response = self.request(method, path, Some(body), None)?;
        let secret = response.headers().get(header).and_then(|value| value.to_str().ok());
        let secret = secret.map(str::to_owned);
        self.parsed(path, response).map(|(value, _)| (value, secret))
    }
}
