//! The algorithms that have kernels in this crate.

use adit_primitives::kernel::KernelTable;

/// A hash algorithm and its kernels.
#[derive(Debug)]
pub struct Algorithm {
    /// The hash plugin's name.
    pub name: &'static str,
    /// The backends, those for any machine included.
    pub kernels: &'static [&'static KernelTable],
    /// The crate that everybody uses, for comparison: never mined with.
    pub baseline: &'static KernelTable,
}

/// All algorithms. A new one is a module, and its line here.
pub static ALGORITHMS: [&Algorithm; 4] =
    [&crate::sha256d::ALGORITHM, &crate::scrypt::ALGORITHM, &crate::blake3::ALGORITHM, &crate::kheavyhash::ALGORITHM];

/// Returns the algorithm of a hash plugin, where this crate has kernels for it.
pub fn algorithm(name: &str) -> Option<&'static Algorithm> {
    ALGORITHMS.into_iter().find(|algorithm| algorithm.name == name)
}

/// Returns the kernels of an algorithm that this machine can run.
pub fn candidates(name: &str) -> Vec<&'static KernelTable> {
    let kernels = algorithm(name).map_or(&[][..], |algorithm| algorithm.kernels);
    kernels.iter().copied().filter(|table| (table.supported)() == 1).collect()
}
