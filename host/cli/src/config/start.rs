//! What a `chain.toml` asks for that a start would not get: each value is right by itself, and together, or on this machine, they do not work.
//!
//! Asked by `adit chain check` alone. Whoever asks a node for a balance with the same file has none of these files, and listens nowhere.

use super::finding::{Finding, Gravity};
use super::{ResolvedChain, plugins};
use crate::farm;
use adit_chain::Conflicts;
use adit_node::settings::TlsSettings;
use adit_node::settings::pool::PoolMode;
use adit_node::tls;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use toml_edit::Document;

/// The consensus plugin whose blocks merge others.
const MERGING: &str = "ghostdag";

/// Returns what a start would refuse, as errors, and what only looks wrong, as warnings. `text` is the file that the chain was read from.
pub fn findings(chain: &ResolvedChain, text: &str) -> Vec<Finding> {
    // What does not parse is no chain.
    let Ok(document) = Document::parse(text) else { return Vec::new() };
    let mut check = Check { chain, document: &document, findings: Vec::new() };
    check.join();
    check.listeners();
    check.stratum_tls();
    check.files();
    check.difficulties();
    check.conflicts();
    check.findings
}

struct Check<'a> {
    chain: &'a ResolvedChain,
    document: &'a Document<&'a str>,
    findings: Vec<Finding>,
}

/// An address at which something listens.
struct Listener {
    key: String,
    address: SocketAddr,
    /// The API and Stratum take IPv4 too at `[::]`, nodes listen for each family by itself.
    takes_both: bool,
    in_up: Use,
    in_pool: bool,
}

/// Whether `adit up` listens somewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Never,
    /// Once the mode is switched.
    Later,
    AtStart,
}

impl Check<'_> {
    fn add(&mut self, gravity: Gravity, path: &str, problem: String) {
        self.add_at(gravity, path, path, problem);
    }

    /// Adds what is to be said of a key. Where the file has not that key, another one is shown, for whose sake it is said.
    fn add_at(&mut self, gravity: Gravity, path: &str, other: &str, problem: String) {
        let file = self.document.as_item();
        let place = plugins::find(file, if plugins::stands(file, path) { path } else { other });
        self.findings.push(Finding { gravity, place, path: path.to_owned(), problem });
    }

    /// Whether a pool listens for Stratum miners as the file stands: with `adit up`, or with `adit pool`.
    fn serves_stratum(&self) -> bool {
        let pool = &self.chain.settings.pool;
        !farm::is_space(self.chain) && (pool.mode == PoolMode::Host || !pool.upstreams.is_empty())
    }

    fn join(&mut self) {
        let pool = &self.chain.settings.pool;
        if pool.mode == PoolMode::Join && pool.join.pools.is_empty() {
            let example = if farm::is_space(self.chain) {
                "\"https://pool.example:8646\""
            } else {
                "\"stratum+tcp://pool.example:3333\""
            };
            let problem = format!(
                "is missing; pool.mode is \"join\", so a list of 1 to 16 pools is wanted, such as [{example}]; without pools pool.mode is \"solo\" or \"host\""
            );
            self.add_at(Gravity::Error, "pool.join.pools", "pool.mode", problem);
        }
    }

    /// Everything that the file has listen, in the order of the tables.
    fn all_listeners(&self) -> Vec<Listener> {
        let settings = &self.chain.settings;
        let pool = &settings.pool;
        let has_pool = !pool.upstreams.is_empty();
        let stratum = match pool.mode {
            _ if farm::is_space(self.chain) => Use::Never,
            PoolMode::Host => Use::AtStart,
            PoolMode::Solo | PoolMode::Join => Use::Later,
        };
        let one = |key: &str, address, in_up, in_pool| Listener {
            key: key.to_owned(),
            address,
            takes_both: true,
            in_up,
            in_pool,
        };
        let mut all = vec![one("node.api", settings.node.api, Use::AtStart, false)];
        let listen = settings.network.iter().flat_map(|network| &network.listen);
        all.extend(listen.enumerate().map(|(number, address)| Listener {
            takes_both: false,
            ..one(&format!("network.listen[{number}]"), *address, Use::AtStart, false)
        }));
        all.push(one("pool.stratum", pool.stratum, stratum, has_pool));
        all.extend(pool.stratum_tls.map(|address| one("pool.stratum-tls", address, stratum, has_pool)));
        all.push(one("pool.api", pool.api, Use::Never, has_pool));
        all.retain(|listener| listener.address.port() > 0 && (listener.in_up != Use::Never || listener.in_pool));
        all
    }

    /// Finds listeners of one process that want one port.
    fn listeners(&mut self) {
        let all = self.all_listeners();
        for (number, later) in all.iter().enumerate() {
            let clashes = all[..number].iter().filter_map(|earlier| Some((earlier, clash(earlier, later)?)));
            let Some((earlier, (gravity, when))) = clashes.min_by_key(|(_, clash)| *clash) else { continue };
            // Of the two that one is named which the file has: the other one is a default.
            let is_written = |listener: &Listener| plugins::stands(self.document.as_item(), &listener.key);
            let (named, other) = if is_written(later) { (later, earlier) } else { (earlier, later) };
            let (address, taken, key) = (named.address, other.address, &other.key);
            let problem = format!(
                "{address} is taken{when}: `{key}` is {taken}; a port of its own is wanted, or 0 for one that the system chooses"
            );
            self.add(gravity, &named.key, problem);
        }
    }

    /// Finds a listener for TLS without anything to show who it is.
    fn stratum_tls(&mut self) {
        let settings = &self.chain.settings;
        if settings.pool.stratum_tls.is_some() && settings.pool.tls.is_none() && settings.node.tls.is_none() {
            let problem =
                "needs certificate and key: [pool.tls] or [node.tls], each with the PEM files `certificate` and `key`";
            self.add(self.gravity_of_pool(), "pool.stratum-tls", problem.to_owned());
        }
    }

    /// What a pool that does not start is: no error where none is to start.
    fn gravity_of_pool(&self) -> Gravity {
        if self.serves_stratum() { Gravity::Error } else { Gravity::Warning }
    }

    fn files(&mut self) {
        let settings = &self.chain.settings;
        if let Some(files) = &settings.node.tls {
            self.tls("node.tls", files, Gravity::Error);
        }
        if let Some(files) = &settings.pool.tls {
            let is_used = settings.pool.stratum_tls.is_some();
            self.tls("pool.tls", files, if is_used { self.gravity_of_pool() } else { Gravity::Warning });
        }
    }

    /// Finds files of a certificate and its key that are not there, hold something else, or do not go together.
    fn tls(&mut self, table: &str, files: &TlsSettings, gravity: Gravity) {
        let mut is_whole = true;
        for (key, file) in [("certificate", &files.certificate), ("key", &files.key)] {
            if let Some(problem) = unread(file) {
                self.add(
                    gravity,
                    &format!("{table}.{key}"),
                    format!("{problem}; a PEM file that can be read is wanted"),
                );
                is_whole = false;
            }
        }
        if is_whole && let Err(error) = tls::server(&files.certificate, &files.key) {
            self.add(gravity, table, format!("gives no TLS: {error}"));
        }
    }

    fn difficulties(&mut self) {
        let shares = &self.chain.settings.pool.shares;
        if let Some(greatest) = shares.difficulty_max.filter(|greatest| *greatest < shares.difficulty_min) {
            let problem =
                format!("is {greatest}, less than `difficulty-min`, {}: no difficulty is left", shares.difficulty_min);
            self.add(self.gravity_of_pool(), "pool.shares.difficulty-max", problem);
        }
    }

    fn conflicts(&mut self) {
        let is_merging = self.chain.consensus.plugin.info().name == MERGING;
        if is_merging && self.chain.ledger.conflicts == Conflicts::RefuseBlock {
            let problem = format!(
                "is \"refuse-block\", by which no block merges others: blocks of {MERGING} are then mined one after another, as on a chain; \"skip-transaction\" is \
                 wanted where they merge (it makes another identity)"
            );
            self.add_at(Gravity::Warning, "ledger.conflicts", "consensus.plugin", problem);
        }
    }
}

