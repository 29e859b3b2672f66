//! What peers send: frames, a session of them, and signed batches of shares.

use adit_network::shares::{PoolId, SealedBatch};
use adit_network::wire::{Features, Frame, HEAD_BYTES, Hello, Kind, Locator, VERSION};
use adit_network::{
    Address, BlockState, Direction, Event, Facts, Local, Machine, Moment, NodeId, SessionId, Settings, Tip,
};
use adit_primitives::identity::{RulePlugin, Rules};
use adit_primitives::{BlockId, Hash256, Height, TxId, Work};
use bytes::Bytes;

/// The body of a frame; the first byte chooses its kind.
pub fn frame(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first() else { return };
    let kind = Kind::ALL[usize::from(*kind) % Kind::ALL.len()];
    if let Ok(frame) = Frame::decode(kind, &Bytes::copy_from_slice(body)) {
        assert_eq!(&frame.to_wire()[HEAD_BYTES..], body, "a frame with two encodings");
    }
}

/// A peer's frames after its hello: a byte for the kind, one for the length of the body, the body.
pub fn session(mut bytes: &[u8]) {
    let peer = SessionId(1);
    let mut machine = Machine::new(Settings::standard("adit".to_owned()), local(), 1);
    let mut effects = Vec::new();
    let mut handle = |millis, event| {
        machine.handle(Moment::from_millis(millis), event, &Nothing, &mut effects);
        effects.clear();
        let held = machine.held();
        assert!(held.bytes <= 1 << 20 && held.entries <= 1 << 14, "{held:?}");
    };
    handle(
        0,
        Event::Connected {
            session: peer,
            node: NodeId([2; 32]),
            address: Address::default(),
            direction: Direction::In,
        },
    );
    handle(0, received(peer, &hello().to_wire()));
    let mut millis = 0;
    while let Some(([kind, length], rest)) = bytes.split_first_chunk() {
        let (body, after) = rest.split_at(usize::from(*length).min(rest.len()));
        bytes = after;
        millis += u64::from(*length);
        handle(millis, Event::Received { session: peer, kind: *kind, body: Bytes::copy_from_slice(body) });
        handle(millis, Event::Tick);
    }
}

/// A batch with its signature: none that is forged is opened, and one that is opened is these bytes.
pub fn batch(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(batch) = SealedBatch::open(bytes.clone(), PoolId([0; 32])) {
        assert_eq!(batch.bytes(), &bytes, "a batch with two encodings");
    }
}

fn received(session: SessionId, wire: &Bytes) -> Event {
    Event::Received { session, kind: wire[HEAD_BYTES - 1], body: wire.slice(HEAD_BYTES..) }
}

fn local() -> Local {
    let features = Features::BLOCKS.and(Features::SHARES);
    Local { node: NodeId([1; 32]), rules: rules(), features, listen: Vec::new() }
}

fn rules() -> Rules {
    let plugin = RulePlugin { name: String::new(), digest: Hash256::default(), config: String::new() };
    Rules {
        chain: String::new(),
        network: String::new(),
        genesis: BlockId::default(),
        consensus: plugin.clone(),
        hash: plugin,
        ledger: String::new(),
    }
}

fn hello() -> Frame {
    Frame::Hello(Box::new(Hello {
        version: VERSION,
        rules: rules(),
        tip: Nothing.tip(),
        agent: String::new(),
        features: Features::BLOCKS.and(Features::SHARES),
        listen: Vec::new(),
        nonce: 1,
    }))
}

/// A host that knows its genesis alone.
struct Nothing;

impl Facts for Nothing {
    fn block(&self, id: &BlockId) -> BlockState {
        if *id == BlockId::default() { BlockState::Whole } else { BlockState::Unknown }
    }

    fn work(&self, _: &BlockId) -> Option<Work> {
        None
    }

    fn tip(&self) -> Tip {
        Tip { id: BlockId::default(), work: Work::ZERO, height: Height(0) }
    }

    fn best_header(&self) -> Tip {
        self.tip()
    }

    fn locator(&self) -> Locator {
        Locator { blocks: vec![BlockId::default()], tips: Vec::new() }
    }

    fn lacking(&self, _: usize, _: &mut Vec<BlockId>) {}

    fn transaction(&self, _: &TxId) -> bool {
        false
    }
}
