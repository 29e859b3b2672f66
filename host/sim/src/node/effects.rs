//! What a node's machine wants, carried out.

use super::{Node, Turn, wire};
use crate::knowledge::Placed;
use crate::queue::{Parcel, What};
use crate::scenario::Micros;
use crate::transaction::transaction_bytes;
use crate::world::World;
use adit_network::wire::{
    BLOCKS_BYTES_MAX, Frame, Goodbye, HEAD_BYTES, HEADERS_BYTES_MAX, HEADERS_MAX, ItemId, TRANSACTION_IDS_MAX,
    TRANSACTIONS_BYTES_MAX,
};
use adit_network::{
    Acceptance, Class, CloseReason, Effect, Event, JudgeBlock, Lane, NodeId, Request, RequestId, SessionId, Ticket,
    Verdict,
};
use adit_primitives::{BlockId, TxId};
use bytes::Bytes;

/// How long a node takes to judge a block: so many microseconds, and one more for so many bytes.
const JUDGE_MICROS: u64 = 200;
const JUDGE_BYTES: u64 = 100;
/// How long a node that has no room or no wish for this one is not dialled.
const UNWELCOME: Micros = 600_000_000;
/// What an entry of an answer has beside its bytes: whether it is there, and its length.
const ENTRY_BYTES: usize = 5;
/// An answer's request and count.
const ANSWER_BYTES: usize = 8;

impl Node {
    /// Carries out one effect. What the machine is to hear of it at once is added to the turn's events.
    pub(super) fn carry_out(&mut self, turn: &mut Turn<'_>, effect: Effect) {
        match effect {
            Effect::Send { session, lane, frame, droppable } => {
                self.send(turn, session, lane, Parcel::Frame(frame), droppable);
            }
            Effect::Close { session, node, reason } => {
                if let CloseReason::PeerLeft { said: Goodbye::Banned | Goodbye::Full } = reason {
                    self.shun(turn.world, &node, turn.now + UNWELCOME);
                }
                self.close(turn, session);
            }
            Effect::Ban { node, until, .. } => {
                turn.tally.bans += 1;
                self.shun(turn.world, &node, until.to_millis() * 1000);
            }
            Effect::JudgeHeaders { ticket, headers, .. } => self.judge_headers(turn, ticket, &headers),
            Effect::JudgeBlocks { ticket, blocks } => self.judge_blocks(turn, ticket, &blocks),
            Effect::JudgeTransactions { ticket, transactions, .. } => {
                self.judge_transactions(turn, ticket, &transactions);
            }
            Effect::Deliver { ticket, class, items, .. } => {
                let answers = items.iter().map(|item| judge_item(turn, class, item)).collect();
                turn.events.push_back(Event::ItemsJudged { ticket, answers });
            }
            Effect::Serve { session, request, asked } => self.serve(turn, session, request, asked),
            Effect::Rounds { .. } | Effect::Learned { .. } | Effect::Ready { .. } | Effect::Foreign { .. } => {}
        }
    }

    /// Does not dial a node before a moment.
    fn shun(&mut self, world: &World, node: &NodeId, until: Micros) {
        if let Some(node) = world.by_id.get(node) {
            self.shunned.insert(*node, until);
        }
    }

    /// Puts a frame on the stream.
    fn send(&mut self, turn: &mut Turn<'_>, session: SessionId, lane: Lane, parcel: Parcel, droppable: bool) {
        let Some(link) = self.links.get_mut(&session) else { return };
        let (bytes, kind, peer) = (bytes_of(turn.world, &parcel), parcel.kind(), link.peer);
        if !link.has_room(turn.now, lane, bytes) {
            turn.tally.dropped += 1;
            if droppable {
                turn.events.push_back(Event::Pressure { session, queued_bytes: link.queued_live(), dropped: 1 });
            } else {
                self.close(turn, session);
                turn.events.push_back(Event::Disconnected { session });
            }
            return;
        }
        turn.tally.frame(kind, bytes);
        self.sent.frames += 1;
        self.sent.bytes += bytes as u64;
        let arrives = link.send(turn.now, lane, bytes, &mut self.line);
        if let Some(queued_bytes) = link.pressure() {
            turn.events.push_back(Event::Pressure { session, queued_bytes, dropped: 0 });
        }
        link.broken |= turn.world.scenario.parted(turn.now, self.number, peer);
        if link.broken {
            turn.tally.swallowed += 1;
        } else {
            self.post_to(turn, peer, arrives, What::Arrive { session, parcel });
        }
    }

