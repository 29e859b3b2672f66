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

/// Digests that a kernel makes at once: enough for the lanes of any, few enough to be copied from the nearest cache.
const DIGESTS_AT_ONCE: usize = 256;

/// Entries of the buffer that a kernel fills.
const FOUND_ROOM: usize = 2 * FOUND_ROOM_MIN;

/// A search ends early once it holds this many finds: an easy target is no reason to fill the memory.
const FOUND_MAX: usize = 4096;

/// The most finds for one input that a kernel may claim in one call of the host's choosing, which brings about a thousand.
const CLAIMS_MAX: usize = 4096;

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
        let claims_max = found.len() + CLAIMS_MAX * input.count;
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
            if found.len() > claims_max {
                return Err(self.fault("search", "more finds than the target allows".to_owned()));
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
        let before = digests.len();
        digests.reserve(count);
        let mut room = [[0; 32]; DIGESTS_AT_ONCE];
        for part in inputs.chunks(each.saturating_mul(DIGESTS_AT_ONCE).max(1)) {
            let room = &mut room[..part.len() / each];
            if let Err(fault) = self.digest_into(part, each, room) {
                digests.truncate(before);
                return Err(fault);
            }
            digests.extend(room.iter().copied().map(Hash256));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choose::sample_job;
    use crate::kernel::{Finds, Job, Kernel, table};
    use adit_primitives::{Target, U256};

    /// Answers what a test wants answered.
    struct Liar;

    impl Kernel for Liar {
        const ALGORITHM: &'static str = "any";
        const BACKEND: &'static str = "liar";

        fn detect() -> Option<Self> {
            Some(Self)
        }

        fn digest_many(&self, _: &[u8], each: usize, _: &mut [[u8; 32]]) {
            assert_eq!(each, 80, "a panic has to stay inside");
        }

        /// Takes the first nonce for the lie to tell.
        fn search(&self, job: &Job<'_>, finds: &mut Finds<'_>) -> u64 {
            match job.first {
                0 => return 0,
                1 => return job.count + 1,
                2 => finds.push(1, 0),
                3 => finds.push(3, 1),
                4 => finds.push(4 + job.count, 0),
                _ => (0..finds.room()).for_each(|_| finds.push(job.first, 0)),
            }
            1
        }
    }

    static LIAR: KernelTable = table::<Liar>();

    #[track_caller]
    fn check_refused(table: KernelTable, want: &str) {
        let error = NativeEngine::new(Box::leak(Box::new(table))).unwrap_err();
        assert_eq!(error.to_string(), want);
    }

    #[track_caller]
    fn check_fault(job: &SearchJob, first: u64, want: &str) {
        let fault = NativeEngine::new(&LIAR).unwrap().search(job, first, 10).unwrap_err();
        assert_eq!(fault.to_string(), format!("any (liar): search: {want}"));
        assert_eq!(fault.class, FaultClass::Plugin);
    }

    #[test]
    fn a_table_of_another_abi_is_refused() {
        check_refused(KernelTable { abi: 2, ..LIAR }, "kernel any (liar) has ABI 2, this host has 1");
    }

    #[test]
    fn a_table_cut_short_is_refused() {
        let needed = size_of::<KernelTable>();
        let want = format!("the table of kernel any (liar) has 40 bytes, this host needs {needed}");
        check_refused(KernelTable { size: 40, ..LIAR }, &want);
    }

    #[test]
    fn a_kernel_for_another_machine_is_refused() {
        extern "C" fn no() -> u32 {
            0
        }
        check_refused(KernelTable { supported: no, ..LIAR }, "kernel any (liar) cannot run on this CPU");
    }

    #[test]
    fn answers_that_break_the_abi_are_faults() {
        let job = sample_job(1);
        check_fault(&job, 0, "0 nonces tried of 10");
        check_fault(&job, 1, "11 nonces tried of 10");
        check_fault(&job, 2, "nonce 1 of input 0 was not asked for");
        check_fault(&job, 3, "nonce 3 of input 1 was not asked for");
        check_fault(&job, 4, "nonce 14 of input 0 was not asked for");
        check_fault(&job, 5, "more finds than the target allows");
    }

    #[test]
    fn jobs_that_make_no_sense_never_reach_a_kernel() {
        let job = sample_job(2);
        check_fault(&SearchJob { nonce_bytes: 0, ..job.clone() }, 9, "a nonce of 0 bytes at 76 does not fit 80 bytes");
        check_fault(&SearchJob { nonce_bytes: 9, ..job.clone() }, 9, "a nonce of 9 bytes at 76 does not fit 80 bytes");
        let nonce_offset = u32::MAX;
        check_fault(
            &SearchJob { nonce_offset, ..job.clone() },
            9,
            "a nonce of 4 bytes at 4294967295 does not fit 80 bytes",
        );
        check_fault(&SearchJob { inputs: vec![], ..job.clone() }, 9, "a nonce of 4 bytes at 76 does not fit 0 bytes");
        check_fault(
            &SearchJob { inputs: vec![vec![0; 80], vec![0; 81]], ..job },
            9,
            "the job's inputs differ in length",
        );
    }

    #[test]
    fn a_panic_in_a_kernel_is_a_fault() {
        let mut engine = NativeEngine::new(&LIAR).unwrap();
        assert_eq!(engine.digest(&[0; 79]).unwrap_err().detail, "the kernel returned 3");
        assert!(engine.digest(&[0; 80]).is_ok());
    }

    #[test]
    fn inputs_that_are_not_whole_are_refused() {
        let mut engine = NativeEngine::new(&LIAR).unwrap();
        let mut digests = Vec::new();
        assert!(engine.digest_many(&[0; 81], 80, &mut digests).is_err());
        assert!(engine.digest_many(&[0; 1], 0, &mut digests).is_err());
        assert_eq!(engine.digest_many(&[], 80, &mut digests), Ok(()));
    }

    #[test]
    fn an_easy_target_ends_a_search_early() {
        for table in crate::candidates("sha256d") {
            let job = SearchJob { target: Target(U256::MAX), ..sample_job(1) };
            let scan = NativeEngine::new(table).unwrap().search(&job, 0, u64::MAX).unwrap();
            assert!(scan.found.len() >= FOUND_MAX && scan.found.len() < 2 * FOUND_MAX);
            assert_eq!(scan.found.len() as u64, scan.scanned);
        }
    }
}
