//! Answers to what peers ask for, read off the disk beside the machine's thread.

use crate::chain::ChainHandle;
use adit_chain::{ChainReader, PageLimits};
use adit_network::wire::{
    BLOCKS_BYTES_MAX, Frame, HEADERS_BYTES_MAX, HEADERS_MAX, Locator, TRANSACTION_IDS_MAX, TRANSACTIONS_BYTES_MAX,
};
use adit_network::{Request, RequestId};
use adit_primitives::storage::StorageError;
use adit_primitives::{BlockId, Encode, TxId};
use bytes::Bytes;

/// Answers a question by one or more frames, by [`Frame::Busy`] where it cannot be answered now. Addresses and rounds are not answered here.
pub async fn answer(chain: &ChainHandle, request: RequestId, asked: Request) -> Vec<Frame> {
    let reader = chain.reader().clone();
    let answer = match asked {
        Request::Headers { locator } => read(move || headers(&reader, request, &locator)).await,
        Request::Blocks { ids } => read(move || blocks(&reader, request, &ids)).await,
        Request::Transactions { ids } => transactions(chain, request, &ids).await.map(|frame| vec![frame]),
        Request::Pool => pool(chain).await,
        Request::Peers | Request::Rounds { .. } => None,
    };
    answer.unwrap_or_else(|| vec![Frame::Busy { request }])
}

async fn read(read: impl FnOnce() -> Result<Frame, StorageError> + Send + 'static) -> Option<Vec<Frame>> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(frame)) => Some(vec![frame]),
        Ok(Err(error)) => {
            tracing::error!(%error, "a peer's question cannot be answered");
            None
        }
        Err(_) => None,
    }
}

fn headers(reader: &ChainReader, request: RequestId, locator: &Locator) -> Result<Frame, StorageError> {
    // A page ends with a block of the selected chain and all that it merges, and may be longer by that.
    let limits = PageLimits { blocks_max: HEADERS_MAX / 2, bytes_max: HEADERS_BYTES_MAX / 2 };
    let page = reader.headers_after(&locator.blocks, &locator.tips, limits)?;
    Ok(Frame::Headers { request, headers: page.headers.into_iter().map(Bytes::from).collect(), more: page.more })
}

fn blocks(reader: &ChainReader, request: RequestId, ids: &[BlockId]) -> Result<Frame, StorageError> {
    let blocks = reader.blocks(ids, BLOCKS_BYTES_MAX)?;
    Ok(Frame::Blocks { request, blocks: blocks.into_iter().map(|block| block.map(Bytes::from)).collect() })
}

async fn transactions(chain: &ChainHandle, request: RequestId, ids: &[TxId]) -> Option<Frame> {
    let (mut transactions, mut bytes) = (Vec::new(), 0);
    for id in ids {
        let waiting = chain.pending(*id).await.ok()?;
        let encoded = waiting.map(|pending| Bytes::from(pending.transaction.to_bytes()));
        bytes += encoded.as_ref().map_or(0, Bytes::len);
        if bytes > TRANSACTIONS_BYTES_MAX && !transactions.is_empty() {
            break;
        }
        transactions.push(encoded);
    }
    Some(Frame::Transactions { request, transactions })
}

async fn pool(chain: &ChainHandle) -> Option<Vec<Frame>> {
    let waiting = chain.pool().await.ok()?;
    let announce = |part: &[_]| Frame::AnnounceTransactions {
        level: 0,
        ids: part.iter().map(|pending: &std::sync::Arc<adit_chain::Pending>| pending.id).collect(),
    };
    Some(waiting.chunks(TRANSACTION_IDS_MAX).map(announce).collect())
}
