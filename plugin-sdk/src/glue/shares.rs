//! The world `shares-plugin`.

use super::{Exported, with};
use crate::ShareValidator;
use adit_primitives::contract::shares::{Claim, Judgement, WorkHistory};
use adit_primitives::contract::{read_rows, rows};

#[allow(unsafe_code, unused_qualifications, clippy::all, missing_docs)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package adit:sdk-shares;
            world shares {
                export adit:plugin/shares@0.1.0;
            }
        ",
        pub_export_macro: true,
        export_macro_name: "export_shares_world",
        generate_all,
    });
}

impl<E: Exported<Plugin: ShareValidator>> bindings::exports::adit::plugin::shares::Guest for E {
    fn judge_many(claims: Vec<u8>) -> Vec<u8> {
        let claims: Vec<Claim> = read_rows(&claims).expect("the host packs claims by the contract");
        let judgements: Vec<Judgement> =
            with::<E, _>(|validator| claims.iter().map(|claim| validator.judge(claim)).collect());
        rows(&judgements)
    }

    fn retarget_many(histories: Vec<u8>) -> Vec<u8> {
        let histories: Vec<WorkHistory> = read_rows(&histories).expect("the host packs histories by the contract");
        with::<E, _>(|validator| histories.iter().map(|history| validator.retarget(history).to_log2_hashes()).collect())
    }
}
