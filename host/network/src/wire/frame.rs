//! The frames, and their bytes.

use super::code::{bounded, slice};
use super::hello::{Goodbye, Hello};
use super::*;
use crate::id::{Address, Class, NodeId, RequestId, Tip};
use adit_primitives::bytes::encode_length;
use adit_primitives::{BlockId, Decode, DecodeError, Encode, Reader, TxId};
use bytes::Bytes;

/// What one node says to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The first frame from both sides; nothing else before it, and never again after.
    Hello(Box<Hello>),
    /// The last frame of a session that its sender ends.
    Goodbye(Goodbye),
    /// Asks for a [`Frame::Pong`] with the same nonce, and says where the sender stands: what announcements lost is found again.
    Ping {
        nonce: u64,
        tip: Tip,
    },
    Pong {
        nonce: u64,
        tip: Tip,
    },
    /// The question cannot be answered now: it goes to another peer, and nobody is blamed.
    Busy {
        request: RequestId,
    },
    /// Blocks that the sender holds whole and valid.
    Announce {
        blocks: Vec<BlockNotice>,
    },
    /// Transactions that wait at the sender.
    AnnounceTransactions {
        level: u8,
        ids: Vec<TxId>,
    },
    /// Asks for the headers that whoever knows `locator` lacks.
    GetHeaders {
        request: RequestId,
        locator: Locator,
    },
    /// Headers in topological order: parents before children. Where more follow, with the id of the last, by whose word the next page
    /// can be asked for while this one is judged.
    Headers {
        request: RequestId,
        headers: Vec<Bytes>,
        more: Option<BlockId>,
    },
    /// Asks for whole blocks, at most [`BLOCK_IDS_MAX`].
    GetBlocks {
        request: RequestId,
        ids: Vec<BlockId>,
    },
    /// Whole blocks, header and body, in the order asked for; `None` where the sender has it not. What lies past the end of
    /// the list was not answered and may be asked for again.
    Blocks {
        request: RequestId,
        blocks: Vec<Option<Bytes>>,
    },
    GetTransactions {
        request: RequestId,
        ids: Vec<TxId>,
    },
    /// As [`Frame::Blocks`].
    Transactions {
        request: RequestId,
        transactions: Vec<Option<Bytes>>,
    },
    /// Asks for [`Frame::AnnounceTransactions`] of what waits.
    GetPool {
        request: RequestId,
    },
    GetPeers {
        request: RequestId,
    },
    Peers {
        request: RequestId,
        peers: Vec<PeerAddress>,
    },
    /// Shares or votes.
    Items {
        class: Class,
        items: Vec<Item>,
    },
    /// Ids of shares or votes that the sender can send.
    Have {
        class: Class,
        ids: Vec<ItemId>,
    },
    /// Asks for items by their ids. What the other side no longer has is not answered.
    Want {
        class: Class,
        ids: Vec<ItemId>,
    },
    /// Asks to be sent whole items of a class as soon as they come (`eager`), or only their ids.
    Link {
        class: Class,
        eager: bool,
    },
    /// The nodes that the sender has as peers and takes shares and votes from, at most [`NEIGHBOURS_MAX`]: what one of them sends to all its
    /// peers need not be sent to the sender by others.
    Neighbours {
        nodes: Vec<NodeId>,
    },
    /// A question about rounds of a peer-to-peer pool: its bytes are read by [`crate::shares`] alone.
    GetRounds {
        request: RequestId,
        ask: Bytes,
    },
    Rounds {
        request: RequestId,
        answer: Bytes,
    },
}

/// That a block is there, with its header, so that it can be judged before anything is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockNotice {
    pub id: BlockId,
    /// How far the notice still is to be passed on ([`Item::level`]).
    pub level: u8,
    pub header: Bytes,
    /// The whole block, where it is so small that asking for it would cost more.
    pub block: Option<Bytes>,
}

/// A share batch or a vote on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// In a structured broadcast: in how many buckets, from the farthest by XOR distance to the receiver, others pass it on;
    /// the receiver serves the nearer ones. 0: it serves all. [`Item::TO_ALL`]: it serves those whom the sender does not.
    pub level: u8,
    pub bytes: Bytes,
}

/// The first 16 bytes of BLAKE3 over an item's bytes. Two items with one id would take 2^64 hashes to find, and would win
/// nothing: what is credited is settled by the shares themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub [u8; 16]);

