//! Header formats, for whatever bytes a stranger sends.

use adit_plugin_ghostdag::header::{Format, adit};
use adit_plugin_sdk::{BlockId, Draft, Hash256, Timestamp};
use proptest::prelude::*;

const FORMATS: [Format; 3] = [Format::Adit, Format::Kaspa, Format::Labelled];

/// A header of the format `kaspa` with these parents on two levels.
fn kaspa(parents: &[[u8; 32]], work: &[u8]) -> Vec<u8> {
    let mut header = 1u16.to_le_bytes().to_vec();
    header.extend(2u64.to_le_bytes());
    for _ in 0..2 {
        header.extend((parents.len() as u64).to_le_bytes());
        header.extend(parents.as_flattened());
    }
    header.extend([7; 96]);
    header.extend(1_700_000_000_000u64.to_le_bytes());
    header.extend(0x207f_ffffu32.to_le_bytes());
    header.extend([0; 24]);
    header.extend((work.len() as u64).to_le_bytes());
    header.extend(work);
    header.extend([9; 32]);
    header
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_or_read_but_never_panic(bytes: Vec<u8>, cut: prop::sample::Index) {
        for format in FORMATS {
            let _ = (format.decode(&bytes), format.claims(&bytes), format.seal(&bytes, 1, 1));
        }
        let sound = kaspa(&[[1; 32], [2; 32]], &[1, 2]);
        prop_assert!(Format::Kaspa.decode(&sound[..cut.index(sound.len())]).is_err(), "a header cut short is none");
    }

    #[test]
    fn each_changed_byte_makes_another_block(at: prop::sample::Index, flip in 1u8..) {
        let sound = kaspa(&[[1; 32], [2; 32]], &[1, 2]);
        let id = Format::Kaspa.decode(&sound).expect("a sound header").id;
        let mut other = sound.clone();
        other[at.index(sound.len())] ^= flip;
        prop_assert!(Format::Kaspa.decode(&other).map_or(true, |view| view.id != id));
        prop_assert_eq!(Format::Kaspa.claims(&sound).map(|claims| claims.map(|claims| claims.blue_work.0)), Ok(Some(
            adit_plugin_sdk::U256::from(0x0102u64)
        )));
    }

    #[test]
    fn a_header_of_adits_format_reads_back_as_its_draft(parents in prop::collection::btree_set(any::<[u8; 32]>(), 0..20), time: u64) {
        let draft = Draft {
            parents: parents.into_iter().map(BlockId).collect(),
            bits: 0x1d00_ffff,
            time: Timestamp::from_millis(time),
            body_root: Hash256([5; 32]),
        };
        let header = adit::encode(&draft);
        let view = Format::Adit.decode(&header).expect("what was encoded decodes");
        prop_assert_eq!((view.parents, view.time, view.bits), (draft.parents, draft.time, draft.bits));
        prop_assert_eq!(view.pow.bytes, &header[..88], "whatever the parents, as many bytes are hashed");
    }
}

#[test]
fn blue_work_has_one_form() {
    assert!(Format::Kaspa.decode(&kaspa(&[], &[])).is_ok());
    assert!(Format::Kaspa.decode(&kaspa(&[], &[0, 1])).is_err(), "a byte of 0 in front");
    assert!(Format::Kaspa.decode(&kaspa(&[], &[1; 33])).is_err(), "more than 256 bits");
    assert!(Format::Kaspa.decode(&[&kaspa(&[], &[1])[..], &[0]].concat()).is_err(), "a byte too many");
}
