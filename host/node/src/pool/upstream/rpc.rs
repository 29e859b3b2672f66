//! Bitcoin's JSON-RPC over HTTP: one call, its answer or why there is none.

use crate::settings::pool::UpstreamSettings;
use crate::tls::{self, Authorities, TlsError};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// The most bytes of an answer: a template of full blocks in hexadecimal, with room to spare.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long an idle connection is kept for the next call.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How long a call may take, but for those that wait for news.
pub const CALL_TIME: Duration = Duration::from_secs(10);

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    #[error("no connection: {detail}")]
    Connection { detail: String },
    #[error("no answer within {limit:?}")]
    Timeout { limit: Duration },
    #[error("the node takes neither this user and password nor this cookie")]
    Unauthorized,
    #[error("{} cannot be read: {detail}", path.display())]
    Secret { path: PathBuf, detail: String },
    /// The node answered with an error of its own.
    #[error("{message} (code {code})")]
    Refused { code: i64, message: String },
    #[error("the answer is not understood: {detail}")]
    Garbled { detail: String },
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum RpcSettingsError {
    #[error("{url:?} is not the address of a node: http://host:port")]
    Url { url: String },
    #[error("the upstream {url} has neither user and password-file nor cookie-file")]
    NoSecret { url: String },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("no HTTP client: {detail}")]
    Http { detail: String },
}

/// A client of one node.
pub struct Rpc {
    http: reqwest::Client,
    url: Url,
    /// Where calls of the wallet go.
    wallet: Url,
    secret: Secret,
}

/// Where the credentials stand. They are read for each connection anew: a node writes its cookie at every start.
enum Secret {
    Password { user: String, file: PathBuf },
    Cookie { file: PathBuf },
}

#[derive(Deserialize)]
struct Answer {
    /// As it was written: sums of money are decimal numbers that no float may touch.
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
}

impl Rpc {
    /// Makes a client; nothing is connected yet.
    pub fn new(settings: &UpstreamSettings) -> Result<Self, RpcSettingsError> {
        let wrong = || RpcSettingsError::Url { url: settings.url.clone() };
        let url: Url = settings.url.parse().map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !url.username().is_empty() {
            return Err(wrong());
        }
        let secret = match (&settings.user, &settings.password_file, &settings.cookie_file) {
            (_, _, Some(file)) => Secret::Cookie { file: file.clone() },
            (Some(user), Some(file), None) => Secret::Password { user: user.clone(), file: file.clone() },
            _ => return Err(RpcSettingsError::NoSecret { url: settings.url.clone() }),
        };
        let wallet = match &settings.wallet {
            Some(name) => url.join(&format!("wallet/{name}")).map_err(|_| wrong())?,
            None => url.clone(),
        };
        let authorities = if url.scheme() == "https" { Authorities::System } else { Authorities::Nobody };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client(authorities)?)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(KEEP_ALIVE)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| RpcSettingsError::Http { detail: error.to_string() })?;
        Ok(Self { http, url, wallet, secret })
    }

    /// Returns where the node listens.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Calls a function of the node.
    pub async fn call<T: DeserializeOwned>(&self, method: &str, parameters: Value) -> Result<T, RpcError> {
        read(&self.exchange(&self.url, method, &parameters, CALL_TIME).await?)
    }

    /// Calls a function of the node that waits for news.
    pub async fn wait<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: Value,
        limit: Duration,
    ) -> Result<T, RpcError> {
        read(&self.exchange(&self.url, method, &parameters, limit).await?)
    }

    /// Calls a function of the node's wallet.
    pub async fn call_wallet<T: DeserializeOwned>(&self, method: &str, parameters: Value) -> Result<T, RpcError> {
        read(&self.exchange(&self.wallet, method, &parameters, CALL_TIME).await?)
    }

    async fn exchange(
        &self,
        url: &Url,
        method: &str,
        parameters: &Value,
        limit: Duration,
    ) -> Result<Box<RawValue>, RpcError> {
        let (user, password) = self.secret.read().await?;
        let body = json!({ "jsonrpc": "1.0", "id": "adit", "method": method, "params": parameters });
        let request = self.http.post(url.clone()).basic_auth(user, Some(password)).timeout(limit).json(&body);
        let lost = |error: &reqwest::Error| classify(error, limit);
        let mut response = request.send().await.map_err(|error| lost(&error))?;
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(RpcError::Unauthorized);
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(RpcError::Garbled { detail: format!("it has more than {ANSWER_BYTES_MAX} bytes") });
            }
            bytes.extend_from_slice(&chunk);
        }
        // Errors come with status 404 or 500 and a body that says more.
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|error| RpcError::Garbled { detail: format!("status {}: {error}", status.as_u16()) })?;
        match answer.error {
            Some(Refusal { code, message }) => Err(RpcError::Refused { code, message }),
            // The answer null is an answer.
            None => Ok(answer.result.unwrap_or_else(|| RawValue::NULL.to_owned())),
        }
    }
}

impl Secret {
    async fn read(&self) -> Result<(String, String), RpcError> {
        let (Self::Password { file, .. } | Self::Cookie { file }) = self;
        let unread = |detail: String| RpcError::Secret { path: file.clone(), detail };
        let text = tokio::fs::read_to_string(file).await.map_err(|error| unread(error.to_string()))?;
        match self {
            Self::Password { user, .. } => Ok((user.clone(), text.trim_end_matches(['\r', '\n']).to_owned())),
            Self::Cookie { .. } => text
                .trim()
                .split_once(':')
                .map(|(user, password)| (user.to_owned(), password.to_owned()))
                .ok_or_else(|| unread("it has no colon".to_owned())),
        }
    }
}

fn read<T: DeserializeOwned>(result: &RawValue) -> Result<T, RpcError> {
    serde_json::from_str(result.get()).map_err(|error| RpcError::Garbled { detail: error.to_string() })
}

fn classify(error: &reqwest::Error, limit: Duration) -> RpcError {
    if error.is_timeout() {
        return RpcError::Timeout { limit };
    }
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let detail = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
    RpcError::Connection { detail }
}
