//! A block's way: noted in a file, handed to every upstream and brought into the books at once, then followed until it is final and split.
//!
//! Reading order: [`Bookkeeping::take`] for a block that was just found, [`Bookkeeping::recover`] for one that a crash left, and
//! [`Bookkeeping::follow_blocks`] for what comes after.

use super::super::checking::Solved;
use super::super::solved::{Left, Note, Written};
use super::super::upstream::UpstreamError;
use super::super::upstreams::Verdict;
use super::{Bookkeeping, BooksFailure};
use adit_pool::money::rounds::SplitOutcome;
use adit_primitives::accounts::{BlockState, ShareSequence};
use adit_primitives::{BlockId, Timestamp};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// How soon a block is handed in again while there is no verdict: at first, and at most, after pauses that double.
const SUBMIT_PAUSE: Duration = Duration::from_millis(500);
const SUBMIT_PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long a step that keeps a block is put off when the books fail.
const BOOK_PAUSE: Duration = Duration::from_secs(5);

/// How long a block waits for its note: a disk that hangs keeps no block from the network.
const NOTE_TIME: Duration = Duration::from_secs(1);

/// How long a refusal waits for upstreams that do not answer: one of them may have taken the block before it fell silent.
const REFUSAL_WAIT_MS: u64 = 3_600_000;

impl Bookkeeping {
    /// Takes up the blocks that a crash left out of the books. Before anything else runs.
    pub fn recover(&self) -> Result<(), BooksFailure> {
        let Left { notes, damaged, more } = self.notes.left().map_err(BooksFailure::Notes)?;
        for note in notes {
            let block = note.into_block(self.log.next());
            let (id, height) = (block.id, block.height.0);
            if self.rounds().found(&block)? {
                tracing::warn!(block = %id, height, "a block that was found before a crash is in the books now");
            }
            self.forget(id);
        }
        for (path, error) in damaged {
            let file = path.display();
            tracing::error!(%file, %error, "the note of a solved block is damaged: it is left aside, look at it");
        }
        if more {
            let folder = self.notes.folder().display();
            tracing::error!(%folder, "there are more notes of solved blocks than a start reads: start again to read the rest");
        }
        Ok(())
    }

    /// Hands in the blocks of which no upstream has said what became of them: the last run may have ended before it could.
    pub(super) async fn hand_in_left(self: &Arc<Self>, blocks: &mut JoinSet<()>) {
        let open = match self.step(|keeper| Ok(keeper.books.blocks_open()?)).await {
            Ok(open) => open,
            Err(error) => return tracing::error!(%error, "the books do not say which blocks are open"),
        };
        for block in open.into_iter().filter(|block| block.state == BlockState::Found) {
            tracing::info!(block = %block.id, height = block.height.0, "a block is handed in again after a start");
            let keeper = Arc::clone(self);
            blocks.spawn(async move {
                let bytes: Arc<[u8]> = block.bytes.into();
                let answer = keeper.upstreams.submit(&bytes).await;
                keeper.deliver(block.id, block.found, &bytes, answer).await;
            });
        }
    }

    /// Takes a block that was just found; where it is refused, the one that waited for that, and so on.
    pub(super) async fn take(self: Arc<Self>, solved: Solved) {
        let mut next = Some(solved);
        while let Some(solved) = next.take() {
            let (id, rivals) = (solved.note.id(), solved.rivals.clone());
            if !self.hand_in(solved).await {
                next = rivals.and_then(|rivals| rivals.refused(id));
            }
        }
    }

    /// Notes a block, then brings it to the upstreams and into the books, both at once. Tells whether it was taken.
    async fn hand_in(self: &Arc<Self>, solved: Solved) -> bool {
        let Solved { note, shares_end, hashed, rivals: _ } = solved;
        let written = self.write(note.clone()).await;
        let waited = hashed.elapsed();
        let (id, (height, found, bytes)) = (note.id(), note.parts());
        let bytes: Arc<[u8]> = bytes.into();
        let (answer, ()) = tokio::join!(self.upstreams.submit(&bytes), async {
            self.metrics.block_found(waited);
            tracing::info!(block = %id, height = height.0, ?waited, "the pool found a block");
            self.book(note, written, shares_end).await;
        });
        self.deliver(id, found, &bytes, answer).await
    }

