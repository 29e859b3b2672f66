//! Payout and share plugins written by hand, function by function.

use crate::guest::{component_of, load, sandbox};
use adit_plugin_host::{Plugin, Sandbox};
use std::sync::Arc;

/// What every guest answers unless told otherwise.
const TRAP: &str = "unreachable";

/// The whole of `data`, as a list of bytes.
pub const DATA: &str = "(call $list (i32.const 4096) (global.get $data))";

/// A guest whose functions trap where they are not given. `$list` gives the pointer to a pair of pointer and length.
#[derive(Clone, Default)]
pub struct ServiceGuest {
    pub plan: Option<&'static str>,
    pub weigh: Option<&'static str>,
    pub split: Option<&'static str>,
    pub settle: Option<&'static str>,
    pub judge: Option<&'static str>,
    pub retarget: Option<&'static str>,
    /// Bytes at address 4096.
    pub data: Vec<u8>,
}

impl ServiceGuest {
    #[track_caller]
    pub fn payout(&self) -> Plugin {
        self.payout_in(&sandbox())
    }

    #[track_caller]
    pub fn payout_in(&self, sandbox: &Arc<Sandbox>) -> Plugin {
        let [plan, weigh, split, settle] =
            [self.plan, self.weigh, self.split, self.settle].map(|body| body.unwrap_or(TRAP));
        let exports = format!(
            r#"(func (export "adit:plugin/payout@0.1.0#get-plan") (result i32) {plan})
            (func (export "adit:plugin/payout@0.1.0#weigh") (param i32 i32) (result i32) {weigh})
            (func (export "adit:plugin/payout@0.1.0#split")
                (param i64 i32 i64 i64 i64 i64 i64 i32 i32) (result i32) {split})
            (func (export "adit:plugin/payout@0.1.0#settle")
                (param i32 i32 i64 i64 i64 i64 i64 i64) (result i32) {settle})"#
        );
        load(sandbox, component_of(&self.text(2, &exports), "payout-plugin")).unwrap()
    }

    #[track_caller]
    pub fn shares(&self) -> Plugin {
        let [judge, retarget] = [self.judge, self.retarget].map(|body| body.unwrap_or(TRAP));
        let exports = format!(
            r#"(func (export "adit:plugin/shares@0.1.0#judge-many") (param i32 i32) (result i32) {judge})
            (func (export "adit:plugin/shares@0.1.0#retarget-many") (param i32 i32) (result i32) {retarget})"#
        );
        load(&sandbox(), component_of(&self.text(3, &exports), "shares-plugin")).unwrap()
    }

    fn text(&self, kind: u8, exports: &str) -> String {
        let data: String = self.data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let length = self.data.len();
        let heap = (4096 + length).next_multiple_of(65536);
        let pages = heap / 65536 + 3;
        format!(
            r#"(module
            (import "adit:plugin/diagnostics@0.1.0" "panicked" (func $panicked (param i32 i32)))
            (memory (export "memory") {pages})
            (global $data i32 (i32.const {length}))
            (global $heap (mut i32) (i32.const {heap}))
            (data (i32.const 1024) "\00\08\00\00\05\00\00\00\20\08\00\00\05\00\00\00\{kind:02x}\00\00\00\20\08\00\00\05\00\00\00")
            (data (i32.const 1060) "\40\08\00\00\02\00\00\00")
            (data (i32.const 2048) "guest")
            (data (i32.const 2080) "0.0.1")
            (data (i32.const 2112) "{{}}")
            (data (i32.const 4096) "{data}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
                (global.set $heap (i32.add (local.get $at) (local.get 3)))
                (local.get $at))
            (func $list (param $at i32) (param $length i32) (result i32)
                (i32.store (i32.const 1300) (local.get $at))
                (i32.store (i32.const 1304) (local.get $length))
                (i32.const 1300))
            (func (export "adit:plugin/plugin@0.1.0#describe") (result i32) (i32.const 1024))
            (func (export "adit:plugin/plugin@0.1.0#schema") (result i32) (i32.const 1060))
            (func (export "adit:plugin/plugin@0.1.0#configure") (param i32 i32) (result i32) (i32.const 1100))
            {exports})"#
        )
    }
}