    fn judge_headers(&mut self, turn: &mut Turn<'_>, ticket: Ticket, headers: &[Bytes]) {
        let tree = &turn.world.tree;
        let (mut new, mut last, mut verdict) = (0, None, Verdict::Valid);
        for header in headers {
            let Some(number) = tree.number_of_header(header) else {
                verdict = Verdict::Invalid { rule: "proof-of-work".to_owned() };
                break;
            };
            match self.knowledge.place(tree, number) {
                Placed::New => new += 1,
                Placed::Known => {}
                Placed::Orphan { missing } => {
                    verdict = Verdict::Orphan { missing: tree.ids(&missing) };
                    break;
                }
            }
            last = Some(tree.block(number).id);
        }
        turn.events.push_back(Event::HeadersJudged { ticket, new, last, verdict });
    }

    /// Judges blocks, which takes its time: until the last may be accepted by this node's clock.
    fn judge_blocks(&mut self, turn: &mut Turn<'_>, ticket: Ticket, blocks: &[JudgeBlock]) {
        let tree = &turn.world.tree;
        let number = |block: &JudgeBlock| tree.number(&block.id).filter(|number| tree.is_block(*number, &block.bytes));
        let Some(numbers) = blocks.iter().map(number).collect::<Option<Vec<u32>>>() else {
            let verdict = |block| match number(block) {
                Some(_) => Verdict::Declined,
                None => Verdict::Invalid { rule: "body-root".to_owned() },
            };
            let verdicts = blocks.iter().map(verdict).collect();
            return turn.events.push_back(Event::BlocksJudged { ticket, verdicts });
        };
        let bytes: u64 = blocks.iter().map(|block| block.bytes.len() as u64).sum();
        let clock = turn.world.clock_millis(turn.now);
        let early = numbers.iter().map(|number| tree.block(*number).valid_from.to_millis().saturating_sub(clock));
        let wait = 1000 * early.max().unwrap_or(0);
        let time = turn.now + wait + JUDGE_MICROS * blocks.len() as u64 + bytes / JUDGE_BYTES;
        let life = self.life;
        self.post(turn, time, What::Judged { life, ticket, blocks: numbers });
    }

    fn judge_transactions(&mut self, turn: &mut Turn<'_>, ticket: Ticket, transactions: &[(TxId, Bytes)]) {
        let (mut verdicts, mut accepted) = (Vec::new(), Vec::new());
        for (id, bytes) in transactions {
            let source = turn.world.payments.as_ref();
            let read = source.and_then(|source| Some((source, source.read(bytes)?)));
            verdicts.push(match read.filter(|(source, number)| source.id(*number) == *id) {
                None => Verdict::Invalid { rule: "signature".to_owned() },
                Some((source, number)) if self.knowledge.transactions.insert(number) => {
                    turn.tally.transactions.count(turn.now.saturating_sub(source.time(number)));
                    accepted.push(*id);
                    Verdict::Valid
                }
                Some(_) => Verdict::Known,
            });
        }
        turn.events.push_back(Event::TransactionsJudged { ticket, verdicts });
        if !accepted.is_empty() {
            turn.events.push_back(Event::TransactionsAccepted { ids: accepted });
        }
    }

    fn serve(&mut self, turn: &mut Turn<'_>, session: SessionId, request: RequestId, asked: Request) {
        let tree = &turn.world.tree;
        let answer = match asked {
            Request::Headers { locator } => {
                let (blocks, more) = self.knowledge.lacked_by(tree, &locator, HEADERS_MAX, HEADERS_BYTES_MAX);
                Parcel::Headers { request, blocks, more }
            }
            Request::Blocks { ids } => Parcel::Blocks { request, blocks: self.blocks(turn.world, &ids) },
            Request::Transactions { ids } => Parcel::Transactions { request, numbers: self.payments(turn.world, &ids) },
            Request::Pool => return self.serve_pool(turn, session, request),
            Request::Peers => Parcel::Frame(wire(&Frame::Peers { request, peers: Vec::new() })),
            Request::Rounds { .. } => Parcel::Frame(wire(&Frame::Busy { request })),
        };
        let bytes = bytes_of(turn.world, &answer);
        self.send(turn, session, Lane::Bulk, answer, false);
        turn.events.push_back(Event::Served { session, request, bytes });
    }

