//! Double SHA-256.
//!
//! Every backend takes inputs of any length with the nonce anywhere. The vector backends are fast where the nonce's low 32 bits are
//! the fourth word of the last padded block ([`tail`]): Bitcoin's header of 80 bytes and Adit's of 88 both have it there. For
//! everything else they share [`plain`], which hashes one message after another.
//!
//! Reading order: [`plain`], [`tail`] (what a job lets one compute once), then the backends.

mod baseline;
mod plain;
mod scalar;

use crate::bundled::Algorithm;
use crate::kernel::table;
use adit_primitives::kernel::KernelTable;

/// The hash plugin's name.
const NAME: &str = "sha256d";

static SCALAR: KernelTable = table::<scalar::Scalar>();
static BASELINE: KernelTable = table::<baseline::Baseline>();

/// This algorithm's kernels.
pub(crate) static ALGORITHM: Algorithm = Algorithm { name: NAME, kernels: &[&SCALAR], baseline: &BASELINE };
