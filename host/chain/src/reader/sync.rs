//! What other nodes ask for, and what this one has to ask for: locators, headers in order, bodies.
//!
//! A node that was away sends a locator of what it has. The answer is a page of headers that lead from the newest block of the answerer's selected
//! chain that both have up to its tip, and on a DAG to what stands beside that tip. It takes the page and asks again from the page's last header
//! ([`ChainReader::locator_from`]) while there are more. Each page but the last ends with a block of the answerer's selected chain above all those
//! that the question named, so that this comes to an end however many of the headers the asker knew.

use super::{ChainReader, PageLimits};
use crate::Conflicts;
use crate::index::{BlockStatus, Lacked};
use crate::record::{self, HeaderRecord};
use adit_primitives::contract::KnownBlock;
use adit_primitives::storage::{StorageError, Table};
use adit_primitives::{BlockId, Encode};

/// Headers that a peer lacks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeadersPage {
    /// Parents before children.
    pub headers: Vec<Vec<u8>>,
    /// Where there are more above it, the last one: a block of the selected chain, from which the next page is asked.
    pub more: Option<BlockId>,
}

/// Headers on their way onto a page.
struct Page {
    limits: PageLimits,
    headers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Page {
    /// Puts a whole group onto the page, which always has room for the first. Returns whether it had.
    fn add(&mut self, group: Vec<Vec<u8>>) -> bool {
        let bytes = self.bytes + group.iter().map(Vec::len).sum::<usize>();
        let blocks = self.headers.len() + group.len();
        let fits = blocks <= self.limits.blocks_max && bytes <= self.limits.bytes_max;
        if !fits && !self.headers.is_empty() {
            return false;
        }
        self.headers.extend(group);
        self.bytes = bytes;
        true
    }
}

impl ChainReader {
    /// Returns how far a block has been judged, or `None` where it is unknown.
    pub fn status(&self, id: BlockId) -> Option<BlockStatus> {
        self.index.status(id)
    }

    /// Returns the block with the most work that breaks no rule as far as is known, whether or not its body has come.
    pub fn best_header(&self) -> KnownBlock {
        self.index.best_header()
    }

    /// Returns the ends of branches that have more work than the selected tip, best first, at most `max`: bodies are missing on the way to them. Where
    /// nobody has the bodies of the best one, the next may be the chain.
    pub fn heads_ahead(&self, max: usize) -> Vec<KnownBlock> {
        self.index.heads_ahead(max)
    }

    /// Returns ids back from the best header along selected parents: ten one by one, then with doubled steps, the genesis last. About 40 on the
    /// longest of chains.
    pub fn locator(&self) -> Vec<BlockId> {
        self.index.locator(self.index.best_header().id)
    }

    /// The same from any block. Nothing where it is unknown.
    pub fn locator_from(&self, id: BlockId) -> Vec<BlockId> {
        self.index.locator(id)
    }

    /// Returns headers that a peer lacks which has the blocks of its locator, of `tips_known`, and of their pasts: those of blocks with bodies, in
    /// an order in which they can be taken. No more than 256 ids are looked at, those of the locator first.
    ///
    /// The selected chain comes first, each of its blocks after what it merges; then, where blocks merge others, what stands beside the selected tip, the
    /// best first, as far as the page has room. What two blocks of the selected chain have between them is never torn apart: a page
    /// is longer than its limits where that alone is. On a chain without merges it is one header.
    pub fn headers_after(
        &self,
        locator: &[BlockId],
        tips_known: &[BlockId],
        limits: PageLimits,
    ) -> Result<HeadersPage, StorageError> {
        let known: Vec<BlockId> = locator.iter().chain(tips_known).copied().collect();
        let merges = self.rules.conflicts == Conflicts::SkipTransaction;
        let Lacked { chain, whole, beside } = self.index.lacked_by(&known, merges, limits.blocks_max);
        let mut page = Page { limits, headers: Vec::new(), bytes: 0 };
        let mut last = None;
        for group in chain {
            if !page.add(self.headers_of(&group)?) {
                return Ok(HeadersPage { headers: page.headers, more: last });
            }
            last = group.last().copied();
        }
        let on_chain = page.headers.len();
        for group in beside {
            if !page.add(self.headers_of(&group)?) {
                // A page that goes on must end with a block of the selected chain.
                page.headers.truncate(if last.is_some() { on_chain } else { page.headers.len() });
                return Ok(HeadersPage { headers: page.headers, more: last });
            }
        }
        Ok(HeadersPage { headers: page.headers, more: last.filter(|_| !whole) })
    }

    /// Returns the canonical bytes of blocks, in order, `None` for those whose body is not here or that are invalid. As many answers as
    /// `bytes_max` bytes allow, at least one: the rest is to be asked again.
    pub fn blocks(&self, ids: &[BlockId], bytes_max: usize) -> Result<Vec<Option<Vec<u8>>>, StorageError> {
        let (mut blocks, mut bytes) = (Vec::new(), 0);
        for id in ids {
            let block = self.block_bytes(*id)?;
            bytes += block.as_ref().map_or(0, Vec::len);
            if bytes > bytes_max && !blocks.is_empty() {
                break;
            }
            blocks.push(block);
        }
        Ok(blocks)
    }

    /// Returns a block's header, whether or not its body is known.
    pub fn header(&self, id: BlockId) -> Result<Option<Vec<u8>>, StorageError> {
        let record: Option<HeaderRecord> = record::read(&*self.storage, Table::Headers, &id.to_bytes())?;
        Ok(record.map(|record| record.header))
    }

    /// Returns blocks whose headers are known and whose bodies are missing, on the way to `towards` and itself, in the order in which they are to be
    /// submitted, at most `max`. To be asked as often as wanted: it looks at no more blocks than it tells of, and those between them
    /// whose bodies have come.
    pub fn lacking_bodies(&self, towards: BlockId, max: usize) -> Vec<BlockId> {
        self.index.lacking_bodies(towards, max)
    }

    fn headers_of(&self, group: &[BlockId]) -> Result<Vec<Vec<u8>>, StorageError> {
        let headers = group.iter().map(|id| {
            let header = self.header(*id)?;
            header.ok_or_else(|| record::damaged(Table::Headers, &format!("block {id} has no header")))
        });
        headers.collect()
    }

    fn block_bytes(&self, id: BlockId) -> Result<Option<Vec<u8>>, StorageError> {
        if !matches!(self.index.status(id), Some(BlockStatus::Body | BlockStatus::Valid)) {
            return Ok(None);
        }
        let body = self.storage.get(Table::Bodies, &id.to_bytes())?;
        // A block is its header's bytes and then its body, which is kept as it is sent.
        Ok(self.header(id)?.zip(body).map(|(header, body)| [header.to_bytes(), body].concat()))
    }
}