    /// Writes a note. Without one the block goes on its way all the same.
    async fn write(self: &Arc<Self>, note: Note) -> Option<Written> {
        let (id, notes) = (note.id(), Arc::clone(&self.notes));
        let writing = tokio::task::spawn_blocking(move || notes.write(&note));
        let problem = match tokio::time::timeout(NOTE_TIME, writing).await {
            Ok(Ok(Ok(written))) => return Some(written),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(panic)) => panic.to_string(),
            Err(_) => format!("it takes longer than {NOTE_TIME:?}"),
        };
        let folder = self.notes.folder().display();
        tracing::error!(block = %id, %folder, problem, "the block could not be noted: a crash now would forget it");
        None
    }

    /// Has the books take a block, however often they fail. Its note is dropped then, and not before.
    async fn book(
        self: &Arc<Self>,
        note: Note,
        written: Option<Written>,
        shares_end: oneshot::Receiver<ShareSequence>,
    ) {
        let id = note.id();
        if let Some(written) = written
            && let Ok(Err(error)) = tokio::task::spawn_blocking(|| written.sync()).await
        {
            tracing::error!(block = %id, %error, "the block's note is not on the disk: a loss of power now would forget it");
        }
        // Without an answer the log has failed or ended; what it held then is the window.
        let end = shares_end.await.unwrap_or_else(|_| self.log.next());
        let block = Arc::new(note.into_block(end));
        loop {
            let block = Arc::clone(&block);
            let recorded = self.step(move |keeper| {
                keeper.rounds().found(&block)?;
                keeper.forget(id);
                Ok(())
            });
            let Err(error) = recorded.await else { return };
            tracing::error!(block = %id, %error, "the books do not take the block: they are asked again");
            tokio::time::sleep(BOOK_PAUSE).await;
        }
    }

    /// Drops the note of a block that the books have. One that stays is dropped at the next start.
    fn forget(&self, id: BlockId) {
        if let Err(error) = self.notes.forget(id) {
            tracing::warn!(block = %id, %error, "the note of a block that the books have is not removed");
        }
    }

    /// Hands a block in until what becomes of it is known and booked, and tells whether it was taken. `answer` is the first one.
    async fn deliver(
        self: &Arc<Self>,
        id: BlockId,
        found: Timestamp,
        block: &Arc<[u8]>,
        mut answer: Result<Verdict, UpstreamError>,
    ) -> bool {
        let (mut pause, mut told) = (SUBMIT_PAUSE, false);
        loop {
            let open = match &answer {
                Ok(Verdict::Refused { silent, reason }) if self.may_yet_be_taken(*silent, found) => {
                    Some(reason.clone())
                }
                Ok(verdict) if self.take_verdict(id, verdict).await => return matches!(verdict, Verdict::Taken),
                Ok(_) => None,
                Err(error) => Some(error.to_string()),
            };
            if let Some(problem) = open.filter(|_| !std::mem::replace(&mut told, true)) {
                tracing::error!(block = %id, problem, "no upstream took the block: it is handed in again until one does");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(SUBMIT_PAUSE_MAX);
            answer = self.upstreams.submit(block).await;
        }
    }

    fn may_yet_be_taken(&self, silent: usize, found: Timestamp) -> bool {
        silent > 0 && (self.clock)().to_millis().saturating_sub(found.to_millis()) < REFUSAL_WAIT_MS
    }

    /// Books what upstreams say of a block. `false` where the books fail.
    async fn take_verdict(self: &Arc<Self>, id: BlockId, verdict: &Verdict) -> bool {
        let now = (self.clock)();
        let booked = match verdict {
            Verdict::Taken => self.step(move |keeper| Ok(keeper.rounds().accepted(id, now)?)).await,
            Verdict::Refused { .. } => self.step(move |keeper| Ok(keeper.rounds().refused(id)?)).await,
        };
        if let Err(error) = booked {
            tracing::error!(block = %id, %error, "what became of the block is not booked yet");
            return false;
        }
        match verdict {
            Verdict::Taken => _ = self.metrics.blocks_accepted.inc(),
            Verdict::Refused { reason, .. } => {
                self.metrics.blocks_refused.inc();
                tracing::error!(block = %id, reason, "the upstream refuses the pool's block");
            }
        }
        self.split().await;
        true
    }

    pub(super) async fn follow_blocks(self: &Arc<Self>) {
        let open = match self.step(|keeper| Ok(keeper.books.blocks_open()?)).await {
            Ok(open) => open,
            Err(error) => return tracing::error!(%error, "the books do not say which blocks are open"),
        };
        for block in open {
            let (id, height) = (block.id, block.height);
            let standing = match self.upstreams.standing(id, height).await {
                Ok(Some(standing)) => standing,
                // Those that are merely found are handed in elsewhere until there is a verdict.
                Ok(None) if block.state == BlockState::Found => continue,
                Ok(None) => {
                    self.hand_in_again(id, block.bytes.into()).await;
                    continue;
                }
                Err(error) => return tracing::debug!(%error, "where our blocks stand is not known now"),
            };
            let now = (self.clock)();
            match self.step(move |keeper| Ok(keeper.rounds().follow(id, standing, now)?)).await {
                Ok(state) if state != block.state => {
                    tracing::info!(block = %id, height = height.0, %state, "a block of the pool");
                    if state == BlockState::Orphaned {
                        self.metrics.blocks_orphaned.inc();
                    }
                }
                Ok(_) => {}
                Err(error) => tracing::error!(block = %id, %error, "where the block stands is not booked"),
            }
        }
    }

    /// Hands in a block that an upstream took and no longer knows: it may have lost its newest blocks in a crash.
    async fn hand_in_again(self: &Arc<Self>, id: BlockId, block: Arc<[u8]>) {
        let problem = match self.upstreams.submit(&block).await {
            Ok(Verdict::Taken) => {
                return tracing::info!(block = %id, "a block that the upstream had lost is taken again");
            }
            Ok(Verdict::Refused { reason, .. }) => reason,
            Err(error) => error.to_string(),
        };
        if self.waits.is_news(&id, &problem) {
            tracing::warn!(block = %id, problem, "a block of ours is unknown to the upstream, and not taken again");
        }
    }

    pub(super) async fn split(self: &Arc<Self>) {
        let now = (self.clock)();
        let outcomes = self.step(move |keeper| {
            let mut schemes = keeper.schemes.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(keeper.rounds().split_due(&mut schemes, now)?)
        });
        match outcomes.await {
            Ok(outcomes) => outcomes.iter().for_each(|outcome| match outcome {
                SplitOutcome::Split { block, distributed } => {
                    self.waits.is_over(block);
                    tracing::info!(%block, atoms = distributed.to_atoms(), "a block's reward is split");
                }
                SplitOutcome::Postponed { block, why } if self.waits.is_news(block, why) => {
                    tracing::warn!(%block, %why, "a block waits to be split");
                }
                SplitOutcome::Postponed { .. } => {}
            }),
            Err(error) => tracing::error!(%error, "blocks are not split"),
        }
    }
}
