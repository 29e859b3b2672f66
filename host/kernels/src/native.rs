//! A kernel table, bundled or from a shared library, as an engine that the host can use.

use adit_primitives::Hash256;
use adit_primitives::contract::{Found, Scan, SearchJob};
use adit_primitives::engine::{Fault, FaultClass, HashEngine};
use adit_primitives::kernel::{
    FOUND_ROOM_MIN, FoundNonce, INPUTS_MAX, KERNEL_ABI, KernelTable, SearchInput, SearchOutput, unpadded,
};

/// A native kernel behind the trait that sandboxed plugins stand behind too.
///
/// It hands a kernel nothing that breaks the ABI and believes nothing that the ABI rules out. It does not prove digests right: the
/// host does that, with the plugin.
#[derive(Debug)]
pub struct NativeEngine {
    table: &'static KernelTable,
    /// Algorithm and backend, for faults.
    name: String,
    /// The inputs of a job, one after another; kept for the allocation.
    inputs: Vec<u8>,
    found: Vec<FoundNonce>,
}

/// Why a kernel cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    #[error("kernel {kernel} has ABI {abi}, this host has {KERNEL_ABI}")]
    Abi { kernel: String, abi: u32 },
    #[error("the table of kernel {kernel} has {size} bytes, this host needs {needed}")]
    Size { kernel: String, size: u32, needed: usize },
    #[error("kernel {kernel} cannot run on this CPU")]
    Unsupported { kernel: String },
}

/// Entries of the buffer that a kernel fills.
const FOUND_ROOM: usize = 2 * FOUND_ROOM_MIN;

/// A search ends early once it holds this many finds: an easy target is no reason to fill the memory.
const FOUND_MAX: usize = 4096;

/// The most nonces in one native call; fewer where the target is so easy that they would bring thousands of finds.
const SPAN_MAX_LOG2: u32 = 24;

impl NativeEngine {
    /// Checks a table and makes an engine of it.
    pub fn new(table: &'static KernelTable) -> Result<Self, KernelError> {
        let kernel = name(table);
        if table.abi != KERNEL_ABI {
            return Err(KernelError::Abi { kernel, abi: table.abi });
        }
        let needed = size_of::<KernelTable>();
        if usize::try_from(table.size).is_ok_and(|size| size < needed) {
            return Err(KernelError::Size { kernel, size: table.size, needed });
        }
        if (table.supported)() != 1 {
            return Err(KernelError::Unsupported { kernel });
        }
        let empty = FoundNonce { nonce: 0, input: 0, reserved: 0 };
        Ok(Self { table, name: kernel, inputs: Vec::new(), found: vec![empty; FOUND_ROOM] })
    }

    /// Returns the hash plugin's name.
    pub fn algorithm(&self) -> String {
        unpadded(&self.table.algorithm)
    }

    /// Returns what the kernel is built for.
    pub fn backend(&self) -> String {
        unpadded(&self.table.backend)
    }

    /// Makes ready for an epoch, where the algorithm has them.
    pub fn prepare(&mut self, epoch: u64, seed: &Hash256) -> Result<(), Fault> {
        let code = (self.table.prepare)(epoch, &raw const seed.0);
        clear_upper_halves();
        self.done("prepare", code)
    }

    fn done(&self, function: &str, code: i32) -> Result<(), Fault> {
        if code == 0 { Ok(()) } else { Err(self.fault(function, format!("the kernel returned {code}"))) }
    }

    fn fault(&self, function: &str, detail: String) -> Fault {
        Fault { class: FaultClass::Plugin, plugin: self.name.clone(), function: function.to_owned(), detail }
    }

    fn digest_into(&self, inputs: &[u8], each: usize, digests: &mut [[u8; 32]]) -> Result<(), Fault> {
        let code = (self.table.digest_many)(inputs.as_ptr(), each, digests.len(), digests.as_mut_ptr().cast());
        clear_upper_halves();
        self.done("digest-many", code)
    }

