//! The interface that the world `quorum-plugin` has besides `shares-plugin`.

use super::{Exported, with};
use crate::QuorumPolicy;
use adit_primitives::contract::quorum::{CheckPlan, CheckQuestion};
use adit_primitives::contract::{read_rows, rows};

#[allow(unsafe_code, unused_qualifications, clippy::all, missing_docs)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package adit:sdk-quorum;
            world quorum {
                export adit:plugin/quorum@0.1.0;
            }
        ",
        pub_export_macro: true,
        export_macro_name: "export_quorum_world",
        generate_all,
    });
}

impl<E: Exported<Plugin: QuorumPolicy>> bindings::exports::adit::plugin::quorum::Guest for E {
    fn terms() -> Vec<u8> {
        rows(&[with::<E, _>(|policy| policy.terms())])
    }

    fn plan_many(questions: Vec<u8>) -> Vec<u8> {
        let questions: Vec<CheckQuestion> = read_rows(&questions).expect("the host packs questions by the contract");
        let plans: Vec<CheckPlan> =
            with::<E, _>(|policy| questions.iter().map(|question| policy.plan(question)).collect());
        rows(&plans)
    }
}