/// What a node knows of the chain, in few ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Locator {
    /// Back from the heaviest header: ten one by one, then by doubling steps, the genesis last. At most [`LOCATOR_IDS_MAX`].
    pub blocks: Vec<BlockId>,
    /// Further headers with nothing built on them, their past known with them. At most [`LOCATOR_IDS_MAX`].
    pub tips: Vec<BlockId>,
}

/// Where a node was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddress {
    pub address: Address,
    /// Seconds since the sender was connected with it.
    pub seen_secs: u32,
}

impl ItemId {
    /// Returns the id of an item's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let hash = blake3::hash(bytes);
        Self(*hash.as_bytes().first_chunk().expect("a BLAKE3 hash has 32 bytes"))
    }
}

impl Frame {
    /// Returns the frame's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Hello(_) => Kind::Hello,
            Self::Goodbye(_) => Kind::Goodbye,
            Self::Ping { .. } => Kind::Ping,
            Self::Pong { .. } => Kind::Pong,
            Self::Busy { .. } => Kind::Busy,
            Self::Announce { .. } => Kind::Announce,
            Self::AnnounceTransactions { .. } => Kind::AnnounceTransactions,
            Self::GetHeaders { .. } => Kind::GetHeaders,
            Self::Headers { .. } => Kind::Headers,
            Self::GetBlocks { .. } => Kind::GetBlocks,
            Self::Blocks { .. } => Kind::Blocks,
            Self::GetTransactions { .. } => Kind::GetTransactions,
            Self::Transactions { .. } => Kind::Transactions,
            Self::GetPool { .. } => Kind::GetPool,
            Self::GetPeers { .. } => Kind::GetPeers,
            Self::Peers { .. } => Kind::Peers,
            Self::Items { .. } => Kind::Items,
            Self::Have { .. } => Kind::Have,
            Self::Want { .. } => Kind::Want,
            Self::Link { .. } => Kind::Link,
            Self::Neighbours { .. } => Kind::Neighbours,
            Self::GetRounds { .. } => Kind::GetRounds,
            Self::Rounds { .. } => Kind::Rounds,
        }
    }

    /// Returns the frame with its head, as it goes on the stream.
    ///
    /// # Panics
    /// Where the body is longer than its kind allows: whoever makes a frame keeps to the counts above.
    pub fn to_wire(&self) -> Bytes {
        let kind = self.kind();
        let mut out = Vec::with_capacity(HEAD_BYTES + self.body_bytes_about());
        out.resize(HEAD_BYTES, 0);
        self.encode_body(&mut out);
        let body_bytes = out.len() - HEAD_BYTES;
        assert!(body_bytes <= kind.body_bytes_max(), "a {kind:?} frame of {body_bytes} bytes was made");
        let length = u32::try_from(body_bytes).expect("every kind's largest body is far below 2^32 bytes");
        out[..4].copy_from_slice(&length.to_le_bytes());
        out[4] = kind as u8;
        out.into()
    }

    /// Returns about how long the body will be, exactly for what is long: growing step by step would cost more than writing.
    fn body_bytes_about(&self) -> usize {
        let optional =
            |found: &[Option<Bytes>]| found.iter().map(|bytes| 5 + bytes.as_ref().map_or(0, Bytes::len)).sum();
        8 + match self {
            Self::Items { items, .. } => items.iter().map(|item| 5 + item.bytes.len()).sum(),
            Self::Headers { headers, .. } => 1 + headers.iter().map(|header| 4 + header.len()).sum::<usize>(),
            Self::Blocks { blocks: found, .. } | Self::Transactions { transactions: found, .. } => optional(found),
            Self::Have { ids, .. } | Self::Want { ids, .. } => ids.len() * 16,
            Self::AnnounceTransactions { ids, .. } | Self::GetTransactions { ids, .. } => ids.len() * 32,
            Self::Neighbours { nodes } => nodes.len() * 32,
            Self::Rounds { answer, .. } => answer.len(),
            _ => 128,
        }
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => hello.encode(out),
            Self::Goodbye(goodbye) => goodbye.encode(out),
            Self::Ping { nonce, tip } | Self::Pong { nonce, tip } => {
                nonce.encode(out);
                tip.encode(out);
            }
            Self::Busy { request } | Self::GetPool { request } | Self::GetPeers { request } => request.encode(out),
            Self::Announce { blocks } => blocks.encode(out),
            Self::AnnounceTransactions { level, ids } => {
                out.push(*level);
                ids.encode(out);
            }
            Self::GetHeaders { request, locator } => {
                request.encode(out);
                locator.blocks.encode(out);
                locator.tips.encode(out);
            }
            Self::Headers { request, headers, more } => {
                request.encode(out);
                more.encode(out);
                encode_length(headers.len(), out);
                headers.iter().for_each(|header| header.as_ref().encode(out));
            }
            Self::GetBlocks { request, ids } => {
                request.encode(out);
                ids.encode(out);
            }
            Self::GetTransactions { request, ids } => {
                request.encode(out);
                ids.encode(out);
            }
            Self::Blocks { request, blocks: found } | Self::Transactions { request, transactions: found } => {
                request.encode(out);
                encode_length(found.len(), out);
                found.iter().for_each(|bytes| encode_option(bytes.as_ref(), out));
            }
            Self::Peers { request, peers } => {
                request.encode(out);
                peers.encode(out);
            }
            Self::Items { class, items } => {
                class.encode(out);
                items.encode(out);
            }
            Self::Have { class, ids } | Self::Want { class, ids } => {
                class.encode(out);
                ids.encode(out);
            }
            Self::Link { class, eager } => {
                class.encode(out);
                eager.encode(out);
            }
            Self::Neighbours { nodes } => nodes.encode(out),
            Self::GetRounds { request, ask: bytes } | Self::Rounds { request, answer: bytes } => {
                request.encode(out);
                bytes.as_ref().encode(out);
            }
        }
    }

    /// Reads the body of a frame to its end.
    pub fn decode(kind: Kind, body: &Bytes) -> Result<Self, WireError> {
        let max = kind.body_bytes_max();
        if body.len() > max {
            return Err(WireError::Size { kind, bytes: body.len(), max });
        }
        let mut reader = Reader::new(body);
        let frame = Self::decode_body(kind, &mut reader, body).map_err(|why| WireError::Body { kind, why })?;
        reader.finish("frame").map_err(|why| WireError::Body { kind, why })?;
        Ok(frame)
    }

    fn decode_body(kind: Kind, reader: &mut Reader<'_>, body: &Bytes) -> Result<Self, DecodeError> {
        Ok(match kind {
            Kind::Hello => Self::Hello(Box::new(Hello::decode(reader)?)),
            Kind::Goodbye => Self::Goodbye(Goodbye::decode(reader)?),
            Kind::Ping => Self::Ping { nonce: Decode::decode(reader)?, tip: Decode::decode(reader)? },
            Kind::Pong => Self::Pong { nonce: Decode::decode(reader)?, tip: Decode::decode(reader)? },
            Kind::Busy => Self::Busy { request: Decode::decode(reader)? },
            Kind::Announce => Self::Announce {
                blocks: bounded(reader, "block notices", NOTICES_MAX, |reader| BlockNotice::decode(reader, body))?,
            },
            Kind::AnnounceTransactions => Self::AnnounceTransactions {
                level: reader.byte("level")?,
                ids: bounded(reader, "transaction ids", TRANSACTION_IDS_MAX, TxId::decode)?,
            },
            Kind::GetHeaders => Self::GetHeaders { request: Decode::decode(reader)?, locator: Decode::decode(reader)? },
            Kind::Headers => {
                let request = Decode::decode(reader)?;
                let more = Decode::decode(reader)?;
                let header = |reader: &mut Reader<'_>| slice(reader, body, "header", HEADER_BYTES_MAX);
                Self::Headers { request, headers: bounded(reader, "headers", HEADERS_MAX, header)?, more }
            }
            Kind::GetBlocks => Self::GetBlocks {
                request: Decode::decode(reader)?,
                ids: bounded(reader, "block ids", BLOCK_IDS_MAX, BlockId::decode)?,
            },
            Kind::Blocks => Self::Blocks {
                request: Decode::decode(reader)?,
                blocks: options(reader, body, "block", BLOCK_IDS_MAX, BLOCK_BYTES_MAX)?,
            },
            Kind::GetTransactions => Self::GetTransactions {
                request: Decode::decode(reader)?,
                ids: bounded(reader, "transaction ids", TRANSACTION_IDS_MAX, TxId::decode)?,
            },
            Kind::Transactions => Self::Transactions {
                request: Decode::decode(reader)?,
                transactions: options(reader, body, "transaction", TRANSACTION_IDS_MAX, TRANSACTION_BYTES_MAX)?,
            },
            Kind::GetPool => Self::GetPool { request: Decode::decode(reader)? },
            Kind::GetPeers => Self::GetPeers { request: Decode::decode(reader)? },
            Kind::Peers => Self::Peers {
                request: Decode::decode(reader)?,
                peers: bounded(reader, "peers", PEERS_MAX, PeerAddress::decode)?,
            },
            Kind::Items => Self::Items {
                class: Class::decode(reader)?,
                items: bounded(reader, "items", ITEMS_MAX, |reader| Item::decode(reader, body))?,
            },
            Kind::Have => Self::Have {
                class: Decode::decode(reader)?,
                ids: bounded(reader, "item ids", ITEM_IDS_MAX, ItemId::decode)?,
            },
            Kind::Want => Self::Want {
                class: Decode::decode(reader)?,
                ids: bounded(reader, "item ids", ITEM_IDS_MAX, ItemId::decode)?,
            },
            Kind::Link => Self::Link { class: Decode::decode(reader)?, eager: Decode::decode(reader)? },
            Kind::Neighbours => {
                Self::Neighbours { nodes: bounded(reader, "neighbours", NEIGHBOURS_MAX, NodeId::decode)? }
            }
            Kind::GetRounds => Self::GetRounds {
                request: Decode::decode(reader)?,
                ask: slice(reader, body, "question", ROUNDS_ASK_BYTES_MAX)?,
            },
            Kind::Rounds => Self::Rounds {
                request: Decode::decode(reader)?,
                answer: slice(reader, body, "answer", ROUNDS_ANSWER_BYTES_MAX)?,
            },
        })
    }
}

