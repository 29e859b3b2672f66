//! Headers: their formats, the genesis, templates and seals.

use crate::native::chain;
use crate::network::{Network, rule};
use adit_plugin_sdk::{BlockId, Consensus, Draft, Hash256, Height, Timestamp, U256, Work, sha256d};
use adit_tests::conformance::Example;
use adit_tests::recorded::from_hex;

const CHAINS: [&str; 6] = ["chaincore", "bitcoin", "bitcoin-testnet", "bitcoin-cash", "litecoin", "litecoin-regtest"];

#[test]
fn every_example_begins_with_its_genesis() {
    for chain in CHAINS {
        let network = Network::new(&Example::read(chain).config);
        let genesis = network.chain.tip().expect("the genesis was placed");
        assert_eq!((genesis.height, genesis.parents.len()), (Height(0), 0), "{chain}");
    }
}

#[test]
fn bitcoins_genesis_has_its_known_id() {
    let network = Network::new(&Example::read("bitcoin").config);
    let id = network.chain.tip().expect("the genesis was placed").id.to_string();
    assert_eq!(id, "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
}

#[test]
fn a_genesis_commits_to_its_message() {
    let genesis = chain(&Example::read("chaincore").config).genesis();
    // SHA-256 of "ChainCore on Adit".
    let root = "4504c45e473ec0227d15751645600b45e62dd0da03e6c6829b1be928351e3642";
    assert_eq!(&genesis[36..68], from_hex(root));
    assert_eq!(&genesis[..36], [&[1, 0, 0, 0][..], &[0; 32]].concat());
    assert_eq!(&genesis[68..76], 1_647_888_000_000u64.to_le_bytes());
    assert_eq!(&genesis[76..], [0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
}

#[test]
fn a_template_reads_back_as_its_draft() {
    for (chain_name, bits) in [("chaincore", 5), ("bitcoin", 0x1d00_ffff)] {
        let rules = chain(&Example::read(chain_name).config);
        let draft = Draft {
            parents: vec![BlockId([3; 32])],
            bits,
            time: Timestamp::from_secs(1_700_000_000),
            body_root: Hash256([9; 32]),
        };
        let template = rules.encode(&draft).expect("the draft is sound");
        assert!(template.pow.is_sound());
        assert_eq!(template.pow.bytes, template.header);
        let view = rules.decode(&template.header).expect("a template decodes");
        assert_eq!(
            (view.parents, view.bits, view.time, view.body_root),
            (draft.parents, bits, draft.time, draft.body_root)
        );
        assert_eq!(view.id, BlockId(sha256d(&template.header)));
    }
}

#[test]
fn a_seal_changes_the_nonce_and_the_rolled_bits_alone() {
    for (chain_name, length, nonce) in [("chaincore", 88, u64::MAX - 5), ("bitcoin", 80, 0xfedc_ba98)] {
        let rules = chain(&Example::read(chain_name).config);
        let draft = Draft {
            parents: vec![BlockId([3; 32])],
            bits: 0x1d00_ffff,
            time: Timestamp::from_secs(1_700_000_000),
            body_root: Hash256([9; 32]),
        };
        let template = rules.encode(&draft).expect("the draft is sound");
        let version = u32::from_le_bytes(template.header[..4].try_into().expect("four bytes"));
        let rolled = version ^ template.pow.roll_mask;
        let sealed = rules.seal(&template.header, nonce, rolled).expect("nonce and version fit");
        assert_eq!(sealed.len(), length);
        let nonce_bytes = template.pow.nonce_bytes as usize;
        assert_eq!(&sealed[76..76 + nonce_bytes], &nonce.to_le_bytes()[..nonce_bytes]);
        let mut put_back = sealed.clone();
        put_back[..4].copy_from_slice(&template.header[..4]);
        put_back[76..76 + nonce_bytes].fill(0);
        assert_eq!(put_back, template.header);
        assert!(rules.decode(&sealed).is_ok());
        assert_eq!(rule(rules.seal(&template.header, nonce, version ^ 1)).as_deref(), Some("version"));
        assert_eq!(rule(rules.seal(&template.header[1..], nonce, version)).as_deref(), Some("header-length"));
    }
}

#[test]
fn a_nonce_of_more_than_32_bits_does_not_fit_bitcoins_header() {
    let rules = chain(&Example::read("bitcoin").config);
    assert_eq!(rule(rules.seal(&rules.genesis(), 1 << 32, 1)).as_deref(), Some("nonce-range"));
}

#[test]
fn a_time_of_more_than_32_bits_does_not_fit_bitcoins_header() {
    let rules = chain(&Example::read("bitcoin").config);
    let draft = |seconds| Draft {
        parents: vec![BlockId([3; 32])],
        bits: 0x1d00_ffff,
        time: Timestamp::from_secs(seconds),
        body_root: Hash256([9; 32]),
    };
    assert!(rules.encode(&draft(u32::MAX.into())).is_ok());
    assert_eq!(rule(rules.encode(&draft(1 << 32))).as_deref(), Some("time-range"));
}

#[test]
fn a_draft_names_one_parent_and_a_sound_target() {
    let rules = chain(&Example::read("bitcoin").config);
    let draft = |parents, bits| Draft { parents, bits, time: Timestamp::default(), body_root: Hash256::default() };
    let parent = BlockId([3; 32]);
    assert_eq!(rule(rules.encode(&draft(vec![], 0x1d00_ffff))).as_deref(), Some("parent-unknown"));
    assert_eq!(rule(rules.encode(&draft(vec![parent; 2], 0x1d00_ffff))).as_deref(), Some("parent-unknown"));
    assert_eq!(rule(rules.encode(&draft(vec![parent], 0))).as_deref(), Some("bits"));
}

#[test]
fn an_unrolled_bit_of_the_version_is_refused() {
    let mut network = Network::chaincore(&[]);
    let mut header = network.header(Timestamp::from_secs(1_700_000_000), 4).expect("a sound draft");
    header[0] ^= 2;
    assert_eq!(rule(network.accept(&header)).as_deref(), Some("version"));
    header[0] ^= 2;
    header[1] ^= 0x20;
    assert!(network.accept(&header).is_ok());
}

#[test]
fn a_digit_of_difficulty_counts_as_sixteenfold_work() {
    let mut network = Network::chaincore(&[]);
    let block = network.mine(Timestamp::from_secs(1_700_000_000));
    assert_eq!(block.work, Work(U256::from(16u32.pow(2) + 16u32.pow(4))));
    assert_eq!(network.next(None).expect("the chain goes on").difficulty, "4");
}

#[test]
fn the_tip_with_the_most_work_is_built_on() {
    let mut network = Network::chaincore(&[]);
    let time = Timestamp::from_secs(1_700_000_000);
    let easy = network.mine_with(time, 3).expect("difficulty is free on this chain");
    let mut other = Network::chaincore(&[]);
    let hard = other.mine_with(time, 5).expect("difficulty is free on this chain");
    other.chain.add(adit_plugin_sdk::KnownBlock { height: Height(2), ..easy.clone() });
    let built = |tips: &[BlockId]| other.rules.next(&other.chain, tips, None).map(|next| next.parents);
    assert_eq!(built(&[easy.id, hard.id]), Ok(vec![hard.id]));
    assert_eq!(built(&[hard.id, easy.id]), Ok(vec![hard.id]));
    assert_eq!(rule(built(&[])).as_deref(), Some("parent-unknown"));
    assert_eq!(rule(built(&[BlockId([1; 32])])).as_deref(), Some("parent-unknown"));
}

#[test]
fn a_header_whose_bits_are_no_target_does_not_decode() {
    let rules = chain(&Example::read("bitcoin").config);
    let mut header = rules.genesis();
    for bits in [0u32, 64, 255, 0x0100_0000, 0x1d80_ffff, 0xff00_ffff] {
        header[72..76].copy_from_slice(&bits.to_le_bytes());
        assert_eq!(rule(rules.decode(&header)).as_deref(), Some("bits"), "{bits:#x}");
    }
}