    /// Runs the kernel over one span until each of its nonces has been tried. `base` is the number of the first input.
    fn search_span(&mut self, mut input: SearchInput, base: u32, found: &mut Vec<Found>) -> Result<(), Fault> {
        let mask = u64::MAX >> (64 - 8 * input.nonce_bytes);
        while input.nonce_count > 0 {
            let mut output = SearchOutput {
                found: self.found.as_mut_ptr(),
                found_room: self.found.len(),
                found_count: 0,
                scanned: 0,
            };
            let code = (self.table.search)(&raw const input, &raw mut output);
            clear_upper_halves();
            self.done("search", code)?;
            if !(1..=input.nonce_count).contains(&output.scanned) {
                let detail = format!("{} nonces tried of {}", output.scanned, input.nonce_count);
                return Err(self.fault("search", detail));
            }
            let entries = self.found.get(..output.found_count).ok_or_else(|| {
                self.fault("search", format!("{} finds in room for {}", output.found_count, self.found.len()))
            })?;
            for entry in entries {
                let steps = entry.nonce.wrapping_sub(input.nonce_first) & mask;
                if entry.nonce > mask || steps >= output.scanned || entry.input as usize >= input.count {
                    let detail = format!("nonce {} of input {} was not asked for", entry.nonce, entry.input);
                    return Err(self.fault("search", detail));
                }
                found.push(Found { nonce: entry.nonce, input: base + entry.input });
            }
            input.nonce_first = input.nonce_first.wrapping_add(output.scanned) & mask;
            input.nonce_count -= output.scanned;
        }
        Ok(())
    }

    /// Checks a job and lays its inputs side by side; returns their length.
    fn lay_out(&mut self, job: &SearchJob) -> Result<usize, Fault> {
        let length = job.inputs.first().map_or(0, Vec::len);
        let nonce_end = u64::from(job.nonce_offset) + u64::from(job.nonce_bytes);
        let detail = if !(1..=8).contains(&job.nonce_bytes) || nonce_end > length as u64 {
            format!("a nonce of {} bytes at {} does not fit {length} bytes", job.nonce_bytes, job.nonce_offset)
        } else if job.inputs.iter().any(|input| input.len() != length) {
            "the job's inputs differ in length".to_owned()
        } else if u32::try_from(job.inputs.len()).is_err() {
            "the job has too many inputs".to_owned()
        } else {
            self.inputs.clear();
            self.inputs.extend(job.inputs.iter().flatten());
            return Ok(length);
        };
        Err(self.fault("search", detail))
    }
}

impl HashEngine for NativeEngine {
    fn digest_many(&mut self, inputs: &[u8], each: usize, digests: &mut Vec<Hash256>) -> Result<(), Fault> {
        let count = inputs.len().checked_div(each).unwrap_or(0);
        if count * each != inputs.len() {
            let detail = format!("{} bytes are no whole number of inputs of {each} bytes", inputs.len());
            return Err(self.fault("digest-many", detail));
        }
        let mut raw = vec![[0; 32]; count];
        self.digest_into(inputs, each, &mut raw)?;
        digests.extend(raw.into_iter().map(Hash256));
        Ok(())
    }

    fn search(&mut self, job: &SearchJob, first: u64, count: u64) -> Result<Scan, Fault> {
        let length = self.lay_out(job)?;
        let mask = u64::MAX >> (64 - 8 * job.nonce_bytes);
        let total = count.min(mask.saturating_add(1));
        let inputs = std::mem::take(&mut self.inputs);
        // A span brings about a thousand finds for each input at most.
        let span_max = 1 << (u32::try_from(job.target.0.leading_zeros()).unwrap_or(256) + 10).min(SPAN_MAX_LOG2);
        let mut scan = Scan::default();
        while scan.scanned < total && scan.found.len() < FOUND_MAX {
            let span = (total - scan.scanned).min(span_max);
            for (base, part) in (0..).step_by(INPUTS_MAX).zip(inputs.chunks(INPUTS_MAX * length)) {
                let input = SearchInput {
                    inputs: part.as_ptr(),
                    count: part.len() / length,
                    length,
                    nonce_offset: job.nonce_offset as usize,
                    nonce_bytes: job.nonce_bytes as usize,
                    target: job.target.0.to_le_bytes(),
                    nonce_first: first.wrapping_add(scan.scanned) & mask,
                    nonce_count: span,
                };
                self.search_span(input, base, &mut scan.found)?;
            }
            scan.scanned += span;
        }
        self.inputs = inputs;
        Ok(scan)
    }

    fn digest(&mut self, input: &[u8]) -> Result<Hash256, Fault> {
        let mut digest = [[0; 32]];
        self.digest_into(input, input.len(), &mut digest)?;
        Ok(Hash256(digest[0]))
    }
}

fn name(table: &KernelTable) -> String {
    format!("{} ({})", unpadded(&table.algorithm), unpadded(&table.backend))
}

/// Clears the upper halves of the vector registers. Where a kernel leaves them in use, SSE code after it runs at half its speed.
#[cfg(target_arch = "x86_64")]
fn clear_upper_halves() {
    #[target_feature(enable = "avx")]
    fn clear() {
        std::arch::x86_64::_mm256_zeroupper();
    }
    if std::arch::is_x86_feature_detected!("avx") {
        // SAFETY: the CPU has AVX.
        unsafe { clear() }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn clear_upper_halves() {}
