//! The world `consensus-plugin`.

use super::{Exported, from_hash, to_hash, types, with};
use crate::judge::judge;
use crate::{Candidate, ChainView, Consensus, Draft, HeaderView, Height, KnownBlock, Stamp, Timestamp, Violation};
use adit_primitives::contract::{read_rows, rows};
use adit_primitives::{BlockId, Decode, Hash256};
use bindings::adit::plugin::chain_view;

#[allow(unsafe_code, unused_qualifications, clippy::all, missing_docs)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package adit:sdk-consensus;
            world consensus {
                import adit:plugin/chain-view@0.1.0;
                export adit:plugin/rules@0.1.0;
            }
        ",
        with: { "adit:plugin/types@0.1.0": crate::glue::types },
        pub_export_macro: true,
        export_macro_name: "export_consensus_world",
        generate_all,
    });
}

impl<E: Exported<Plugin: Consensus>> bindings::exports::adit::plugin::rules::Guest for E {
    fn genesis() -> Vec<u8> {
        with::<E, _>(|rules| rules.genesis())
    }

    fn decode_many(headers: Vec<u8>) -> Vec<u8> {
        let headers: Vec<Vec<u8>> = read_rows(&headers).expect("the host packs headers by the contract");
        let views: Vec<Result<HeaderView, Violation>> =
            with::<E, _>(|rules| headers.iter().map(|header| rules.decode(header)).collect());
        rows(&views)
    }

    fn place_many(candidates: Vec<u8>) -> Vec<u8> {
        let candidates: Vec<Candidate> = read_rows(&candidates).expect("the host packs candidates by the contract");
        rows(&with::<E, _>(|rules| judge(rules, &HostView, &candidates)))
    }

    fn next(tips: Vec<types::Hash256>, wish: Option<u64>) -> Result<types::Requirements, types::Violation> {
        let tips: Vec<BlockId> = tips.into_iter().map(|tip| BlockId(from_hash(tip))).collect();
        let next = with::<E, _>(|rules| rules.next(&HostView, &tips, wish)).map_err(to_violation)?;
        let [w0, w1, w2, w3] = *next.target.0.as_limbs();
        Ok(types::Requirements {
            parents: next.parents.iter().map(|parent| to_hash(&parent.0)).collect(),
            bits: next.bits,
            target: types::U256 { w0, w1, w2, w3 },
            difficulty: next.difficulty,
            earliest: next.earliest.to_millis(),
            height: next.height.0,
            subsidy: next.subsidy,
        })
    }

    fn encode(draft: types::Draft) -> Result<types::HeaderTemplate, types::Violation> {
        let draft = Draft {
            parents: draft.parents.into_iter().map(|parent| BlockId(from_hash(parent))).collect(),
            bits: draft.bits,
            time: Timestamp::from_millis(draft.time),
            body_root: Hash256(from_hash(draft.body_root)),
        };
        let template = with::<E, _>(|rules| rules.encode(&draft)).map_err(to_violation)?;
        let [w0, w1, w2, w3] = *template.target.0.as_limbs();
        Ok(types::HeaderTemplate {
            header: template.header,
            pow: types::PowInput {
                bytes: template.pow.bytes,
                nonce_offset: template.pow.nonce_offset,
                nonce_bytes: template.pow.nonce_bytes,
                roll_offset: template.pow.roll_offset,
                roll_mask: template.pow.roll_mask,
            },
            target: types::U256 { w0, w1, w2, w3 },
        })
    }

    fn difficulty(bits: u32) -> Result<String, types::Violation> {
        with::<E, _>(|rules| rules.difficulty(bits)).map_err(to_violation)
    }

    fn seal(header: Vec<u8>, nonce: u64, rolled: u32) -> Result<Vec<u8>, types::Violation> {
        with::<E, _>(|rules| rules.seal(&header, nonce, rolled)).map_err(to_violation)
    }
}

pub(super) fn to_violation(violation: Violation) -> types::Violation {
    types::Violation { rule: violation.rule, detail: violation.detail }
}

/// The host's blocks, asked one call at a time.
pub(super) struct HostView;

/// The host is trusted by its plugins: an answer that breaks the contract is a bug there, and traps here.
const SOUND: &str = "the host packs its answers by the contract";

impl ChainView for HostView {
    fn horizon(&self) -> Height {
        Height(chain_view::horizon())
    }

    fn block(&self, id: BlockId) -> Option<KnownBlock> {
        self.blocks(&[id]).pop().flatten()
    }

    fn blocks(&self, ids: &[BlockId]) -> Vec<Option<KnownBlock>> {
        read_rows(&chain_view::blocks(&rows(ids))).expect(SOUND)
    }

    fn is_ancestor(&self, ancestor: BlockId, descendant: BlockId) -> bool {
        self.ancestry(&[ancestor], &[descendant]) == [true]
    }

    fn stamps(&self, ids: &[BlockId]) -> Vec<Option<Stamp>> {
        read_rows(&chain_view::stamps(&rows(ids))).expect(SOUND)
    }

    fn ancestry(&self, ancestors: &[BlockId], descendants: &[BlockId]) -> Vec<bool> {
        chain_view::ancestry(&rows(ancestors), &rows(descendants)).into_iter().map(|answer| answer == 1).collect()
    }

    fn merge_set(&self, selected: BlockId, parents: &[BlockId], max: u32) -> Option<Vec<Stamp>> {
        Option::from_bytes(&chain_view::merge_set(to_hash(&selected.0), &rows(parents), max)).expect(SOUND)
    }

    fn selected_past(&self, from: BlockId, count: u32) -> Vec<KnownBlock> {
        read_rows(&chain_view::selected_past(to_hash(&from.0), count)).expect(SOUND)
    }

    fn selected_ancestor(&self, from: BlockId, height: Height) -> Option<KnownBlock> {
        Option::from_bytes(&chain_view::selected_ancestor(to_hash(&from.0), height.0)).expect(SOUND)
    }
}
