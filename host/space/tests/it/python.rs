//! The same plot by a page of Python: `tests/space/plot.py`.

use super::engine;
use adit_space::Silent;
use adit_space::plain::{Order, PlainPlot, make};
use adit_space::tree::SUBTREE;
use std::process::Command;

#[test]
fn another_language_finds_the_same_root_and_the_same_proof() {
    let folder = tempfile::tempdir().unwrap();
    let order = Order { folder: folder.path(), key: [8; 32], seed: [9; 32], bytes: 110_000, threads: 1, reserve: 0 };
    let path = make(&order, &engine(), &Silent).unwrap();
    let plot = PlainPlot::finished(&path).unwrap();
    let index = plot.header().leaves - SUBTREE / 3;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/space/plot.py");
    let output = match Command::new("python3").arg(script).arg(&path).arg(index.to_string()).output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "python3: {error}");
            return eprintln!("NOT RUN: python3 is missing");
        }
    };
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let proof = plot.prove(&engine(), index).unwrap();
    let path = proof.path.iter().map(|node| hex(node)).collect::<Vec<_>>();
    let want = format!("{}\n{}\n{}\n", hex(&plot.header().root), hex(&proof.leaf), path.join(" "));
    assert_eq!(said, want);
}
