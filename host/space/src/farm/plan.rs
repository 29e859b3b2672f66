//! Which parts of a disk's plots are read in which order.

use std::collections::VecDeque;
use std::ops::Range;

/// The least that is read in one piece of a sample: a disk of plates spends more time on it than on finding it.
const PIECE: u64 = 16 << 20;

/// The most pieces of a disk.
const PIECES_MAX: u64 = 4_096;

/// A plot, as a plan sees it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// How many leaves or nonces there are.
    pub entries: u64,
    /// How many bytes are read of each.
    pub each: u64,
}

/// Leaves or nonces of one plot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The plot's place among the fields.
    pub field: usize,
    pub entries: Range<u64>,
}

/// Returns all parts of some plots in the order in which they are read: each entry is in one of them, once.
///
/// With a sample of one in `one_in` bytes, pieces that are spread evenly over all plots come first, and the rest plot by plot; with 1, plot by plot. Which
/// pieces and which plot come first turns with `rotation`.
pub fn plan(fields: &[Field], rotation: u64, one_in: u64) -> VecDeque<Part> {
    let all: u64 = fields.iter().map(|field| field.entries * field.each).sum();
    let piece = if one_in > 1 { PIECE.max(all / PIECES_MAX) } else { u64::MAX };
    let (mut sample, mut rest) = (VecDeque::new(), VecDeque::<Part>::new());
    let mut number = rotation % one_in.max(1);
    for place in 0..fields.len() {
        let field = turned(place, rotation, fields.len());
        let Field { entries, each } = fields[field];
        let step = (piece / each).max(1);
        let mut start = 0;
        while start < entries {
            let part = Part { field, entries: start..start.saturating_add(step).min(entries) };
            start = part.entries.end;
            if one_in > 1 && number == 0 {
                sample.push_back(part);
            } else {
                append(&mut rest, part);
            }
            number = (number + 1) % one_in.max(1);
        }
    }
    sample.append(&mut rest);
    sample
}

/// Returns which of `count` has its turn at a place.
fn turned(place: usize, rotation: u64, count: usize) -> usize {
    let first = usize::try_from(rotation % count as u64).expect("less than the count");
    (first + place) % count
}

/// Adds a part, to the last one where that ends at its beginning.
fn append(parts: &mut VecDeque<Part>, part: Part) {
    match parts.back_mut() {
        Some(last) if last.field == part.field && last.entries.end == part.entries.start => {
            last.entries.end = part.entries.end;
        }
        _ => parts.push_back(part),
    }
}

/// Returns of how many bytes one is read for a sample that takes half of the time. 1 where there is time for all.
pub fn one_in(bytes: u64, bytes_per_second: u64, milliseconds_left: u64) -> u64 {
    let needed = u128::from(bytes) * 1_000 / u128::from(bytes_per_second.max(1));
    // A tenth is kept for what else the disk does.
    if needed * 10 <= u128::from(milliseconds_left) * 9 {
        return 1;
    }
    u64::try_from((2 * needed).div_ceil(u128::from(milliseconds_left.max(1)))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(parts: impl IntoIterator<Item = Part>, fields: &[Field]) -> u64 {
        parts.into_iter().map(|part| (part.entries.end - part.entries.start) * fields[part.field].each).sum()
    }

    proptest! {
        #[test]
        fn every_entry_has_its_turn_once(
            sizes in prop::collection::vec(1u64..1 << 40, 0..12),
            each in prop::sample::select(vec![32u64, 64]),
            rotation: u64,
            one_in in 1u64..100,
        ) {
            let fields: Vec<Field> = sizes.into_iter().map(|bytes| Field { entries: bytes.div_ceil(each), each }).collect();
            let mut parts = Vec::from(plan(&fields, rotation, one_in));
            prop_assert!(parts.len() as u64 <= PIECES_MAX + 2 * fields.len() as u64 + PIECES_MAX / one_in);
            parts.sort_unstable_by_key(|part| (part.field, part.entries.start));
            for (field, place) in fields.iter().zip(0..) {
                let own: Vec<&Part> = parts.iter().filter(|part| part.field == place).collect();
                prop_assert_eq!(own[0].entries.start, 0);
                prop_assert!(own.windows(2).all(|two| two[0].entries.end == two[1].entries.start));
                prop_assert_eq!(own[own.len() - 1].entries.end, field.entries);
            }
        }

        #[test]
        fn a_sample_has_its_part_of_every_plot(sizes in prop::collection::vec(1u64..64, 1..6), rotation: u64, one_in in 2u64..20) {
            // Sizes in tens of pieces.
            let fields: Vec<Field> = sizes.into_iter().map(|tens| Field { entries: tens * 10 * PIECE / 32, each: 32 }).collect();
            let parts = plan(&fields, rotation, one_in);
            let sampled = parts.iter().take_while(|part| part.entries.end - part.entries.start <= PIECE / 32);
            let sampled: Vec<Part> = sampled.cloned().collect();
            for (field, place) in fields.iter().zip(0..) {
                let own = bytes(sampled.iter().filter(|part| part.field == place).cloned(), &fields) / PIECE;
                let pieces = field.entries * 32 / PIECE;
                // A rest that is one piece long counts as sampled here.
                prop_assert!(own + 1 >= pieces / one_in && own <= pieces.div_ceil(one_in) + pieces / one_in + 2, "{own} of {pieces} with one in {one_in}");
            }
        }
    }

    #[test]
    fn another_plot_is_first_under_another_challenge() {
        let fields = [Field { entries: 10, each: 64 }; 3];
        let first = |rotation| plan(&fields, rotation, 1)[0].field;
        assert_eq!([first(0), first(1), first(2), first(3)], [0, 1, 2, 0]);
        assert!(plan(&[], 7, 1).is_empty());
    }

    #[test]
    fn a_sample_takes_half_of_the_time() {
        // Ten seconds of reading, and one second: a twentieth takes half of it.
        assert_eq!(one_in(1_000_000_000, 100_000_000, 1_000), 20);
        assert_eq!(one_in(1_000_000_000, 100_000_000, 12_000), 1);
        assert_eq!(one_in(0, 0, 0), 1);
        assert!(one_in(u64::MAX, 1, 0) > 1);
    }
}
