//! What can be said of blocks and headers before their place in the chain matters: on any thread, many at once.
//!
//! Sizes, the header's form, the body's root, the digest of the proof of work: nothing here depends on other blocks, so the chain's owner is
//! left with placing blocks in order. Whether the digest meets the target is for the rules, which judge it with the header's place.
//! What cannot be placed yet, or was placed before, is not hashed: a flood of either costs no more than reading it.

use crate::headers::{DecodedHeader, DecodedHeaders, HashedHeader, HeaderError, Judge};
use crate::index::BlockStatus;
use crate::waiting::Waited;
use crate::{Block, BlockError, BlockIndex, LedgerRules};
use adit_primitives::contract::{HeaderView, Violation};
use adit_primitives::engine::{Fault, HashEngine, RulesEngine};
use adit_primitives::{BlockId, Hash256};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Checks blocks one after another. Several may work beside each other.
pub struct Checker {
    judge: Judge,
    index: Arc<BlockIndex>,
    ledger: LedgerRules,
}

/// A block of which all that it shows by itself is in order.
#[derive(Debug, Clone)]
pub struct Checked {
    pub(crate) block: Block,
    pub(crate) view: HeaderView,
    /// `None` where the header was placed before, or could not be placed when it was checked.
    pub(crate) pow: Option<Hash256>,
    /// Who offered it, as far as that was said.
    pub(crate) source: Option<u64>,
}

/// A block, and by which id it was asked for, where it was.
pub type Asked = (Option<BlockId>, Block);

impl Checked {
    /// Returns the block's id.
    pub fn id(&self) -> BlockId {
        self.view.id
    }

    /// Returns how many payments the block holds.
    pub fn payments(&self) -> usize {
        self.block.body.len().saturating_sub(1)
    }

    /// Returns who offered the block, as far as that was said.
    pub fn source(&self) -> Option<u64> {
        self.source
    }

    /// Says who offered the block: what waits for a parent is bounded for each source.
    pub fn from_source(self, source: u64) -> Self {
        Self { source: Some(source), ..self }
    }
}

impl Checker {
    pub(crate) fn new(
        rules: Arc<dyn RulesEngine>,
        hash: Box<dyn HashEngine>,
        index: Arc<BlockIndex>,
        ledger: LedgerRules,
    ) -> Self {
        Self { judge: Judge::new(rules, hash), index, ledger }
    }

    /// Checks a block. One that is known, or known as invalid, is not hashed again.
    pub fn check(&mut self, block: Block) -> Result<Checked, BlockError> {
        check_block(&mut self.judge, &self.index, &self.ledger, block)
    }

    /// The same for many, whose headers are read and hashed in bulk. One answer for each.
    pub fn check_all(&mut self, blocks: Vec<Block>) -> Vec<Result<Checked, BlockError>> {
        self.check_asked(blocks.into_iter().map(|block| (None, block)).collect())
    }

    /// The same for blocks of which some were asked for by their ids: another one than was asked for is refused without being hashed.
    pub fn check_asked(&mut self, blocks: Vec<Asked>) -> Vec<Result<Checked, BlockError>> {
        check_blocks(&mut self.judge, &self.index, &self.ledger, blocks)
    }

    /// Reads headers up to the first that cannot be placed: one that is invalid by itself or stands on an invalid or unknown block, or, where plots win
    /// blocks, one that breaks a rule whatever its score is.
    pub fn decode_headers(&self, headers: Vec<Vec<u8>>) -> Result<DecodedHeaders, Fault> {
        decode_headers(&self.judge, &self.index, &self.ledger, headers)
    }

    /// Hashes what the headers' proofs of work are about.
    pub fn hash_headers(&mut self, headers: Vec<DecodedHeader>) -> Result<Vec<HashedHeader>, Fault> {
        self.judge.hash_headers(headers)
    }
}