fn encode_option(bytes: Option<&Bytes>, out: &mut Vec<u8>) {
    match bytes {
        None => out.push(0),
        Some(bytes) => {
            out.push(1);
            bytes.as_ref().encode(out);
        }
    }
}

fn option(reader: &mut Reader<'_>, body: &Bytes, what: &'static str, max: usize) -> Result<Option<Bytes>, DecodeError> {
    if bool::decode(reader)? { slice(reader, body, what, max).map(Some) } else { Ok(None) }
}

fn options(
    reader: &mut Reader<'_>,
    body: &Bytes,
    what: &'static str,
    count_max: usize,
    bytes_max: usize,
) -> Result<Vec<Option<Bytes>>, DecodeError> {
    bounded(reader, what, count_max, |reader| option(reader, body, what, bytes_max))
}

impl BlockNotice {
    fn decode(reader: &mut Reader<'_>, body: &Bytes) -> Result<Self, DecodeError> {
        Ok(Self {
            id: BlockId::decode(reader)?,
            level: reader.byte("level")?,
            header: slice(reader, body, "header", HEADER_BYTES_MAX)?,
            block: option(reader, body, "block", BLOCK_BYTES_MAX)?,
        })
    }
}

impl Encode for BlockNotice {
    fn encode(&self, out: &mut Vec<u8>) {
        self.id.encode(out);
        out.push(self.level);
        self.header.as_ref().encode(out);
        encode_option(self.block.as_ref(), out);
    }
}

