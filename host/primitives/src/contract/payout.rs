//! What a payout scheme exchanges with the host: shares as weights, blocks and economics as facts, credits as the answer.
//!
//! All work is in expected hashes, all money in atoms. A scheme never sees a name: accounts are numbers that the host gave.

use crate::{Decode, DecodeError, Encode, Height, Reader, U256, Work, canonical_struct};

/// A pool's account of one payee: the number under which the pool's books keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);

/// What a scheme pays for, and how much of the shares' history it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayoutPlan {
    pub pays: Pays,
    pub window: Window,
    /// Whether shares weigh something other than their work: only then does the host ask [`ShareToWeigh`] by [`ShareToWeigh`].
    pub weighs: bool,
}

/// What a scheme pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pays {
    /// Each block that the pool finds is split. Miners carry the variance.
    Blocks,
    /// Each share is paid what it is expected to earn, whether or not a block is found. The pool's operator carries the variance.
    Shares,
}

/// Which shares a block's split is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// None: the split does not depend on shares.
    None,
    /// Those since the pool's last block.
    SinceBlock,
    /// The newest whose work adds up to this many thousandths of the work of a block; the oldest is cut to fit.
    LastWork { thousandths: u64 },
}

/// A share, or several of one account of one second, about to be weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareToWeigh {
    pub account: AccountId,
    pub work: u64,
    /// Milliseconds from the share to the block that is split.
    pub age_ms: u64,
}

/// What the shares of one account weigh together. One row for each account, in the order of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    pub account: AccountId,
    pub weight: U256,
}

/// A block of the pool whose reward is to be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundBlock {
    pub height: Height,
    /// Who found it.
    pub finder: AccountId,
    /// What there is to split, after the fees of foundation and pool.
    pub distributable: u64,
    /// The expected hashes of a block at its difficulty.
    pub work: Work,
}

/// What shares are expected to earn now, after the fees of foundation and pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Economics {
    /// What a block creates.
    pub subsidy: u64,
    /// The mean fees of a block's payments over the pool's window.
    pub mean_fees: u64,
    /// The expected hashes of a block.
    pub work: Work,
}

/// What an account is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    pub account: AccountId,
    pub atoms: u64,
}

impl Encode for AccountId {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

impl Decode for AccountId {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u32::decode(reader).map(Self)
    }
}

canonical_struct!(ShareToWeigh { account, work, age_ms });
canonical_struct!(Weight { account, weight });
canonical_struct!(FoundBlock { height, finder, distributable, work });
canonical_struct!(Economics { subsidy, mean_fees, work });
canonical_struct!(Credit { account, atoms });