/// Reads headers up to the first that cannot be placed, or is too long.
pub(crate) fn decode_headers(
    judge: &Judge,
    index: &Arc<BlockIndex>,
    ledger: &LedgerRules,
    mut headers: Vec<Vec<u8>>,
) -> Result<DecodedHeaders, Fault> {
    let max = ledger.header_bytes_max;
    let sound = headers.iter().position(|header| header.len() > max);
    let too_long = sound.map(|position| {
        let detail = format!("{} bytes of header, {max} are allowed", headers[position].len());
        HeaderError::Invalid { position, violation: block_size(detail) }
    });
    headers.truncate(sound.unwrap_or(headers.len()));
    let mut decoded = judge.decode_headers(index, headers)?;
    decoded.stopped = decoded.stopped.or(too_long);
    judge.foretell(index, &mut decoded)?;
    Ok(decoded)
}

/// Checks a block by these plugins.
pub(crate) fn check_block(
    judge: &mut Judge,
    index: &Arc<BlockIndex>,
    ledger: &LedgerRules,
    block: Block,
) -> Result<Checked, BlockError> {
    check_size(&block, ledger)?;
    let view = judge.decode_one(&block.header)?.map_err(|violation| BlockError::Invalid { id: None, violation })?;
    let mut checked = check_decoded(index, block, view)?;
    if needs_digest(index, &BTreeSet::new(), &checked.view) {
        foretell(judge, index, &checked)?;
        checked.pow = Some(judge.digest_of(&checked.view)?);
    }
    Ok(checked)
}

/// Checks again a block that has waited since its digest was computed.
pub(crate) fn recheck(judge: &Judge, index: &BlockIndex, waited: Waited) -> Result<Checked, BlockError> {
    let Waited { block, source, pow } = waited;
    let view = judge.decode_one(&block.header)?.map_err(|violation| BlockError::Invalid { id: None, violation })?;
    check_unknown(index, view.id)?;
    Ok(Checked { block, view, pow, source })
}

/// Checks blocks whose headers are read and hashed in bulk. Where that comes to no end, each is checked by itself, so that one block's fault
/// says nothing about the others.
fn check_blocks(
    judge: &mut Judge,
    index: &Arc<BlockIndex>,
    ledger: &LedgerRules,
    blocks: Vec<Asked>,
) -> Vec<Result<Checked, BlockError>> {
    let (asked, blocks): (Vec<Option<BlockId>>, Vec<Block>) = blocks.into_iter().unzip();
    let sized = |block: &Block| check_size(block, ledger).map_or_else(|_| Vec::new(), |()| block.header.clone());
    let headers: Vec<Vec<u8>> = blocks.iter().map(sized).collect();
    let Ok(views) = judge.decode_all(&headers) else {
        let check = |(asked, block)| {
            let checked = check_block(judge, index, ledger, block)?;
            check_asked(asked, checked.id()).map(|()| checked)
        };
        return std::iter::zip(asked, blocks).map(check).collect();
    };
    let check = |((asked, block), view): ((Option<BlockId>, Block), Result<HeaderView, Violation>)| {
        check_size(&block, ledger)?;
        let view = view.map_err(|violation| BlockError::Invalid { id: None, violation })?;
        check_asked(asked, view.id)?;
        check_decoded(index, block, view)
    };
    let blocks = std::iter::zip(asked, blocks);
    let answers = std::iter::zip(blocks, views).map(check).collect();
    hash_blocks(judge, index, answers)
}

/// Hashes those of the blocks that can be placed, in one call. Where that has no answer, each is hashed by itself.
fn hash_blocks(
    judge: &mut Judge,
    index: &Arc<BlockIndex>,
    answers: Vec<Result<Checked, BlockError>>,
) -> Vec<Result<Checked, BlockError>> {
    // Where a digest is dear, a block waits until its parent is known to be good.
    let beside = answers.iter().flatten().filter(|_| !judge.is_dear()).map(Checked::id).collect();
    let open = |answer: Result<Checked, BlockError>| {
        let checked = answer?;
        let open = needs_digest(index, &beside, &checked.view);
        if open { foretell(judge, index, &checked).map(|()| (open, checked)) } else { Ok((open, checked)) }
    };
    let answers: Vec<Result<(bool, Checked), BlockError>> = answers.into_iter().map(open).collect();
    let views: Vec<&HeaderView> =
        answers.iter().flatten().filter(|(open, _)| *open).map(|(_, checked)| &checked.view).collect();
    let mut digests = judge.digests(views.iter().copied()).ok().map(Vec::into_iter);
    let hash = |answer: Result<(bool, Checked), BlockError>| {
        let (open, checked) = answer?;
        let pow = match digests.as_mut().filter(|_| open) {
            Some(digests) => digests.next(),
            None if open => Some(judge.digest_of(&checked.view)?),
            None => None,
        };
        Ok(Checked { pow, ..checked })
    };
    answers.into_iter().map(hash).collect()
}

