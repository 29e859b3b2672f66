//! Proof of space: making plots and scanning them.
//!
//! Nothing here reads a file, knows a chain or decides: what a scan proposes, the chain's plugin recomputes.
//!
//! Reading order: [`shabal`] is the hash of [`poc2`]; this file is the ways to run them.

pub mod poc2;
mod shabal;
#[cfg(test)]
mod tests;

use crate::words::portable::Portable;
#[cfg(target_arch = "x86_64")]
use crate::words::{
    avx2::{Avx2, Words8},
    avx512::{Avx512, Words16},
};
use poc2::{NONCE_BYTES, SCOOP_BYTES};

/// A way to compute on this machine. Whoever has one may use it.
#[derive(Clone, Copy)]
pub struct Backend(Way);

#[derive(Clone, Copy)]
enum Way {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    Scalar,
}

impl Backend {
    /// Returns every way that this machine has, the widest first.
    pub fn all() -> Vec<Self> {
        let ways = [
            #[cfg(target_arch = "x86_64")]
            Avx512::detect().map(Way::Avx512),
            #[cfg(target_arch = "x86_64")]
            Avx2::detect().map(Way::Avx2),
            Some(Way::Scalar),
        ];
        ways.into_iter().flatten().map(Self).collect()
    }

    /// Returns what it is built for.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Way::Avx512(_) => "avx512-16",
            #[cfg(target_arch = "x86_64")]
            Way::Avx2(_) => "avx2-8",
            Way::Scalar => "scalar",
        }
    }

    /// Returns how many nonces or scoops it takes at once.
    pub fn lanes(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Way::Avx512(_) => 16,
            #[cfg(target_arch = "x86_64")]
            Way::Avx2(_) => 8,
            Way::Scalar => 1,
        }
    }

    /// Makes [`Backend::lanes`] PoC2 nonces of an account, from `first` on. They come scoop by scoop: all nonces' scoop 0, then all nonces'
    /// scoop 1.
    ///
    /// # Panics
    /// Where `scoops` is not of [`Backend::lanes`] times [`NONCE_BYTES`] bytes.
    pub fn plot(self, account: u64, first: u64, scoops: &mut [u8]) {
        assert_eq!(scoops.len(), self.lanes() * NONCE_BYTES, "room for one nonce in each lane");
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Way::Avx512(machine) => {
                #[target_feature(enable = "avx512f")]
                fn run(machine: Avx512, account: u64, first: u64, scoops: &mut [u8]) {
                    poc2::plot::<Words16>(machine, account, first, scoops);
                }
                // SAFETY: `Avx512` proves the feature.
                unsafe { run(machine, account, first, scoops) }
            }
            #[cfg(target_arch = "x86_64")]
            Way::Avx2(machine) => {
                #[target_feature(enable = "avx2")]
                fn run(machine: Avx2, account: u64, first: u64, scoops: &mut [u8]) {
                    poc2::plot::<Words8>(machine, account, first, scoops);
                }
                // SAFETY: `Avx2` proves the feature.
                unsafe { run(machine, account, first, scoops) }
            }
            Way::Scalar => poc2::plot::<Portable<1>>((), account, first, scoops),
        }
    }

    /// Puts down for each scoop of PoC2 how good it is under a generation signature: the lower, the better. A deadline in seconds is this divided by
    /// the base target.
    ///
    /// # Panics
    /// Where the numbers of scoops and of qualities differ.
    pub fn qualities(self, signature: &[u8; 32], scoops: &[u8], qualities: &mut [u64]) {
        assert_eq!(scoops.len(), qualities.len() * SCOOP_BYTES, "room for the quality of each scoop");
        // What does not fill the lanes goes one by one.
        let whole = qualities.len() / self.lanes() * self.lanes();
        let (scoops, odd_scoops) = scoops.split_at(whole * SCOOP_BYTES);
        let (qualities, odd) = qualities.split_at_mut(whole);
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Way::Avx512(machine) => {
                #[target_feature(enable = "avx512f")]
                fn run(machine: Avx512, signature: &[u8; 32], scoops: &[u8], qualities: &mut [u64]) {
                    poc2::qualities::<Words16>(machine, signature, scoops, qualities);
                }
                // SAFETY: `Avx512` proves the feature.
                unsafe { run(machine, signature, scoops, qualities) }
            }
            #[cfg(target_arch = "x86_64")]
            Way::Avx2(machine) => {
                #[target_feature(enable = "avx2")]
                fn run(machine: Avx2, signature: &[u8; 32], scoops: &[u8], qualities: &mut [u64]) {
                    poc2::qualities::<Words8>(machine, signature, scoops, qualities);
                }
                // SAFETY: `Avx2` proves the feature.
                unsafe { run(machine, signature, scoops, qualities) }
            }
            Way::Scalar => poc2::qualities::<Portable<1>>((), signature, scoops, qualities),
        }
        poc2::qualities::<Portable<1>>((), signature, odd_scoops, odd);
    }
}