    /// Returns those of the blocks asked for that fit an answer.
    fn blocks(&self, world: &World, ids: &[BlockId]) -> Vec<Option<u32>> {
        let (mut blocks, mut bytes) = (Vec::new(), 0);
        for id in ids {
            let number = world.tree.number(id).filter(|number| self.knowledge.is_whole(*number));
            bytes += number.map_or(0, |number| world.tree.block(number).bytes);
            if bytes > BLOCKS_BYTES_MAX && !blocks.is_empty() {
                break;
            }
            blocks.push(number);
        }
        blocks
    }

    /// Returns those of the transactions asked for that fit an answer.
    fn payments(&self, world: &World, ids: &[TxId]) -> Vec<Option<u64>> {
        let (mut numbers, mut bytes) = (Vec::new(), 0);
        for id in ids {
            let number = world.payments.as_ref().and_then(|source| source.number_of(id));
            let number = number.filter(|number| self.knowledge.transactions.contains(*number));
            bytes += number.map_or(0, transaction_bytes);
            if bytes > TRANSACTIONS_BYTES_MAX && !numbers.is_empty() {
                break;
            }
            numbers.push(number);
        }
        numbers
    }

    fn serve_pool(&mut self, turn: &mut Turn<'_>, session: SessionId, request: RequestId) {
        let mut bytes = 0;
        if let Some(source) = turn.world.payments {
            let waiting = self.knowledge.waiting_transactions(&turn.world.tree);
            let ids: Vec<TxId> = waiting.map(|number| source.id(number)).collect();
            for ids in ids.chunks(TRANSACTION_IDS_MAX) {
                let frame = wire(&Frame::AnnounceTransactions { level: 0, ids: ids.to_vec() });
                bytes += frame.len();
                self.send(turn, session, Lane::Bulk, Parcel::Frame(frame), false);
            }
        }
        turn.events.push_back(Event::Served { session, request, bytes });
    }
}

fn judge_item(turn: &mut Turn<'_>, class: Class, (_, bytes): &(ItemId, Bytes)) -> Acceptance {
    let source = turn.world.shares.as_ref().filter(|_| class == Class::Shares);
    let Some((source, number)) = source.and_then(|source| Some((source, source.read(bytes)?))) else {
        return Acceptance::Reject;
    };
    turn.tally.shares.count(turn.now.saturating_sub(source.time(number)));
    Acceptance::Accept
}

/// Returns the bytes of a frame on its way, its head among them.
pub(super) fn bytes_of(world: &World, parcel: &Parcel) -> usize {
    let entry = |bytes: Option<usize>| bytes.map_or(1, |bytes| ENTRY_BYTES + bytes);
    let body = match parcel {
        Parcel::Frame(frame) => return frame.len(),
        Parcel::Headers { blocks, more, .. } => {
            (if *more { 33 } else { 1 })
                + blocks.iter().map(|block| 4 + world.tree.block(*block).header.len()).sum::<usize>()
        }
        Parcel::Blocks { blocks, .. } => {
            blocks.iter().map(|block| entry(block.map(|block| world.tree.block(block).bytes))).sum()
        }
        Parcel::Transactions { numbers, .. } => numbers.iter().map(|number| entry(number.map(transaction_bytes))).sum(),
    };
    HEAD_BYTES + ANSWER_BYTES + body
}

/// Writes a frame that arrived.
pub(super) fn written(world: &World, parcel: Parcel) -> Bytes {
    let tree = &world.tree;
    match parcel {
        Parcel::Frame(frame) => frame,
        Parcel::Headers { request, blocks, more } => {
            let more = blocks.last().filter(|_| more).map(|last| tree.block(*last).id);
            let headers = blocks.into_iter().map(|block| tree.block(block).header.clone()).collect();
            wire(&Frame::Headers { request, headers, more })
        }
        Parcel::Blocks { request, blocks } => {
            let blocks = blocks.into_iter().map(|block| block.map(|block| tree.bytes_of(block))).collect();
            wire(&Frame::Blocks { request, blocks })
        }
        Parcel::Transactions { request, numbers } => {
            let bytes = |number| world.payments.map(|source| source.transaction(number));
            let transactions = numbers.into_iter().map(|number| number.and_then(bytes)).collect();
            wire(&Frame::Transactions { request, transactions })
        }
    }
}
