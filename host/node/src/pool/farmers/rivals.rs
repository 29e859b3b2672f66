//! Blocks that farmers won on one parent: the first goes out, and the others wait for the case that no upstream takes it.
//!
//! A second block of the pool on the same parent could only take the first one's place, and its reward with it. What its proof is worth as a share,
//! its farmer is credited for all the same.

use super::super::checking::Solved;
use adit_primitives::BlockId;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Parents that are remembered; the oldest goes. Blocks are not won on two at a time, but where branches change.
const PARENTS_MAX: usize = 16;

/// Blocks that wait on one parent. More are not kept: the first ones are as good.
const WAITING_MAX: usize = 4;

/// What was won, by parent, the newest last.
#[derive(Default)]
pub struct Rivals(Mutex<VecDeque<Won>>);

struct Won {
    parent: BlockId,
    /// The block that is on its way, or was taken. `None` where all so far were refused.
    out: Option<BlockId>,
    waiting: VecDeque<Solved>,
}

impl Rivals {
    /// Takes a block in. Returns it where it is to be handed in: where no other block of the pool's on its parent is out.
    pub fn enter(self: &Arc<Self>, parent: BlockId, solved: Solved) -> Option<Solved> {
        let (mut all, id) = (self.lock(), solved.note.id());
        let known = all.iter().position(|won| won.parent == parent);
        let place = known.unwrap_or_else(|| {
            if all.len() == PARENTS_MAX {
                all.pop_front();
            }
            all.push_back(Won { parent, out: None, waiting: VecDeque::new() });
            all.len() - 1
        });
        let won = &mut all[place];
        if won.out.is_none() {
            won.out = Some(id);
            return Some(Solved { rivals: Some(Arc::clone(self)), ..solved });
        }
        if won.waiting.len() < WAITING_MAX {
            won.waiting.push_back(solved);
        }
        None
    }

    /// Notes that a block was refused. Returns the next one on its parent, which is to be handed in now.
    pub fn refused(self: &Arc<Self>, id: BlockId) -> Option<Solved> {
        let mut all = self.lock();
        let won = all.iter_mut().find(|won| won.out == Some(id))?;
        let next = won.waiting.pop_front();
        won.out = next.as_ref().map(|next| next.note.id());
        // It waited for this, and for nothing that the pool could have done faster.
        next.map(|next| Solved { hashed: Instant::now(), rivals: Some(Arc::clone(self)), ..next })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Won>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::solved::Note;
    use super::*;
    use tokio::sync::oneshot;

    fn solved(id: u8) -> Solved {
        let (_, shares_end) = oneshot::channel();
        Solved { note: Note::sample(id), shares_end, hashed: Instant::now(), rivals: None }
    }

    fn block(id: u8) -> BlockId {
        solved(id).note.id()
    }

    fn enter(rivals: &Arc<Rivals>, parent: u8, id: u8) -> bool {
        rivals.enter(BlockId([parent; 32]), solved(id)).is_some_and(|out| out.note.id() == block(id))
    }

    #[test]
    fn of_blocks_on_one_parent_the_first_goes_out() {
        let rivals = Arc::<Rivals>::default();
        assert!(enter(&rivals, 1, 10) && !enter(&rivals, 1, 11) && enter(&rivals, 2, 12));
        assert!(!enter(&rivals, 1, 13), "the first is still out");
    }

    #[test]
    fn where_it_is_refused_the_next_one_does() {
        let rivals = Arc::<Rivals>::default();
        let out: Vec<u8> = (10..13).filter(|id| enter(&rivals, 1, *id)).collect();
        assert_eq!(out, [10]);
        let next = |id| rivals.refused(block(id)).map(|next| next.note.id());
        assert_eq!(next(11), None, "it was not out");
        assert_eq!(next(10), Some(block(11)));
        assert_eq!(next(10), None, "it is refused once");
        assert!(!enter(&rivals, 1, 13));
        assert_eq!((next(11), next(12), next(13)), (Some(block(12)), Some(block(13)), None));
        assert!(enter(&rivals, 1, 14), "all before were refused");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let rivals = Arc::<Rivals>::default();
        assert_eq!((0..200).filter(|id| enter(&rivals, 0, *id)).count(), 1);
        assert_eq!(rivals.lock()[0].waiting.len(), WAITING_MAX);
        (1..200).for_each(|parent| assert!(enter(&rivals, parent, parent)));
        assert_eq!(rivals.lock().len(), PARENTS_MAX);
    }
}
