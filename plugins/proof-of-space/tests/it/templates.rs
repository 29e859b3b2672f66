//! Templates, the genesis, and what the next block needs.

use crate::farm::{Plain, START, next, plain_chain, rule, win, winning};
use adit_plugin_sdk::{BlockId, Consensus, Draft, Hash256, Height, ProofOfSpace, Timestamp, U256, Work, sha256d};

fn draft() -> Draft {
    Draft {
        parents: vec![BlockId([3; 32])],
        bits: 0x1f3f_ffff,
        time: Timestamp::from_millis(77),
        body_root: Hash256([9; 32]),
    }
}

#[test]
fn a_genesis_commits_to_its_message() {
    let chain = plain_chain(&[]);
    let genesis = chain.rules().genesis();
    assert_eq!(genesis.len(), 80);
    assert_eq!(&genesis[..36], [&[1, 0, 0, 0][..], &[0; 32]].concat());
    // SHA-256 of "space".
    assert_eq!(Hash256(genesis[36..68].try_into().expect("32 bytes")).to_string(), SPACE);
    assert_eq!(&genesis[68..76], START.to_le_bytes());
    assert_eq!(chain.genesis(), BlockId(sha256d(&genesis)));
    let view = chain.rules().decode(&genesis).expect("the genesis decodes");
    assert!(view.parents.is_empty() && view.pow.bytes.is_empty());
}

const SPACE: &str = "3f49dbbfe051cb20cc038923424fedf8d18307cc805e1520e4168e9360e2eb38";

#[test]
fn a_template_is_a_header_without_its_proof() {
    let chain = plain_chain(&[]);
    let template = chain.rules().encode(&draft()).expect("the draft is sound");
    assert_eq!(template.header.len(), 80);
    assert!(template.pow.bytes.is_empty());
    assert_eq!(chain.rules().registered(&template.header), Ok(Vec::new()));
    assert_eq!(rule(chain.rules().decode(&template.header)).as_deref(), Some("genesis"), "and no block");
}

#[test]
fn a_proven_header_reads_back_as_its_draft() {
    let chain = plain_chain(&[]);
    let plot = Plain::new(1, 1);
    let (attempt, _) = winning(&chain, &plot, chain.genesis(), Timestamp::default());
    let header = attempt.header(&chain, crate::farm::Plot::owner(&plot)).expect("a sound draft");
    let view = chain.rules().decode(&header).expect("the proof is sound");
    let draft = attempt.draft;
    assert_eq!(
        (view.id, view.parents, view.time, view.bits, view.body_root),
        (BlockId(sha256d(&header)), draft.parents, draft.time, draft.bits, draft.body_root)
    );
    assert!(view.pow.is_sound());
    assert_eq!(view.pow.bytes.len(), 64);
}

#[test]
fn a_proof_goes_behind_a_template_alone() {
    let chain = plain_chain(&[]);
    let plot = Plain::new(1, 1);
    let (attempt, _) = winning(&chain, &plot, chain.genesis(), Timestamp::default());
    let proof = adit_plugin_sdk::space::SpaceProof { claim: attempt.claim, signature: [0; 64] };
    let header = chain.rules().encode(&draft()).expect("the draft is sound").header;
    let proven = chain.rules().prove(&header, &proof).expect("the form is right");
    assert_eq!(&proven[..80], &header);
    for other in [&header[..79], &proven[..]] {
        assert_eq!(rule(chain.rules().prove(other, &proof)).as_deref(), Some("header-length"));
    }
}

#[test]
fn no_nonce_wins_a_block_and_nobody_chooses_a_difficulty() {
    let chain = plain_chain(&[]);
    let header = chain.rules().encode(&draft()).expect("the draft is sound").header;
    assert_eq!(rule(chain.rules().seal(&header, 1, 0)).as_deref(), Some("proof-of-space"));
    let wished = chain.rules().next(&chain, &[chain.genesis()], Some(5));
    assert_eq!(rule(wished).as_deref(), Some("difficulty-override"));
}

#[test]
fn a_draft_names_one_parent_and_a_target() {
    let chain = plain_chain(&[]);
    let of = |draft: Draft| rule(chain.rules().encode(&draft));
    assert_eq!(of(Draft { parents: vec![], ..draft() }).as_deref(), Some("parent-unknown"));
    assert_eq!(of(Draft { parents: vec![BlockId([3; 32]); 2], ..draft() }).as_deref(), Some("parent-unknown"));
    assert_eq!(of(Draft { bits: 0, ..draft() }).as_deref(), Some("bits"));
}

#[test]
fn a_header_of_another_version_or_with_no_target_does_not_decode() {
    let rules = plain_chain(&[]);
    let mut header = rules.rules().genesis();
    header[0] = 2;
    assert_eq!(rule(rules.rules().decode(&header)).as_deref(), Some("version"));
    header[0] = 1;
    header[76..].copy_from_slice(&0x1d80_ffffu32.to_le_bytes());
    assert_eq!(rule(rules.rules().decode(&header)).as_deref(), Some("bits"));
}

#[test]
fn the_next_block_stands_on_the_tip_with_the_most_work() {
    let mut chain = plain_chain(&[]);
    let plot = Plain::new(1, 1);
    let genesis = chain.genesis();
    let tip = win(&mut chain, &plot, genesis);
    let needs = chain.next(&[genesis, tip]).expect("the chain goes on");
    assert_eq!((needs.parents, needs.height, needs.subsidy), (vec![tip], Height(2), 50));
    let time = chain.rules().decode(chain.header(tip)).expect("it was placed").time;
    assert_eq!(needs.earliest, Timestamp::from_millis(time.to_millis() + 1));
    assert_eq!(rule(chain.next(&[])).as_deref(), Some("parent-unknown"));
    assert_eq!(rule(chain.next(&[BlockId([1; 32])])).as_deref(), Some("parent-unknown"));
}

#[test]
fn work_adds_up_and_a_block_is_valid_a_second_before_its_time() {
    let mut chain = plain_chain(&[]);
    let genesis = chain.genesis();
    let each = next(&chain, genesis).target.work();
    assert_eq!(each, Work(U256::from(1024u64)));
    let tip = win(&mut chain, &Plain::new(1, 1), genesis);
    assert_eq!(chain.placement(tip).work, each.saturating_add(each));
    let time = chain.rules().decode(chain.header(tip)).expect("it was placed").time;
    assert_eq!(chain.placement(tip).valid_from, Timestamp::from_millis(time.to_millis() - 1000));
}
