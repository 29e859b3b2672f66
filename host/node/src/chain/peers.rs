//! What the network asks of the chain: headers and blocks in bulk, and news of what was taken.
//!
//! What comes from peers is checked beside the chain's thread and taken in turns: each turn is one durable commit, short enough that miners do not
//! wait for it, and no more than [`TURNS`] of them stand in the mailbox at once.

use super::checks::{self, Checks};
use super::{ChainHandle, Request, SubmitError, Taken, Unavailable};
use adit_chain::{Asked, Block, Checked, CheckedHeaders, TakenHeaders};
use adit_primitives::engine::Fault;
use adit_primitives::{BlockId, TxId};
use std::sync::Arc;
use tokio::sync::{broadcast, oneshot};

/// News that wait for a slow reader; the oldest go, and the reader is told how many.
pub const NEWS_MAX: usize = 4096;

/// Turns of peers that are checked or wait for the chain at once: while one is placed, the next is made ready.
pub const TURNS: usize = 2;

/// The most headers that are read at once.
const HEADERS_PER_PAGE: usize = 1000;

/// The most blocks of a turn.
const BLOCKS_PER_TURN: usize = 256;

/// Bytes of blocks after which a turn is full.
const BYTES_PER_TURN: usize = 4 << 20;

/// What the chain has taken, whoever offered it, and what it found out later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A block with its body: from a miner, the API, a pool, a peer, or one that had waited.
    Block {
        id: BlockId,
        header: Arc<[u8]>,
        /// The peer that offered it, where one did: see [`ChainHandle::submit_blocks`].
        source: Option<u64>,
    },
    /// A block had waited for its parents or its time, and breaks a rule: whoever offered it has had no verdict yet.
    Invalid {
        id: BlockId,
        rule: String,
        /// The peer that offered it.
        source: u64,
    },
    /// Transactions that wait for a block now.
    Transactions(Arc<[TxId]>),
}

impl ChainHandle {
    /// Returns a receiver of what is taken from now on. A reader that falls behind loses the oldest news and is told how many: what it
    /// missed, tips and mempool tell.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Submits headers without bodies, parents before children. Read and hashed by all cores, placed in order, up to the first that is refused.
    /// It waits for its turn instead of being refused as busy. Where hashes take long, a part is judged before the next is hashed: whoever sends nonsense
    /// has no more of them computed than one batch, or than it sent good headers before.
    pub async fn submit_headers(&self, headers: Vec<Vec<u8>>) -> Result<TakenHeaders, Unavailable> {
        let mut taken = TakenHeaders { ids: Vec::new(), new: 0, refused: None };
        let mut left = headers.into_iter();
        while taken.refused.is_none() {
            let page: Vec<Vec<u8>> = left.by_ref().take(HEADERS_PER_PAGE).collect();
            if page.is_empty() {
                break;
            }
            self.submit_page(page, &mut taken).await?;
        }
        Ok(taken)
    }

    async fn submit_page(&self, page: Vec<Vec<u8>>, taken: &mut TakenHeaders) -> Result<(), Unavailable> {
        let before = taken.ids.len();
        let turn = || async { self.turns.acquire().await.map_err(|_| Unavailable::Stopped) };
        let permit = turn().await?;
        let mut left = match self.checks.decode_headers(page).await {
            Ok(decoded) => decoded,
            Err(fault) => return self.place_headers(Err(fault), before, taken).await,
        };
        drop(permit);
        let mut good = 0;
        loop {
            let part = left.part(self.checks.part(good));
            good += part.open();
            let _permit = turn().await?;
            let checked = self.checks.hash_headers(part).await;
            self.place_headers(checked, before, taken).await?;
            if left.open() == 0 || taken.refused.is_some() {
                return Ok(());
            }
        }
    }

    /// Has headers placed, and adds what was taken. `before` is how many came before their page.
    async fn place_headers(
        &self,
        checked: Result<CheckedHeaders, Fault>,
        before: usize,
        taken: &mut TakenHeaders,
    ) -> Result<(), Unavailable> {
        let placed = self.ask_in_turn(|reply| Request::Headers { checked, reply }).await?;
        taken.ids.extend(placed.ids);
        taken.new += placed.new;
        taken.refused = placed.refused.map(|error| error.after(before));
        Ok(())
    }

    /// Submits whole blocks, parents before children: checked by all cores, placed in order, with few durable commits. One answer for each. `source` is
    /// any number that stands for who offered them, its highest bit left aside: what waits for a parent is bounded for each. It waits for its turn instead of being refused
    /// as busy; blocks of calls that run at once may be placed in any order.
    pub async fn submit_blocks(
        &self,
        blocks: Vec<Block>,
        source: Option<u64>,
    ) -> Result<Vec<Result<Taken, SubmitError>>, Unavailable> {
        self.submit_asked(blocks.into_iter().map(|block| (None, block)).collect(), source).await
    }

    /// The same for blocks that were asked for by their ids: another one than was asked for is refused, and costs no hash.
    pub async fn submit_asked(
        &self,
        blocks: Vec<Asked>,
        source: Option<u64>,
    ) -> Result<Vec<Result<Taken, SubmitError>>, Unavailable> {
        let source = source.map(checks::session);
        let mut answers = Vec::with_capacity(blocks.len());
        let mut turns = turns_of(blocks).into_iter();
        let check =
            |turn: Option<Vec<Asked>>| turn.map(|turn| tokio::spawn(check_turn(self.checks.clone(), turn, source)));
        let _permit = self.turns.acquire().await.map_err(|_| Unavailable::Stopped)?;
        let mut ahead = check(turns.next());
        while let Some(checking) = ahead {
            let checked = checking.await.map_err(|_| Unavailable::Stopped)?;
            ahead = check(turns.next());
            answers.extend(self.ask_in_turn(|reply| Request::Blocks { checked, reply }).await?);
        }
        Ok(answers)
    }

    /// Forgets the headers that stand on the first body lacking on the way to a block: to be asked where no peer has that body, so that the next best
    /// branch is fetched. Returns how many headers were forgotten.
    pub async fn forget_headers(&self, towards: BlockId) -> Result<usize, Unavailable> {
        self.ask_in_turn(|reply| Request::Forget { towards, reply }).await
    }

    /// Waits for room in the mailbox.
    pub(super) async fn ask_in_turn<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(request(reply)).await.map_err(|_| Unavailable::Stopped)?;
        answer.await.map_err(|_| Unavailable::Stopped)
    }
}

async fn check_turn(
    checks: Checks,
    blocks: Vec<Asked>,
    source: Option<u64>,
) -> Vec<Result<Checked, adit_chain::BlockError>> {
    let checked = checks.check_all(blocks).await.into_iter();
    match source {
        Some(source) => checked.map(|checked| checked.map(|checked| checked.from_source(source))).collect(),
        None => checked.collect(),
    }
}

/// Splits blocks into turns.
fn turns_of(blocks: Vec<Asked>) -> Vec<Vec<Asked>> {
    let (mut turns, mut turn, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (asked, block) in blocks {
        bytes += block.size();
        turn.push((asked, block));
        if turn.len() == BLOCKS_PER_TURN || bytes >= BYTES_PER_TURN {
            turns.push(std::mem::take(&mut turn));
            bytes = 0;
        }
    }
    turns.extend((!turn.is_empty()).then_some(turn));
    turns
}
