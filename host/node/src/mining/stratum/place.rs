//! Where a pool listens, and where it may send its miners.

use reqwest::Url;
use std::fmt;
use std::net::IpAddr;

/// A pool's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub encrypted: bool,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
}

impl Place {
    /// Reads `stratum+tcp://host:port`, or `stratum+ssl://host:port` for TLS.
    pub fn parse(text: &str) -> Option<Self> {
        let url: Url = text.parse().ok()?;
        let encrypted = match url.scheme() {
            "stratum+tcp" => false,
            "stratum+ssl" | "stratum+tls" => true,
            _ => return None,
        };
        let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        let host = url.host_str().filter(|host| bare && !host.is_empty() && matches!(url.path(), "" | "/"))?;
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
        Some(Self { encrypted, host, port: url.port().filter(|port| *port != 0)? })
    }

    /// Returns the place that a pool at this one sends its miners to, encrypted as this one is. `None` where it names a host that is neither this one, nor
    /// a name below this one's: who follows a pool anywhere gives its hash rate to whoever can write into the connection.
    pub fn sent_to(&self, host: Option<&str>, port: Option<u16>) -> Option<Self> {
        let host = host.unwrap_or(&self.host).to_ascii_lowercase();
        let named = self.host.parse::<IpAddr>().is_err();
        let below =
            || host.strip_suffix(self.host.as_str()).is_some_and(|label| label.ends_with('.') && label.len() > 1);
        let allowed = host == self.host || named && below();
        allowed.then(|| Self { encrypted: self.encrypted, host, port: port.unwrap_or(self.port) })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "stratum+ssl" } else { "stratum+tcp" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<(bool, &str, u16)>) {
        let want = want.map(|(encrypted, host, port)| Place { encrypted, host: host.to_owned(), port });
        assert_eq!(Place::parse(text), want, "{text}");
    }

    #[test]
    fn a_scheme_a_host_and_a_port_make_a_place() {
        check("stratum+tcp://pool.example:3333", Some((false, "pool.example", 3333)));
        check("stratum+ssl://Pool.Example:443/", Some((true, "pool.example", 443)));
        check("stratum+tls://[::1]:3333", Some((true, "::1", 3333)));
        check("stratum+tcp://127.0.0.1:1", Some((false, "127.0.0.1", 1)));
    }

    #[test]
    fn what_is_no_pools_place_is_refused() {
        for text in [
            "",
            "pool.example:3333",
            "http://pool.example:3333",
            "stratum+tcp://pool.example",
            "stratum+tcp://pool.example:0",
            "stratum+tcp://pool.example:70000",
            "stratum+tcp://:3333",
            "stratum+tcp://me@pool.example:3333",
            "stratum+tcp://pool.example:3333/path",
            "stratum+tcp://pool.example:3333?x",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_place_is_written_as_it_is_read() {
        for text in ["stratum+tcp://pool.example:3333", "stratum+ssl://[::1]:3334"] {
            assert_eq!(Place::parse(text).unwrap().to_string(), text);
        }
    }

    #[track_caller]
    fn check_sent(from: &str, host: Option<&str>, port: Option<u16>, want: Option<&str>) {
        let sent = Place::parse(from).unwrap().sent_to(host, port);
        assert_eq!(sent.map(|place| place.to_string()).as_deref(), want);
    }

    #[test]
    fn a_pool_sends_its_miners_to_its_own_host_and_to_names_below_it_alone() {
        let from = "stratum+ssl://pool.example:3333";
        check_sent(from, None, None, Some(from));
        check_sent(from, None, Some(4444), Some("stratum+ssl://pool.example:4444"));
        check_sent(from, Some("POOL.example"), Some(4444), Some("stratum+ssl://pool.example:4444"));
        check_sent(from, Some("eu.pool.example"), None, Some("stratum+ssl://eu.pool.example:3333"));
        for other in ["pool.example.evil", "evilpool.example", ".pool.example", "example", "1.2.3.4"] {
            check_sent(from, Some(other), None, None);
        }
        check_sent("stratum+tcp://0.0.1.1:3333", Some("9.0.0.1.1"), None, None);
    }
}
