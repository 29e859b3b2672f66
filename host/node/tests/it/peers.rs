//! What the network asks of the chain: a node takes another's headers and blocks, and tells of everything that it takes.

use crate::support::{TestNode, without_proof, worthless_headers};
use adit_chain::{Block, BlockError, HeaderError, HeadersError, PageLimits};
use adit_node::chain::{ChainHandle, News, SubmitError};
use adit_primitives::{BlockId, Decode, Height};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

/// More blocks than one turn takes.
const BLOCKS: u64 = 260;

fn headers(from: &ChainHandle, after: &[BlockId]) -> Vec<Vec<u8>> {
    let limits = PageLimits { blocks_max: 2_000, bytes_max: 1 << 20 };
    let page = from.reader().headers_after(after, &[], limits).unwrap();
    assert_eq!(page.more, None);
    page.headers
}

fn blocks(from: &ChainHandle, ids: &[BlockId]) -> Vec<Block> {
    let bytes = from.reader().blocks(ids, 64 << 20).unwrap();
    bytes.into_iter().map(|bytes| Block::from_bytes(&bytes.unwrap()).unwrap()).collect()
}

fn ids(chain: &ChainHandle) -> Vec<BlockId> {
    (1..=chain.snapshot().tip.height.0).map(|height| chain.reader().id_at(Height(height)).unwrap()).collect()
}

