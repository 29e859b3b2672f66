//! The world `payout-plugin`.

use super::{Exported, types, with};
use crate::PayoutScheme;
use adit_primitives::contract::payout::{
    AccountId, Economics, FoundBlock, PayoutPlan, Pays, ShareToWeigh, Weight, Window,
};
use adit_primitives::contract::{read_rows, rows};
use adit_primitives::{Height, U256, Work};
use bindings::exports::adit::plugin::payout as wit;

#[allow(unsafe_code, unused_qualifications, clippy::all, missing_docs)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package adit:sdk-payout;
            world payout {
                export adit:plugin/payout@0.1.0;
            }
        ",
        with: { "adit:plugin/types@0.1.0": crate::glue::types },
        pub_export_macro: true,
        export_macro_name: "export_payout_world",
        generate_all,
    });
}

/// What holds for every row that the host hands over.
const PACKED: &str = "the host packs rows by the contract";

impl<E: Exported<Plugin: PayoutScheme>> wit::Guest for E {
    fn get_plan() -> wit::Plan {
        with::<E, _>(|scheme| to_plan(&scheme.plan()))
    }

    fn weigh(shares: Vec<u8>) -> Vec<u8> {
        let shares: Vec<ShareToWeigh> = read_rows(&shares).expect(PACKED);
        with::<E, _>(|scheme| shares.iter().flat_map(|share| scheme.weigh(share).to_le_bytes()).collect())
    }

    fn split(block: wit::FoundBlock, weights: Vec<u8>) -> Vec<u8> {
        let weights: Vec<Weight> = read_rows(&weights).expect(PACKED);
        let block = FoundBlock {
            height: Height(block.height),
            finder: AccountId(block.finder),
            distributable: block.distributable,
            work: to_work(block.work),
        };
        rows(&with::<E, _>(|scheme| scheme.split(&block, &weights)))
    }

    fn settle(shares: Vec<u8>, economics: wit::Economics) -> Vec<u8> {
        let shares: Vec<Weight> = read_rows(&shares).expect(PACKED);
        let economics =
            Economics { subsidy: economics.subsidy, mean_fees: economics.mean_fees, work: to_work(economics.work) };
        rows(&with::<E, _>(|scheme| scheme.settle(&shares, &economics)))
    }
}

fn to_plan(plan: &PayoutPlan) -> wit::Plan {
    wit::Plan {
        pays: match plan.pays {
            Pays::Blocks => wit::Pays::Blocks,
            Pays::Shares => wit::Pays::Shares,
        },
        window: match plan.window {
            Window::None => wit::Window::None,
            Window::SinceBlock => wit::Window::SinceBlock,
            Window::LastWork { thousandths } => wit::Window::LastWork(thousandths),
        },
        weighs: plan.weighs,
    }
}

fn to_work(work: types::U256) -> Work {
    Work(U256::from_limbs([work.w0, work.w1, work.w2, work.w3]))
}
