//! What peers sent goes to the chain, and what the chain says goes back as a verdict.
//!
//! A verdict blames a peer for what breaks a rule whoever judges it, and for nothing else: not for what this node does not take, has no room for, or
//! could not judge.

use super::ahead::Ahead;
use crate::chain::{ChainHandle, SubmitError, Taken, Unavailable, session};
use adit_chain::{Block, BlockError, HeaderError, HeadersError, MempoolError, Transaction, TransactionError};
use adit_network::{Event, JudgeBlock, NodeId, Ticket, Verdict};
use adit_primitives::{BlockId, Decode, TxId};
use bytes::Bytes;
use std::sync::Arc;

/// Judges a header that came by itself, as that of the block `id`.
pub async fn header(chain: &ChainHandle, ahead: &Ahead, id: BlockId, header: Vec<u8>) -> Verdict {
    match chain.submit_headers(vec![header]).await {
        Ok(taken) => match taken.refused {
            Some(refused) => of_headers(refused, ahead),
            None if taken.ids == [id] => Verdict::Valid,
            None => invalid("id", "it is not the header of the block that was told of"),
        },
        Err(unavailable) => busy(unavailable),
    }
}

/// Judges headers.
pub async fn headers(chain: ChainHandle, ahead: Arc<Ahead>, ticket: Ticket, headers: Vec<Bytes>) -> Event {
    let headers = headers.iter().map(|header| header.to_vec()).collect();
    let (new, last, verdict) = match chain.submit_headers(headers).await {
        Ok(taken) => {
            let verdict = taken.refused.map_or(Verdict::Valid, |refused| of_headers(refused, &ahead));
            (taken.new, taken.ids.last().copied(), verdict)
        }
        Err(unavailable) => (0, None, busy(unavailable)),
    };
    Event::HeadersJudged { ticket, new, last, verdict }
}

/// Returns the number of a node among the sources of blocks.
pub fn source_of(node: &NodeId) -> u64 {
    session(u64::from_le_bytes(*node.0.first_chunk().expect("a key has 32 bytes")))
}

/// Judges blocks. What is no block, or not the one that was asked for, is invalid without more ado.
pub async fn blocks(chain: ChainHandle, ticket: Ticket, blocks: Vec<JudgeBlock>, sender: Option<NodeId>) -> Event {
    let source = sender.as_ref().map(source_of);
    let (mut ids, mut sound, mut verdicts) = (Vec::new(), Vec::new(), Vec::with_capacity(blocks.len()));
    for block in blocks {
        match Block::from_bytes(&block.bytes) {
            Ok(decoded) => {
                verdicts.push(None);
                ids.push(block.id);
                sound.push((Some(block.id), decoded));
            }
            Err(error) => verdicts.push(Some(invalid("encoding", &error.to_string()))),
        }
    }
    let judged = match chain.submit_asked(sound, source).await {
        Ok(outcomes) => std::iter::zip(ids, outcomes).map(|(id, outcome)| of_block(id, outcome)).collect(),
        Err(unavailable) => vec![busy(unavailable); ids.len()],
    };
    let mut judged = judged.into_iter();
    let verdicts = verdicts.into_iter().map(|known| known.or_else(|| judged.next()).unwrap_or(Verdict::Busy)).collect();
    Event::BlocksJudged { ticket, verdicts }
}

/// Judges transactions, and tells which of them nobody needs to be asked for again.
pub async fn transactions(chain: ChainHandle, ticket: Ticket, transactions: Vec<(TxId, Bytes)>) -> (Event, Vec<TxId>) {
    let (mut verdicts, mut seen) = (Vec::with_capacity(transactions.len()), Vec::new());
    for (id, bytes) in transactions {
        let verdict = match Transaction::from_bytes(&bytes) {
            Err(error) => invalid("encoding", &error.to_string()),
            Ok(transaction) if transaction.id() != id => invalid("id", "it is not the transaction that was asked for"),
            Ok(transaction) => match chain.submit_transaction(transaction).await {
                Ok(Ok(_)) => Verdict::Valid,
                Ok(Err(error)) => of_transaction(&error),
                Err(unavailable) => busy(unavailable),
            },
        };
        if !matches!(verdict, Verdict::Busy | Verdict::Fault | Verdict::Orphan { .. }) {
            seen.push(id);
        }
        verdicts.push(verdict);
    }
    (Event::TransactionsJudged { ticket, verdicts }, seen)
}

fn invalid(rule: &str, detail: &str) -> Verdict {
    Verdict::Invalid { rule: format!("{rule}: {detail}") }
}