impl Encode for Item {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.level);
        self.bytes.as_ref().encode(out);
    }
}

impl Item {
    /// The level of what its sender sends to all its peers itself.
    pub const TO_ALL: u8 = u8::MAX;

    fn decode(reader: &mut Reader<'_>, body: &Bytes) -> Result<Self, DecodeError> {
        Ok(Self { level: reader.byte("level")?, bytes: slice(reader, body, "item", ITEM_BYTES_MAX)? })
    }
}

impl Decode for Locator {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            blocks: bounded(reader, "locator", LOCATOR_IDS_MAX, BlockId::decode)?,
            tips: bounded(reader, "known tips", LOCATOR_IDS_MAX, BlockId::decode)?,
        })
    }
}

impl Encode for PeerAddress {
    fn encode(&self, out: &mut Vec<u8>) {
        self.address.encode(out);
        self.seen_secs.encode(out);
    }
}

impl Decode for PeerAddress {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { address: Decode::decode(reader)?, seen_secs: Decode::decode(reader)? })
    }
}

impl Encode for ItemId {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Decode for ItemId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array("item id").map(Self)
    }
}

impl Encode for Class {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
}

impl Decode for Class {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let byte = reader.byte("class")?;
        let class = Self::ALL.into_iter().find(|class| *class as u8 == byte);
        class.ok_or(DecodeError::Value { what: "class", value: byte.into() })
    }
}

impl Encode for RequestId {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for RequestId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u32::decode(reader).map(Self)
    }
}
