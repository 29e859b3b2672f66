//! `adit peers`: the nodes that a node talks with.

use crate::config;
use crate::sandbox;
use crate::stats::{ask, url_of};
use adit_node::api::peers::{NamedBody, PeerBody, PeersResponse, SyncBody};
use adit_node::settings::NodeSettings;
use anyhow::Result;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args)]
pub struct PeersArguments {
    /// The chain whose node to ask, as its `node.api` says.
    chain: Option<PathBuf>,
    /// The node to ask, whatever its chain; without it and without a chain, the one at the usual address.
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// A PEM file of authorities that sign the node's certificate. Without it, the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Shows the peers, as a table or as JSON.
pub fn run(arguments: &PeersArguments, json: bool) -> Result<ExitCode> {
    let url = match (&arguments.node, &arguments.chain) {
        (Some(url), _) => url.clone(),
        (None, Some(chain)) => url_of(&config::read(chain, &sandbox::open()?)?.into_chain()?.settings.node),
        (None, None) => url_of(&NodeSettings::unset()),
    };
    let answer: PeersResponse = ask(&url, arguments.ca_file.as_deref(), "peers")?;
    if json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        print!("{}", table(&answer));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(answer: &PeersResponse) -> String {
    let Some(node) = &answer.node else {
        return "this node talks with miners and wallets alone: a [network] table in chain.toml lets it find others\n"
            .to_owned();
    };
    let mut text = format!("node       {node}\n");
    for address in &answer.listening {
        writeln!(text, "reached at {address}").expect("text takes everything");
    }
    let (count, known) = (answer.peers.len(), answer.addresses);
    writeln!(text, "chain      {}", progress(&answer.sync, count)).expect("text takes everything");
    writeln!(text, "peers      {count}, {known} addresses known").expect("text takes everything");
    if answer.peers.is_empty() {
        answer
            .named
            .iter()
            .for_each(|named| writeln!(text, "named      {}", outcome(named)).expect("text takes everything"));
        return text;
    }
    text.push('\n');
    let rows: Vec<[String; 8]> = answer.peers.iter().map(row).collect();
    let names = ["address", "way", "latency", "score", "height", "agent", "for", "in / out"];
    let mut widths = names.map(str::len);
    for row in &rows {
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = (*width).max(cell.chars().count()));
    }
    let mut line = |cells: [&str; 8]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(text, "{}", padded.collect::<Vec<_>>().join("  ").trim_end()).expect("text takes everything");
    };
    line(names);
    rows.iter().for_each(|row| line(row.each_ref().map(String::as_str)));
    text
}

/// Says what became of an address that the operator named.
fn outcome(named: &NamedBody) -> String {
    let said = match &named.failure {
        Some(failure) => failure,
        None if named.connected => "there is a session with it",
        None => "it is to be called",
    };
    format!("{}: {said}", named.address)
}

fn row(peer: &PeerBody) -> [String; 8] {
    // The node's name is long, and the address mostly enough: the JSON has both.
    let address = peer.address.split("/p2p/").next().unwrap_or(&peer.address).to_owned();
    [
        address,
        if peer.outbound { "out" } else { "in" }.to_owned(),
        peer.latency_ms.map_or_else(|| "-".to_owned(), |latency| format!("{latency:.0} ms")),
        peer.score.to_string(),
        peer.height.to_string(),
        peer.agent.clone(),
        duration(Duration::from_secs(peer.seconds)),
        format!("{} / {}", bytes(peer.bytes_in), bytes(peer.bytes_out)),
    ]
}

/// Says how far a node with so many peers is, with an estimate while it is behind.
pub fn progress(sync: &SyncBody, peers: usize) -> String {
    let SyncBody { phase, headers, blocks, target, blocks_per_second, headers_per_second, seconds_left, ahead_seconds } =
        sync;
    match phase.as_str() {
        "headers" => format!("headers {headers} of {target}, {headers_per_second:.0} a second"),
        "blocks" => {
            let left = seconds_left.map_or_else(String::new, |seconds| {
                format!(", {} left", duration(Duration::from_secs_f64(seconds.clamp(0.0, 1e9))))
            });
            format!("blocks {blocks} of {target}, {blocks_per_second:.0} a second{left}")
        }
        _ if target > blocks => match ahead_seconds {
            Some(seconds) => {
                let ahead = duration(Duration::from_secs(*seconds));
                format!("height {blocks} of {target}: the next header is {ahead} too far ahead of this machine's time")
            }
            None => format!("height {blocks} of {target}: the rest does not come"),
        },
        _ if peers == 0 => format!("height {blocks}, no peer is connected"),
        _ => format!("height {blocks}, nothing is missing"),
    }
}

