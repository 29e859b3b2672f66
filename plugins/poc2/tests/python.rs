//! The same nonce by a page of Python: `tests/space/poc2.py`.

use adit_plugin_poc2::Poc2;
use adit_plugin_sdk::HashAlgorithm;
use std::process::Command;

const ACCOUNT: u64 = 7_900_104_405_094_198_526;
const NUMBER: u64 = 1_352;
const SCOOP: u32 = 1_234;
const CHALLENGE: [u8; 32] = [0xa7; 32];

#[test]
fn another_language_finds_the_same_quality_slow() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/space/poc2.py");
    let challenge: String = CHALLENGE.iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers = [ACCOUNT.to_string(), NUMBER.to_string(), SCOOP.to_string(), challenge];
    let output = match Command::new("python3").arg(script).args(numbers).output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "python3: {error}");
            return eprintln!("NOT RUN: python3 is missing");
        }
    };
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let input = [&ACCOUNT.to_le_bytes()[..], &NUMBER.to_le_bytes(), &SCOOP.to_le_bytes(), &CHALLENGE].concat();
    let quality = u64::from_le_bytes(Poc2.digest(&input).0[24..].try_into().unwrap());
    assert_eq!(said.lines().nth(1), Some(quality.to_string().as_str()));
}
