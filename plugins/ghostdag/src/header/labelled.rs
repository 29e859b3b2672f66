//! A block that states its own id: for DAGs of which the shape alone was recorded, and for simulations.
//!
//! Id, 32 bytes; time u64 in milliseconds; bits u32; number of parents u16; the parents' ids. Integers are little-endian. There is nothing to hash.

use super::Fields;
use adit_plugin_sdk::{BlockId, Hash256, HeaderView, PowInput, Timestamp, Violation};

/// Reads a header.
pub fn decode(header: &[u8]) -> Result<HeaderView, Violation> {
    let mut fields = Fields::new(header);
    let id = BlockId(fields.array()?);
    let (time, bits) = (fields.u64()?, fields.u32()?);
    let count = fields.u16()?;
    let parents = fields.ids(count.into())?;
    fields.end()?;
    Ok(HeaderView {
        id,
        parents,
        time: Timestamp::from_millis(time),
        bits,
        body_root: Hash256::default(),
        pow: no_pow(),
    })
}

/// Returns the input of a block that needs no proof of work: the host hashes nothing.
pub fn no_pow() -> PowInput {
    PowInput { bytes: Vec::new(), nonce_offset: 0, nonce_bytes: 0, roll_offset: 0, roll_mask: 0 }
}
