//! The walk around the tree of selected parents, as a list whose items carry ordered labels.
//!
//! Each block is entered and left once, and is left after all its descendants in the tree: a block's interval holds exactly the
//! intervals of those that stand on it. Knows nothing of merge sets, and never compares two blocks except by labels.

use super::Place;

/// A place's two items are `2 * place`, where it is entered, and `2 * place + 1`, where it is left.
type Item = u32;

/// Labels kept free for later siblings beside the first child of a block: 2^24 blocks of a chain leave as many each.
const ROOM_MAX: u64 = 1 << 40;

/// The first child of a block leaves this part of what is free to its later siblings.
const FIRST_CHILD_LEAVES: u64 = 2;

/// Each later child takes this part of what is free.
const LATER_CHILD_TAKES: u64 = 2;

/// The smallest range that is relabelled holds 2^6 labels: there even the fullest leaves gaps of five.
const RANGE_BITS_MIN: u32 = 6;

/// 2^(n/64) for n up to 63, with 32 bits behind the point.
const ROOTS: [u64; 64] = {
    // 2^(1/64) with 60 bits behind the point, so that the last of the powers is exact in 32.
    const ROOT: u128 = 0x102c_9a3e_7780_60ee;
    let mut roots = [0; 64];
    let mut exact: u128 = 1 << 60;
    let mut power = 0;
    while power < 64 {
        #[allow(clippy::cast_possible_truncation, reason = "below 2^33")]
        let rounded = (exact >> 28) as u64;
        roots[power] = rounded;
        exact = (exact * ROOT) >> 60;
        power += 1;
    }
    roots
};

/// How many items a range of `2^bits` labels may hold to be relabelled: `2^(bits * all / 64)`, so that all labels together may hold `2^all`.
fn capacity(bits: u32, all: u32) -> u64 {
    let power = bits * all;
    let (whole, part) = (power / 64, power % 64);
    let exact = u128::from(ROOTS[part as usize]) << whole;
    u64::try_from(exact >> 32).expect("2^33 items fill no 2^64 labels")
}

/// Where a block is entered and left: it holds another's interval or lies in it, or both are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) enter: u64,
    pub(super) leave: u64,
}

impl Interval {
    pub(super) fn holds(self, other: Self) -> bool {
        self.enter <= other.enter && other.enter <= self.leave
    }
}

#[derive(Debug, Clone, Copy)]
struct Neighbours {
    before: Item,
    after: Item,
}

/// The list. A new child is entered behind its parent's last child and left before its parent is.
///
/// Where the labels between two items are used up, the smallest aligned range of labels around them that does not hold too many items is
/// relabelled evenly; how many are too many grows with the range by the same factor from each power of two to the next (Bender, Cole,
/// Demaine, Farach-Colton, Zito: "Two simplified algorithms for maintaining order in a list", 2002). Before a range is relabelled again,
/// one of its halves must take in a number of items proportional to those relabelled: an insertion costs O(log n) moved labels in the mean
/// of any sequence of insertions, whatever the tree's shape.
/// Where in a gap a label is put does not matter to that bound, so it is put where chains and siblings leave most room.
#[derive(Debug)]
pub(super) struct Tour {
    intervals: Vec<Interval>,
    neighbours: Vec<Neighbours>,
    moved: u64,
}

impl Tour {
    pub(super) fn new() -> Self {
        let root = Interval { enter: 0, leave: u64::MAX };
        // The list is a ring, so that no item lacks a neighbour; ranges end where labels would wrap.
        let beside = |item| Neighbours { before: item, after: item };
        Self { intervals: vec![root], neighbours: vec![beside(1), beside(0)], moved: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.intervals.len()
    }

    /// Returns how often a label was moved.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Returns the bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.intervals.capacity() * size_of::<Interval>() + self.neighbours.capacity() * size_of::<Neighbours>()
    }

    pub(super) fn interval(&self, place: Place) -> Interval {
        self.intervals[place as usize]
    }

    /// Adds a child as the next place.
    pub(super) fn push(&mut self, parent: Place) {
        let enter = Item::try_from(2 * self.intervals.len()).expect("fewer than 2^31 blocks fit into memory");
        let end = 2 * parent + 1;
        let last = self.neighbours[end as usize].before;
        if self.gap(end) < 3 {
            self.make_room(last);
        }
        let (low, high, gap) = (self.label(last), self.label(end), self.gap(end));
        let leave = if last == 2 * parent {
            high - ROOM_MAX.min(gap / FIRST_CHILD_LEAVES).max(1)
        } else {
            low + 1 + (gap / LATER_CHILD_TAKES).max(1)
        };
        self.intervals.push(Interval { enter: low + 1, leave });
        self.neighbours.push(Neighbours { before: last, after: enter + 1 });
        self.neighbours.push(Neighbours { before: enter, after: end });
        self.neighbours[last as usize].after = enter;
        self.neighbours[end as usize].before = enter + 1;
    }

    /// Returns how far an item's label is from the one before.
    fn gap(&self, item: Item) -> u64 {
        self.label(item) - self.label(self.neighbours[item as usize].before)
    }

    fn label(&self, item: Item) -> u64 {
        let interval = self.intervals[(item / 2) as usize];
        if item.is_multiple_of(2) { interval.enter } else { interval.leave }
    }

    /// Relabels a range around an item, so that there is a gap behind it.
    fn make_room(&mut self, item: Item) {
        let label = self.label(item);
        // The range is walked outwards as it grows: no item is counted twice.
        let (mut first, mut last, mut count) = (item, item, 1_u64);
        let all = self.neighbours.len().ilog2() + 2;
        for bits in RANGE_BITS_MIN..=u64::BITS {
            let mask = u64::MAX >> (u64::BITS - bits);
            let (base, top) = (label & !mask, label | mask);
            while let before = self.neighbours[first as usize].before
                && self.label(before) < self.label(first)
                && self.label(before) >= base
            {
                first = before;
                count += 1;
            }
            while let after = self.neighbours[last as usize].after
                && self.label(after) > self.label(last)
                && self.label(after) <= top
            {
                last = after;
                count += 1;
            }
            if count <= capacity(bits, all) {
                self.spread(first, count, base, bits);
                return;
            }
        }
        unreachable!("all labels may hold twice the items there are");
    }

    /// Gives `count` items from `first` on labels at equal distances from `base`.
    fn spread(&mut self, first: Item, count: u64, base: u64, bits: u32) {
        // The last item too is followed by as much: a range of 2^bits labels has one more than is shared out.
        let step = (u64::MAX >> (u64::BITS - bits)) / count;
        let (mut item, mut label) = (first, base);
        for _ in 0..count {
            let interval = &mut self.intervals[(item / 2) as usize];
            if item.is_multiple_of(2) {
                interval.enter = label;
            } else {
                interval.leave = label;
            }
            item = self.neighbours[item as usize].after;
            label = label.wrapping_add(step);
        }
        self.moved += count;
    }
}