/// Refuses a block that breaks a rule whatever its digest is, where digests are dear.
fn foretell(judge: &Judge, index: &Arc<BlockIndex>, checked: &Checked) -> Result<(), BlockError> {
    match judge.foretell_one(index, &checked.block.header)? {
        Some(violation) => Err(BlockError::Invalid { id: Some(checked.id()), violation }),
        None => Ok(()),
    }
}

/// Refuses another block than was asked for. Nothing is said of either.
fn check_asked(asked: Option<BlockId>, id: BlockId) -> Result<(), BlockError> {
    if asked.is_none_or(|asked| asked == id) {
        return Ok(());
    }
    let detail = format!("block {id} is not the one that was asked for");
    Err(BlockError::Invalid { id: None, violation: Violation { rule: "id".to_owned(), detail } })
}

/// Checks what needs neither a hash nor the rules.
fn check_decoded(index: &BlockIndex, block: Block, view: HeaderView) -> Result<Checked, BlockError> {
    check_unknown(index, view.id)?;
    check_root(&block, &view)?;
    Ok(Checked { block, view, pow: None, source: None })
}

/// Tells whether a header is to be placed, and can be once the blocks `beside` it are. What stands on an invalid block is refused without that.
fn needs_digest(index: &BlockIndex, beside: &BTreeSet<BlockId>, view: &HeaderView) -> bool {
    let sound = |parent: &BlockId| {
        beside.contains(parent) || index.status(*parent).is_some_and(|status| status != BlockStatus::Invalid)
    };
    !index.contains(view.id) && view.parents.iter().all(sound)
}

/// Refuses a block whose body is kept, or which is invalid.
pub(crate) fn check_unknown(index: &BlockIndex, id: BlockId) -> Result<(), BlockError> {
    match index.status(id) {
        None | Some(BlockStatus::Header) => Ok(()),
        Some(BlockStatus::Invalid) => {
            let violation = index.violation(id).unwrap_or_else(crate::headers::second_genesis);
            Err(BlockError::KnownInvalid { id, violation })
        }
        Some(BlockStatus::Body | BlockStatus::Valid) => Err(BlockError::Known { id }),
    }
}

fn check_size(block: &Block, ledger: &LedgerRules) -> Result<(), BlockError> {
    let (header, bytes) = (block.header.len(), block.size());
    if header <= ledger.header_bytes_max && bytes <= ledger.block_bytes_max {
        return Ok(());
    }
    let detail = format!(
        "{header} bytes of header and {bytes} in all, {} and {} are allowed",
        ledger.header_bytes_max, ledger.block_bytes_max
    );
    Err(BlockError::Invalid { id: None, violation: block_size(detail) })
}

/// Says that a block, or its header, has too many bytes.
pub(crate) fn block_size(detail: String) -> Violation {
    Violation { rule: "block-size".to_owned(), detail }
}

fn check_root(block: &Block, view: &HeaderView) -> Result<(), BlockError> {
    let detail = match block.body_root() {
        Ok(root) if root == view.body_root => return Ok(()),
        Ok(root) => format!("the body's root is {root}, the header commits to {}", view.body_root),
        Err(error) => error.to_string(),
    };
    // Another body may be the right one: nothing is said of the block whose header this is.
    Err(BlockError::Invalid { id: None, violation: Violation { rule: "body-root".to_owned(), detail } })
}
