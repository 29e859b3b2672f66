use super::*;
use poc2::SCOOPS;
use sha2::{Digest, Sha256};

/// Of the vector that is published with PoC2.
const ACCOUNT: u64 = 7_900_104_405_094_198_526;
const FIRST: u64 = 1_337;
const NONCES: usize = 32;
const PLOT: &str = "eebdf7dce694cbea9539f71efc362d4b72f8792def335d7157dadb09bb6d9e5f";

/// The scoops of nonces that lie group by group, as one plot has them.
fn joined(groups: &[Vec<u8>]) -> Vec<u8> {
    let each = groups[0].len() / SCOOPS;
    (0..SCOOPS)
        .flat_map(|scoop| groups.iter().flat_map(move |group| &group[scoop * each..(scoop + 1) * each]))
        .copied()
        .collect()
}

fn plot(backend: Backend, nonces: usize) -> Vec<u8> {
    let group = |first: usize| {
        let mut scoops = vec![0; backend.lanes() * NONCE_BYTES];
        backend.plot(ACCOUNT, FIRST + first as u64, &mut scoops);
        scoops
    };
    joined(&(0..nonces).step_by(backend.lanes()).map(group).collect::<Vec<_>>())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_published_plot_is_reproduced() {
    // The widest way alone: the others are equal to it by another test, at less work.
    let backend = Backend::all()[0];
    assert_eq!(hex(&Sha256::digest(plot(backend, NONCES))), PLOT);
}

#[test]
fn every_way_makes_the_same_nonces() {
    let wide = Backend::all()[0];
    let first = plot(wide, wide.lanes());
    for backend in Backend::all() {
        let own = plot(backend, backend.lanes());
        let (each, wide_each) = (backend.lanes() * SCOOP_BYTES, wide.lanes() * SCOOP_BYTES);
        for (own, wide) in own.chunks(each).zip(first.chunks(wide_each)) {
            assert_eq!(own, &wide[..each], "{}", backend.name());
        }
    }
}

#[test]
fn every_way_finds_the_same_qualities_in_any_number_of_scoops() {
    let scoops: Vec<u8> = (0..37 * SCOOP_BYTES).map(|index| (index * index >> 3) as u8).collect();
    let ways: Vec<Vec<u64>> = Backend::all()
        .into_iter()
        .map(|backend| {
            let mut qualities = vec![0; 37];
            backend.qualities(&[9; 32], &scoops, &mut qualities);
            qualities
        })
        .collect();
    assert!(ways.iter().all(|qualities| *qualities == ways[0]));
    assert!(ways[0].windows(2).all(|pair| pair[0] != pair[1]));
}
