//! What rules say besides where plots win blocks: in the sandbox, by a fresh instance for each question, as all that rules say.

use crate::abi::{SpaceContract, v0_1};
use crate::consensus::{check_header, check_verdict};
use crate::instance::{Guest, Instance, broken};
use crate::load::{ConfigureError, Loaded};
use crate::view::Window;
use adit_primitives::contract::space::{Challenge, Registration, SpaceProof};
use adit_primitives::contract::{Violation, read_rows};
use adit_primitives::engine::{Fault, FaultClass, SharedView, SpaceRules};
use adit_primitives::{BlockId, Decode, Encode, Timestamp};
use std::sync::Arc;
use wasmtime::Store;

/// The most plots that a header may register.
const REGISTRATIONS_MAX: usize = 1_024;

/// The further face of a consensus plugin. Any number of threads may ask it.
#[derive(Debug)]
pub(crate) struct SandboxedSpace {
    plugin: Arc<Loaded>,
    config: String,
}

impl SandboxedSpace {
    pub(crate) fn start(plugin: Arc<Loaded>, config: &str) -> Result<Self, ConfigureError> {
        plugin.start_space(config)?;
        Ok(Self { plugin, config: config.to_owned() })
    }

    /// Asks, and asks once more where the plugin fails.
    fn ask<T>(
        &self,
        function: &'static str,
        view: Option<&SharedView>,
        call: impl Fn(&v0_1::Space, &mut Store<Guest>) -> wasmtime::Result<Result<Vec<u8>, Violation>>,
        check: impl Fn(Vec<u8>) -> Result<T, String>,
    ) -> Result<Result<T, Violation>, Fault> {
        let once = || {
            let mut instance = self.instance()?;
            let limits = &self.plugin.sandbox.rules.limits;
            instance.set_window(match view {
                Some(view) => Window::open(limits, Arc::clone(view)),
                None => Window::closed(limits),
            });
            let answer = instance.call(function, 1, &call)?;
            check_verdict(answer, &check).map_err(|detail| broken(&self.plugin.label, function, detail))
        };
        match once() {
            Err(Fault { class: FaultClass::Plugin, .. }) => once(),
            answer => answer,
        }
    }

    fn instance(&self) -> Result<Instance<v0_1::Space>, Fault> {
        self.plugin.start_space(&self.config).map_err(|error| match error {
            ConfigureError::Fault(fault) => fault,
            // The same text was taken before: an instance that thinks otherwise is no pure function.
            other => broken(&self.plugin.label, "configure", other),
        })
    }
}

impl SpaceRules for SandboxedSpace {
    fn challenge(
        &self,
        view: &SharedView,
        parents: &[BlockId],
        time: Timestamp,
    ) -> Result<Result<Challenge, Violation>, Fault> {
        self.ask(
            "challenge",
            Some(view),
            |contract, store| contract.challenge(store, parents, time),
            |answer| read_challenge(&answer, time),
        )
    }

    fn registered(&self, header: &[u8]) -> Result<Result<Vec<Registration>, Violation>, Fault> {
        self.ask(
            "registered",
            None,
            |contract, store| contract.registered(store, header),
            |answer| {
                let plots: Vec<Registration> = read_rows(&answer).map_err(|error| error.to_string())?;
                let count = plots.len();
                if count > REGISTRATIONS_MAX {
                    return Err(format!("{count} plots, {REGISTRATIONS_MAX} are allowed"));
                }
                Ok(plots)
            },
        )
    }

    fn prove(&self, header: &[u8], proof: &SpaceProof) -> Result<Result<Vec<u8>, Violation>, Fault> {
        let packed = proof.to_bytes();
        self.ask("prove", None, |contract, store| contract.prove(store, header, &packed), check_header)
    }
}

/// Reads a challenge, which must be one for the time that was asked about.
fn read_challenge(answer: &[u8], time: Timestamp) -> Result<Challenge, String> {
    let challenge = Challenge::from_bytes(answer).map_err(|error| error.to_string())?;
    if (challenge.opens..challenge.closes).contains(&time) {
        return Ok(challenge);
    }
    Err(format!("a challenge from {:?} to {:?} for {time:?}", challenge.opens, challenge.closes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_primitives::contract::space::PlotKind;
    use adit_primitives::{Hash256, Target, U256};

    #[track_caller]
    fn check(opens: u64, closes: u64, fits: bool) {
        let challenge = Challenge {
            plots: PlotKind::Hard,
            challenge: Hash256([7; 32]),
            target: Target(U256::from(9u64)),
            opens: Timestamp::from_millis(opens),
            closes: Timestamp::from_millis(closes),
            registered_by: None,
            registrations_max: 0,
        };
        let read = read_challenge(&challenge.to_bytes(), Timestamp::from_millis(1_000));
        assert_eq!(read.ok(), fits.then_some(challenge));
    }

    #[test]
    fn a_challenge_for_another_time_is_a_fault() {
        check(1_000, 1_001, true);
        check(1, 9_000, true);
        check(1_001, 9_000, false);
        check(1, 1_000, false);
        check(1_000, 1_000, false);
    }
}