/// Says a span of time in its two largest units, rounded down.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// Says a number of bytes in the unit that fits.
pub fn bytes(count: u64) -> String {
    let scaled =
        [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")].into_iter().find(|(unit, _)| count >= *unit);
    scaled.map_or_else(|| format!("{count} B"), |(unit, name)| format!("{:.1} {name}", count as f64 / unit as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn peers_are_shown_as_a_table() {
        let peer = |address: &str, latency_ms| PeerBody {
            node: "12D3KooWA".to_owned(),
            address: format!("{address}/p2p/12D3KooWA"),
            outbound: latency_ms > 5.0,
            agent: "adit/0.1.0".to_owned(),
            latency_ms: Some(latency_ms),
            score: 0,
            height: 120,
            tip: "00".repeat(32),
            seconds: 3725,
            bytes_in: 2048,
            bytes_out: 5 << 20,
            dropped: 0,
        };
        let answer = PeersResponse {
            enabled: true,
            node: Some("12D3KooWB".to_owned()),
            listening: vec!["/ip4/127.0.0.1/tcp/8647".to_owned()],
            peers: vec![peer("/ip4/203.0.113.7/tcp/8647", 31.2), peer("/ip4/10.0.0.9/tcp/40001", 0.4)],
            addresses: 14,
            named: Vec::new(),
            sync: SyncBody {
                phase: "blocks".to_owned(),
                headers: 120,
                blocks: 60,
                target: 120,
                headers_per_second: 0.0,
                blocks_per_second: 6.0,
                seconds_left: Some(10.0),
                ahead_seconds: None,
            },
        };
        expect![[r#"
            node       12D3KooWB
            reached at /ip4/127.0.0.1/tcp/8647
            chain      blocks 60 of 120, 6 a second, 10 s left
            peers      2, 14 addresses known

            address                    way  latency  score  height  agent       for        in / out
            /ip4/203.0.113.7/tcp/8647  out  31 ms    0      120     adit/0.1.0  1 h 2 min  2.0 KiB / 5.0 MiB
            /ip4/10.0.0.9/tcp/40001    in   0 ms     0      120     adit/0.1.0  1 h 2 min  2.0 KiB / 5.0 MiB
        "#]]
        .assert_eq(&table(&answer));
    }
    fn idle(blocks: u64, target: u64, ahead_seconds: Option<u64>) -> SyncBody {
        let (phase, seconds_left) = ("idle".to_owned(), None);
        let (headers_per_second, blocks_per_second) = (0.0, 0.0);
        SyncBody {
            phase,
            headers: blocks,
            blocks,
            target,
            headers_per_second,
            blocks_per_second,
            seconds_left,
            ahead_seconds,
        }
    }

    #[test]
    fn nothing_is_missing_only_where_a_peer_is_connected_and_has_no_more() {
        assert_eq!(progress(&idle(11, 11, None), 1), "height 11, nothing is missing");
        assert_eq!(progress(&idle(11, 11, None), 0), "height 11, no peer is connected");
        assert_eq!(progress(&idle(0, 11, None), 1), "height 0 of 11: the rest does not come");
        let ahead = "height 0 of 11: the next header is 1 h 2 min too far ahead of this machine's time";
        assert_eq!(progress(&idle(0, 11, Some(3725)), 1), ahead);
    }

    #[test]
    fn without_peers_it_is_shown_what_became_of_the_named_addresses() {
        let named = |address: &str, connected, failure: Option<&str>| NamedBody {
            address: address.to_owned(),
            connected,
            failure: failure.map(str::to_owned),
        };
        let answer = PeersResponse {
            enabled: true,
            node: Some("12D3KooWB".to_owned()),
            listening: Vec::new(),
            peers: Vec::new(),
            addresses: 2,
            named: vec![
                named("/ip4/127.0.0.1/tcp/1", false, Some("Connection refused (os error 111)")),
                named("/dns/seed.example/tcp/8647", false, None),
            ],
            sync: idle(0, 0, None),
        };
        expect![[r#"
            node       12D3KooWB
            chain      height 0, no peer is connected
            peers      0, 2 addresses known
            named      /ip4/127.0.0.1/tcp/1: Connection refused (os error 111)
            named      /dns/seed.example/tcp/8647: it is to be called
        "#]]
        .assert_eq(&table(&answer));
    }
}