/// Hears the blocks that were told of.
fn heard(news: &mut Receiver<News>) -> Vec<(BlockId, Option<u64>)> {
    let mut blocks = Vec::new();
    loop {
        match news.try_recv() {
            Ok(News::Block { id, source, .. }) => blocks.push((id, source)),
            Ok(News::Transactions(_) | News::Invalid { .. }) => {}
            Err(TryRecvError::Empty) => return blocks,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_headers_and_then_blocks_of_another_and_tells_of_each() {
    let (ahead, behind) = (TestNode::start().await, TestNode::start().await);
    for _ in 0..BLOCKS {
        ahead.mine().await;
    }
    let (from, to) = (ahead.node.chain(), behind.node.chain());
    let (want, mut news) = (ids(from), to.news());
    let taken = to.submit_headers(headers(from, &to.reader().locator())).await.unwrap();
    assert_eq!((&taken.ids, taken.new, &taken.refused), (&want, want.len(), &None));
    let snapshot = to.snapshot();
    assert_eq!((snapshot.tip.height, snapshot.best_header.height), (Height(0), Height(BLOCKS)));
    assert_eq!(snapshot.best_header.id, from.snapshot().tip.id);
    assert!(heard(&mut news).is_empty(), "headers alone are no blocks");
    let lacking = to.reader().lacking_bodies(snapshot.best_header.id, 1_000);
    assert_eq!(lacking, want);
    let answers = to.submit_blocks(blocks(from, &lacking), Some(7)).await.unwrap();
    for (answer, id) in std::iter::zip(answers, &want) {
        assert_eq!(answer.unwrap().accepted.id, *id);
    }
    assert_eq!(to.snapshot().tip, from.snapshot().tip);
    assert_eq!(heard(&mut news), want.iter().map(|id| (*id, Some(7))).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_a_peer_is_told_of_as_that_whatever_its_number_is() {
    let ahead = TestNode::start().await;
    ahead.mine().await;
    let from = ahead.node.chain();
    for number in [0, 1 << 63, u64::MAX] {
        let behind = TestNode::start().await;
        let (to, mut news) = (behind.node.chain(), behind.node.chain().news());
        to.submit_blocks(blocks(from, &ids(from)), Some(number)).await.unwrap();
        let heard = heard(&mut news);
        assert!(matches!(heard[..], [(_, Some(_))]), "{number}: {heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_header_is_named_by_its_place_in_the_whole_batch() {
    let (ahead, behind) = (TestNode::start().await, TestNode::start().await);
    for _ in 0..20 {
        ahead.mine().await;
    }
    let (from, to) = (ahead.node.chain(), behind.node.chain());
    let all = headers(from, &to.reader().locator());
    // Known ones come again and again, until the batch is longer than a turn; then one is left out.
    let mut batch: Vec<Vec<u8>> = all[..18].iter().cycle().take(18 * 70).cloned().collect();
    batch.push(all[19].clone());
    let taken = to.submit_headers(batch).await.unwrap();
    let orphan = HeaderError::Orphan { position: 18 * 70, parent: ids(from)[18] };
    assert_eq!((taken.ids.len(), taken.new), (18 * 70, 18));
    assert_eq!(taken.refused, Some(HeadersError::Header(orphan)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_page_of_nonsense_one_batch_is_hashed() {
    let node = TestNode::start().await;
    let chain = node.node.chain();
    let taken = chain.submit_headers(worthless_headers(500)).await.unwrap();
    let Some(HeadersError::Header(HeaderError::Invalid { position: 0, violation })) = taken.refused else {
        panic!("{taken:?}");
    };
    assert_eq!((violation.rule.as_str(), taken.new), ("proof-of-work", 0));
    assert_eq!(node.hashed(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_block_of_a_batch_has_its_answer_at_its_place() {
    let (ahead, behind) = (TestNode::start().await, TestNode::start().await);
    for _ in 0..3 {
        ahead.mine().await;
    }
    let (from, to) = (ahead.node.chain(), behind.node.chain());
    let mut batch = blocks(from, &ids(from));
    let mut forged = batch[1].clone();
    forged.body[0].data.push(1);
    batch.insert(1, forged);
    batch.insert(0, batch[0].clone());
    let answers = to.submit_blocks(batch, None).await.unwrap();
    assert!(matches!(answers[1], Err(SubmitError::Block(BlockError::Known { .. }))), "{answers:?}");
    assert!(matches!(answers[2], Err(SubmitError::Block(BlockError::Invalid { id: None, .. }))), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    assert_eq!(to.snapshot().tip, from.snapshot().tip);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_whose_bodies_nobody_has_are_forgotten() {
    let (ahead, behind) = (TestNode::start().await, TestNode::start().await);
    for _ in 0..5 {
        ahead.mine().await;
    }
    let (from, to) = (ahead.node.chain(), behind.node.chain());
    let want = ids(from);
    to.submit_headers(headers(from, &to.reader().locator())).await.unwrap();
    to.submit_blocks(blocks(from, &want[..2]), None).await.unwrap();
    assert_eq!(to.forget_headers(want[4]).await, Ok(3));
    assert_eq!(to.snapshot().best_header.id, want[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_wait_are_told_of() {
    let node = TestNode::start().await;
    let (body, _) = crate::transactions::payment(&node).await;
    let mut news = node.node.chain().news();
    node.post("/transaction", &body).await;
    let waiting = node.node.chain().pool().await.unwrap();
    assert_eq!(news.try_recv(), Ok(News::Transactions([waiting[0].id].into())));
    node.post("/transaction", &body).await;
    assert_eq!(news.try_recv(), Err(TryRecvError::Empty), "a refused one is not");
}

#[tokio::test(flavor = "multi_thread")]
async fn mined_blocks_and_orphans_that_follow_are_told_of_with_their_headers() {
    let (ahead, behind) = (TestNode::start().await, TestNode::start().await);
    let (from, to) = (ahead.node.chain(), behind.node.chain());
    let mut mined = from.news();
    for _ in 0..2 {
        ahead.mine().await;
    }
    let want = ids(from);
    assert_eq!(heard(&mut mined), [(want[0], None), (want[1], None)]);
    let mut news = to.news();
    let mut line = blocks(from, &want);
    let orphan = line.pop().unwrap();
    let answers = to.submit_blocks(vec![orphan.clone()], Some(3)).await.unwrap();
    assert!(matches!(answers[0], Err(SubmitError::Block(BlockError::Orphan { .. }))), "{answers:?}");
    assert!(heard(&mut news).is_empty());
    to.submit_blocks(line.clone(), Some(4)).await.unwrap();
    for (block, source) in [(&line[0], Some(4)), (&orphan, Some(3))] {
        let News::Block { header, source: told, .. } = news.recv().await.unwrap() else { panic!("no block") };
        assert_eq!((&header[..], told), (&block.header[..], source));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_that_proves_invalid_is_told_with_the_peer_that_offered_it() {
    let (ahead, behind) = (TestNode::start().await, TestNode::start().await);
    for _ in 0..2 {
        ahead.mine().await;
    }
    let (from, to) = (ahead.node.chain(), behind.node.chain());
    let line = blocks(from, &ids(from));
    let bad = without_proof(&line[1]);
    let mut news = to.news();
    let answers = to.submit_blocks(vec![bad.clone()], Some(3)).await.unwrap();
    let Err(SubmitError::Block(BlockError::Orphan { id: bad, .. })) = answers[0] else { panic!("{answers:?}") };
    to.submit_blocks(vec![line[0].clone()], Some(4)).await.unwrap();
    assert!(matches!(news.recv().await, Ok(News::Block { source: Some(4), .. })));
    let told = news.recv().await.unwrap();
    assert!(matches!(&told, News::Invalid { id, source: 3, .. } if *id == bad), "{told:?}");
    assert_eq!(to.snapshot().tip.height, Height(1));
}
