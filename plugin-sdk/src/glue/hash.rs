//! The world `hash-plugin`.

use super::{Exported, from_hash, to_hash, types, with};
use crate::HashAlgorithm;
use adit_primitives::contract::SearchJob;
use adit_primitives::{Decode, Encode, Hash256};

#[allow(unsafe_code, unused_qualifications, clippy::all, missing_docs)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package adit:sdk-hash;
            world hash {
                export adit:plugin/hash@0.1.0;
            }
        ",
        with: { "adit:plugin/types@0.1.0": crate::glue::types },
        pub_export_macro: true,
        export_macro_name: "export_hash_world",
        generate_all,
    });
}

impl<E: Exported<Plugin: HashAlgorithm>> bindings::exports::adit::plugin::hash::Guest for E {
    fn prepare(epoch: u64, seed: types::Hash256) {
        with::<E, _>(|plugin| plugin.prepare(epoch, Hash256(from_hash(seed))));
    }

    fn digest(input: Vec<u8>) -> types::Hash256 {
        with::<E, _>(|plugin| to_hash(&plugin.digest(&input).0))
    }

    fn digest_many(inputs: Vec<u8>, each: u32) -> Vec<u8> {
        let each = each as usize;
        let mut digests = Vec::with_capacity(inputs.len() / each.max(1));
        with::<E, _>(|plugin| plugin.digest_many(&inputs, each, &mut digests));
        digests.iter().flat_map(|digest| digest.0).collect()
    }

    fn search(job: Vec<u8>, first: u64, count: u64) -> Vec<u8> {
        let job = SearchJob::from_bytes(&job).expect("the host packs jobs by the contract");
        with::<E, _>(|plugin| plugin.search(&job, first, count)).to_bytes()
    }
}
