//! Which web pages may ask: the node's own.
//!
//! A browser sends what any page says to any address that it reaches, this machine's own too. It names the page's site as `Origin`: another
//! site's is refused, also for a WebSocket, which browsers open without asking first. A site whose name is made to lead to this machine has the right
//! `Origin`, so the name that was asked for is looked at as well, where it is known which are right.

use super::ApiState;
use super::error::ApiError;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// By which names a node may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Whether every other name is refused.
    closed: bool,
    names: Vec<String>,
}

impl Names {
    /// Takes the operator's names for a node that listens at `address`.
    pub fn new(address: SocketAddr, names: &[String]) -> Self {
        Self { closed: address.ip().is_loopback() || !names.is_empty(), names: names.to_vec() }
    }

    /// Refuses what asks for another host, or comes from another site's page.
    pub fn check(&self, asked_for: Option<&Authority>, headers: &HeaderMap) -> Result<(), ApiError> {
        let hosts = headers.get_all(header::HOST).iter().map(|host| Authority::try_from(host.as_bytes()).ok());
        let hosts: Vec<Option<Authority>> = hosts.chain(asked_for.map(|host| Some(host.clone()))).collect();
        if !hosts.iter().all(|host| host.as_ref().is_some_and(|host| self.is_own(host))) {
            let message = "this node is not known by that name: ask by its address, or name it in node.names";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "host", message));
        }
        let own_page = |origin: &[u8]| {
            let origin = site(origin);
            origin.is_some_and(|origin| self.is_named(&origin) || hosts.iter().flatten().any(|host| *host == origin))
        };
        if headers.get_all(header::ORIGIN).iter().all(|origin| own_page(origin.as_bytes())) {
            return Ok(());
        }
        let message = "pages of other sites may not ask this node";
        Err(ApiError::new(StatusCode::FORBIDDEN, "origin", message))
    }

    /// Tells whether a host may be this node. No name leads from an address to another: who asks for one means it.
    fn is_own(&self, host: &Authority) -> bool {
        let name = host.host();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        !self.closed
            || address.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.is_named(host)
    }

    fn is_named(&self, host: &Authority) -> bool {
        self.names.iter().any(|name| host.host().eq_ignore_ascii_case(name))
    }
}

/// Returns the host and port of an origin. `null`, which pages without a site send, has none.
fn site(origin: &[u8]) -> Option<Authority> {
    let (scheme, host) = std::str::from_utf8(origin).ok()?.split_once("://")?;
    let web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    web.then(|| host.parse().ok()).flatten()
}

/// Lets requests through that no other site's page sent.
pub async fn need_own_page(
    State(api): State<Arc<ApiState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    api.names.check(request.uri().authority(), request.headers())?;
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:8645";
    const PUBLIC: &str = "192.0.2.1:8645";

    #[track_caller]
    fn check(listens: &str, names: &[&str], host: &str, origin: Option<&str>, want: Option<&str>) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let answer = Names::new(listens.parse().unwrap(), &names).check(None, &headers);
        assert_eq!(answer.err().map(|error| error.code), want);
    }

    #[test]
    fn programs_send_no_origin_and_pass() {
        check(LOOPBACK, &[], "127.0.0.1:8645", None, None);
        check(LOOPBACK, &[], "localhost:8645", None, None);
        check(LOOPBACK, &[], "[::1]:8645", None, None);
        check(PUBLIC, &[], "node.example:8645", None, None);
    }

    #[test]
    fn the_nodes_own_pages_pass() {
        check(LOOPBACK, &[], "127.0.0.1:8645", Some("http://127.0.0.1:8645"), None);
        check(LOOPBACK, &[], "localhost:8645", Some("http://LOCALHOST:8645"), None);
        check(PUBLIC, &[], "node.example", Some("https://node.example"), None);
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        for origin in ["http://evil.example", "http://127.0.0.1:80", "null", "http://", "file://127.0.0.1:8645", "x"] {
            check(LOOPBACK, &[], "127.0.0.1:8645", Some(origin), Some("origin"));
            check(PUBLIC, &[], "192.0.2.1:8645", Some(origin), Some("origin"));
        }
    }

    #[test]
    fn a_site_whose_name_was_made_to_lead_here_is_refused() {
        check(LOOPBACK, &[], "evil.example:8645", Some("http://evil.example:8645"), Some("host"));
        check(LOOPBACK, &[], "evil.example:8645", None, Some("host"));
        check(PUBLIC, &["node.example"], "evil.example:8645", None, Some("host"));
    }

    #[test]
    fn a_name_of_the_operators_passes_with_its_pages() {
        check(LOOPBACK, &["node.example"], "node.example", Some("https://node.example"), None);
        // A proxy may ask by the address, and pass on where the page came from.
        check(LOOPBACK, &["node.example"], "127.0.0.1:8645", Some("https://node.example"), None);
    }
}
