//! The interface that the world `space-plugin` has besides `consensus-plugin`.

use super::consensus::{HostView, to_violation};
use super::{Exported, from_hash, types, with};
use crate::space::SpaceProof;
use crate::{BlockId, ProofOfSpace, Timestamp};
use adit_primitives::contract::rows;
use adit_primitives::{Decode, Encode};

#[allow(unsafe_code, unused_qualifications, clippy::all, missing_docs)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package adit:sdk-space;
            world space {
                export adit:plugin/space@0.1.0;
            }
        ",
        with: { "adit:plugin/types@0.1.0": crate::glue::types },
        pub_export_macro: true,
        export_macro_name: "export_space_world",
        generate_all,
    });
}

impl<E: Exported<Plugin: ProofOfSpace>> bindings::exports::adit::plugin::space::Guest for E {
    fn challenge(parents: Vec<types::Hash256>, time: u64) -> Result<Vec<u8>, types::Violation> {
        let parents: Vec<BlockId> = parents.into_iter().map(|parent| BlockId(from_hash(parent))).collect();
        let time = Timestamp::from_millis(time);
        let asked = with::<E, _>(|rules| rules.challenge(&HostView, &parents, time)).map_err(to_violation)?;
        Ok(asked.to_bytes())
    }

    fn registered(header: Vec<u8>) -> Result<Vec<u8>, types::Violation> {
        with::<E, _>(|rules| rules.registered(&header)).map(|plots| rows(&plots)).map_err(to_violation)
    }

    fn prove(header: Vec<u8>, proof: Vec<u8>) -> Result<Vec<u8>, types::Violation> {
        let proof = SpaceProof::from_bytes(&proof).expect("the host packs proofs by the contract");
        with::<E, _>(|rules| rules.prove(&header, &proof)).map_err(to_violation)
    }
}
