//! `adit stats`: what a node did over its newest blocks.

use crate::config;
use crate::sandbox;
use adit_node::client::AnyNode;
use adit_node::settings::NodeSettings;
use adit_node::statistics::StatisticsReport;
use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};

#[derive(clap::Args)]
pub struct StatsArguments {
    /// The chain whose node to ask, as its `node.api` says.
    chain: Option<PathBuf>,
    /// The node to ask, whatever its chain; without it and without a chain, the one at the usual address.
    #[arg(long, value_name = "URL")]
    node: Option<String>,
    /// A PEM file of authorities that sign the node's certificate. Without it, the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Shows the figures, as text or as JSON.
pub fn run(arguments: &StatsArguments, json: bool) -> Result<ExitCode> {
    let url = match (&arguments.node, &arguments.chain) {
        (Some(url), _) => url.clone(),
        (None, Some(chain)) => url_of(&config::read(chain, &sandbox::open()?)?.into_chain()?.settings.node),
        (None, None) => url_of(&NodeSettings::unset()),
    };
    let report: StatisticsReport = ask(&url, arguments.ca_file.as_deref(), "stats")?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns where a node with these settings is reached.
pub fn url_of(node: &NodeSettings) -> String {
    let scheme = if node.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", node.api)
}

/// Asks a node, whatever its chain.
pub fn ask<A: DeserializeOwned>(url: &str, ca_file: Option<&Path>, path: &str) -> Result<A> {
    let node = AnyNode::new(url, ca_file)?;
    runtime()?.block_on(node.ask(path)).with_context(|| format!("the node at {url} gives no answer"))
}

/// Returns what a command waits for answers with.
pub fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("no runtime")
}