/// Tells whether two listeners want one port: how grave that is, and when.
fn clash(one: &Listener, other: &Listener) -> Option<(Gravity, &'static str)> {
    let at_start = one.in_up == Use::AtStart && other.in_up == Use::AtStart;
    let in_pool = one.in_pool && other.in_pool;
    Some(match (one.takes_both || other.takes_both, at_start || in_pool) {
        _ if !overlap(one, other) => return None,
        // Nodes share a port with themselves: that is no use, and no harm.
        (false, _) => (Gravity::Warning, ""),
        (true, true) => (Gravity::Error, ""),
        // Or a node and a pool of one file, by themselves, which may run on two machines.
        (true, false) => (Gravity::Warning, " once a pool runs beside it"),
    })
}

fn overlap(one: &Listener, other: &Listener) -> bool {
    let covers = |wide: &Listener, address: IpAddr| match (wide.address.ip(), address) {
        (IpAddr::V4(wide), IpAddr::V4(address)) => wide.is_unspecified() || wide == address,
        (IpAddr::V6(wide), IpAddr::V6(address)) => wide.is_unspecified() || wide == address,
        (IpAddr::V6(all), IpAddr::V4(_)) => wide.takes_both && all.is_unspecified(),
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    };
    one.address.port() == other.address.port() && (covers(one, other.address.ip()) || covers(other, one.address.ip()))
}

/// Says why a file cannot be read, where that is so.
fn unread(file: &Path) -> Option<String> {
    let opened = std::fs::File::open(file).and_then(|file| file.metadata());
    match opened {
        Ok(metadata) if metadata.is_file() => None,
        Ok(_) => Some(format!("{} is no file", file.display())),
        Err(error) => Some(format!("{} cannot be read: {error}", file.display())),
    }
}
