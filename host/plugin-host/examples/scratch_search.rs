#![allow(unsafe_code)]
use adit_plugin_host::{PluginSource, Sandbox, Settings};
use adit_primitives::contract::SearchJob;
use adit_primitives::engine::HashEngine;
use adit_primitives::{Target, U256};
unsafe extern "C" { fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32; }
fn now() -> u128 {
    let mut time = [0i64; 2];
    unsafe { clock_gettime(2, &mut time) };
    time[0] as u128 * 1_000_000_000 + time[1] as u128
}
fn main() {
    let sandbox = Sandbox::new(Settings::STANDARD).unwrap();
    for name in std::env::args().skip(1) {
        let (name, path) =
            name.split_once('=').map(|(n, p)| (n.to_owned(), Some(p.to_owned()))).unwrap_or((name, None));
        let bytes = match path {
            Some(path) => std::fs::read(path).unwrap(),
            None => adit_plugin_bundle::find(&name).unwrap().bytes.to_vec(),
        };
        println!("{name}: component of {} bytes", bytes.len());
        let start = std::time::Instant::now();
        let mut engine = sandbox.load(&PluginSource { bytes, pinned: None }).unwrap().hash("{}").unwrap();
        println!("loaded in {:?}", start.elapsed());
        for inputs in [1u8, 4, 16] {
            let header = |version| {
                let mut bytes: Vec<u8> = (0..80).collect();
                bytes[1] = version;
                bytes
            };
            let job = SearchJob {
                inputs: (0..inputs).map(header).collect(),
                nonce_offset: 76,
                nonce_bytes: 4,
                target: Target(U256::ZERO),
            };
            let count = if name == "scrypt" {
                2000
            } else if name == "blake3" {
                6_000_000
            } else {
                1_000_000
            };
            let mut rates: Vec<u128> = (0..7)
                .map(|_| {
                    let start = now();
                    let scan = engine.search(&job, 0, count / u64::from(inputs)).unwrap();
                    let spent = now() - start; if inputs == 1 { println!("{} in {spent} ns", scan.scanned); } u128::from(scan.scanned) * u128::from(inputs) * 1_000_000 / spent
                })
                .collect();
            rates.sort();
            println!("sandbox {inputs:>2} inputs: {rates:?} kH/s");
        }
        let inputs = vec![7u8; 80 * 1024];
        let mut digests = Vec::new();
        let start = now();
        let rounds = if name == "scrypt" { 1 } else { 400 };
        for _ in 0..rounds {
            digests.clear();
            engine.digest_many(&inputs, 80, &mut digests).unwrap();
        }
        println!("sandbox digest_many: {} kH/s", rounds * 1024 * 1_000_000 / (now() - start));
    }
}
