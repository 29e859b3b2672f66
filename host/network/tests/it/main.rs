//! The machine, several at a time, over a network that is one queue of events.

mod bounds;
mod chain;
mod greeting;
mod hostile;
mod relay;
mod sync;
mod world;

use adit_network::{Settings, Strategies};

/// Settings as an operator gets them.
fn settings() -> Settings {
    Settings::standard("adit test".to_owned())
}

fn with(strategies: Strategies) -> Settings {
    Settings { strategies, ..settings() }
}