fn busy(unavailable: Unavailable) -> Verdict {
    match unavailable {
        Unavailable::Busy => Verdict::Busy,
        Unavailable::Stopped => Verdict::Fault,
    }
}

fn of_headers(error: HeadersError, ahead: &Ahead) -> Verdict {
    match error {
        HeadersError::Header(HeaderError::Invalid { violation, .. }) => invalid(&violation.rule, &violation.detail),
        HeadersError::Header(HeaderError::Orphan { parent, .. }) => Verdict::Orphan { missing: vec![parent] },
        HeadersError::Early { valid_from, .. } => {
            ahead.note(valid_from);
            Verdict::Early
        }
        // As many bodies are missing as may be: they come first.
        HeadersError::Full { .. } => Verdict::Busy,
        HeadersError::Header(HeaderError::Fault(_)) => Verdict::Fault,
    }
}

fn of_block(asked: BlockId, outcome: Result<Taken, SubmitError>) -> Verdict {
    let (id, verdict) = match outcome {
        Ok(taken) => (Some(taken.accepted.id), Verdict::Valid),
        Err(SubmitError::Block(error)) => match error {
            BlockError::Known { id } => (Some(id), Verdict::Known),
            BlockError::Orphan { id, missing } => (Some(id), Verdict::Orphan { missing: vec![missing] }),
            BlockError::Early { id, .. } => (Some(id), Verdict::Early),
            BlockError::Deep { id } => (Some(id), Verdict::Declined),
            BlockError::Invalid { id, violation } => (id, invalid(&violation.rule, &violation.detail)),
            BlockError::KnownInvalid { id, violation } => (Some(id), invalid(&violation.rule, &violation.detail)),
            BlockError::Fault(_) | BlockError::Storage(_) => (None, Verdict::Fault),
        },
        Err(error) => (None, invalid("block", &error.to_string())),
    };
    match id {
        Some(id) if id != asked => invalid("id", "it is not the block that was asked for"),
        _ => verdict,
    }
}

fn of_transaction(error: &MempoolError) -> Verdict {
    match error {
        MempoolError::Known { .. } => Verdict::Known,
        // What it spends may be on its way, or spent by a block that this node has and the sender has not.
        MempoolError::Invalid(TransactionError::Missing { .. } | TransactionError::Immature { .. })
        | MempoolError::Fee { .. }
        | MempoolError::Conflict { .. }
        | MempoolError::Replaced { .. }
        | MempoolError::Package { .. }
        | MempoolError::Full => Verdict::Declined,
        MempoolError::Coinbase | MempoolError::Invalid(_) => invalid("transaction", &error.to_string()),
        MempoolError::Storage(_) => Verdict::Fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adit_chain::OutPoint;
    use adit_primitives::contract::Violation;

    const ASKED: BlockId = BlockId([1; 32]);
    const OTHER: BlockId = BlockId([2; 32]);

    fn violation() -> Violation {
        Violation { rule: "pow".to_owned(), detail: "above the target".to_owned() }
    }

    fn block(error: BlockError) -> Verdict {
        of_block(ASKED, Err(SubmitError::Block(error)))
    }

    #[test]
    fn a_peer_is_blamed_for_what_breaks_a_rule_and_for_nothing_else() {
        let blamed = |verdict: &Verdict| matches!(verdict, Verdict::Invalid { .. });
        assert!(blamed(&block(BlockError::Invalid { id: Some(ASKED), violation: violation() })));
        assert!(blamed(&block(BlockError::KnownInvalid { id: ASKED, violation: violation() })));
        assert!(blamed(&block(BlockError::Known { id: OTHER })), "another block than was asked for");
        let storage = adit_primitives::storage::StorageError { detail: String::new() };
        for fine in [
            BlockError::Known { id: ASKED },
            BlockError::Orphan { id: ASKED, missing: OTHER },
            BlockError::Storage(storage),
        ] {
            assert!(!blamed(&block(fine.clone())), "{fine:?}");
        }
        let previous = OutPoint { transaction: TxId([0; 32]), index: 0 };
        assert!(!blamed(&of_transaction(&MempoolError::Invalid(TransactionError::Missing { previous }))));
        assert!(!blamed(&of_transaction(&MempoolError::Full)));
        assert!(blamed(&of_transaction(&MempoolError::Invalid(TransactionError::Signature { index: 0 }))));
        assert!(blamed(&of_transaction(&MempoolError::Coinbase)));
    }
}
