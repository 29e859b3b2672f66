//! What the workers say.

use crate::job::JobId;
use crate::proof::Difference;

/// The number of a worker, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

/// A nonce that meets its job's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Find {
    pub job: JobId,
    pub nonce: u64,
    /// The rolled field as it stood in the hashed bytes.
    pub rolled: u32,
    pub worker: WorkerId,
}

/// Something that the caller should know or act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A job was solved. The workers go on with it until they get another.
    Found(Find),
    /// Every nonce of a job with every version has been handed out: a template with another time is needed.
    Exhausted { job: JobId },
    /// A worker's engine could not be made, gave no answer, or panicked. It is replaced after a pause.
    WorkerFailed { worker: WorkerId, reason: String },
    /// A failed worker has a new engine. `attempt` counts failures in a row, from 1.
    WorkerReplaced { worker: WorkerId, attempt: u32 },
    /// A native kernel differed from its reference. The reference mines from now on, and the operator should be told.
    KernelDropped { worker: WorkerId, difference: Difference },
}
