//! Hash kernels in shared libraries that the operator has named.
//!
//! Native code runs without a sandbox. A library is loaded only with the digest that the operator's own configuration gives,
//! and its kernel only proposes: the miner proves it equal to the sandboxed plugin.

use crate::cache::{make_private, temporary_path, write_new};
use adit_primitives::Hash256;
use adit_primitives::kernel::{KERNEL_ABI, KERNEL_SYMBOL, KernelEntry, KernelTable, unpadded};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};
use std::fs::{self, File};
use std::io::{self, Read};
use std::mem;
use std::path::{Path, PathBuf};

const LIBRARY_BYTES_MAX: u64 = 256 << 20;

/// A shared library with a kernel, as the operator's configuration names it.
#[derive(Debug, Clone)]
pub struct KernelSource {
    /// The library.
    pub path: PathBuf,
    /// The BLAKE3 digest that its bytes must have.
    pub digest: Hash256,
    /// The hash plugin's name that it must claim.
    pub algorithm: String,
    /// A directory for the private copy that is loaded, which the host makes its own alone.
    pub scratch: PathBuf,
}

/// Why a library is not used.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the library has {bytes} bytes, {LIBRARY_BYTES_MAX} are allowed")]
    TooLarge { bytes: u64 },
    #[error("the library's digest is blake3:{got}, but the configuration allows blake3:{want}")]
    Digest { want: Hash256, got: Hash256 },
    #[error("copying the library to {}: {source}", path.display())]
    Copy { path: PathBuf, source: io::Error },
    #[error("the system does not load it: {detail}")]
    Open { detail: String },
    #[error("it exports no `adit_kernel_v1`: {detail}")]
    Symbol { detail: String },
    #[error("its kernel table is null, misaligned or has a null function")]
    Table,
    #[error("its kernel is built for version {found} of the kernel ABI, this host speaks {KERNEL_ABI}")]
    Abi { found: u32 },
    #[error("its kernel table has {found} bytes, {want} are needed")]
    Size { found: u32, want: usize },
    #[error("it computes {found}, not {want}")]
    Algorithm { found: String, want: String },
    #[error("its kernel {backend} does not run on this machine")]
    Unsupported { backend: String },
}

/// Loads a library and returns its kernel. The library stays loaded until the process ends.
pub fn load_kernel(source: &KernelSource) -> Result<&'static KernelTable, KernelError> {
    let bytes = read(&source.path)?;
    let got = Hash256(blake3::hash(&bytes).into());
    if got != source.digest {
        return Err(KernelError::Digest { want: source.digest, got });
    }
    let library = open_copy(&source.scratch, &bytes)?;
    let table = kernel_table(&library)?;
    // Its table lives as long as the library.
    mem::forget(library);
    check(table, &source.algorithm)?;
    Ok(table)
}

fn read(path: &Path) -> Result<Vec<u8>, KernelError> {
    let failed = |source| KernelError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > LIBRARY_BYTES_MAX {
        return Err(KernelError::TooLarge { bytes: length });
    }
    let mut bytes = Vec::new();
    file.take(LIBRARY_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Loads the very bytes that were checked, from a file that nobody else could have touched in between.
fn open_copy(scratch: &Path, bytes: &[u8]) -> Result<Library, KernelError> {
    let path = temporary_path(&scratch.join("kernel"));
    let failed = |source| KernelError::Copy { path: path.clone(), source };
    make_private(scratch).map_err(failed)?;
    write_new(&path, &[bytes]).map_err(failed)?;
    // SAFETY: the operator's own configuration names this library by its digest, which is the leave to run its initialisers.
    #[allow(unsafe_code)]
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
    fs::remove_file(&path).map_err(failed)?;
    library.map_err(|error| KernelError::Open { detail: error.to_string() })
}

/// Reads as much of the table as shows that the rest may be read.
fn kernel_table(library: &Library) -> Result<&'static KernelTable, KernelError> {
    // SAFETY: the operator vouches by its digest that the library exports the symbol with the type that the ABI gives it.
    #[allow(unsafe_code)]
    let entry: Symbol<KernelEntry> =
        unsafe { library.get(KERNEL_SYMBOL) }.map_err(|error| KernelError::Symbol { detail: error.to_string() })?;
    let table = entry();
    if table.is_null() || !table.is_aligned() {
        return Err(KernelError::Table);
    }
    // SAFETY: every version of the table begins with these two fields, and the pointer is neither null nor misaligned.
    #[allow(unsafe_code)]
    let (abi, size) = unsafe { ((&raw const (*table).abi).read(), (&raw const (*table).size).read()) };
    if abi != KERNEL_ABI {
        return Err(KernelError::Abi { found: abi });
    }
    let want = size_of::<KernelTable>();
    if (size as usize) < want {
        return Err(KernelError::Size { found: size, want });
    }
    // SAFETY: the table is as large as ours. Its functions are read as numbers first, for a null one is no value of their type.
    #[allow(unsafe_code)]
    let functions = unsafe {
        [
            (&raw const (*table).supported).cast::<usize>().read(),
            (&raw const (*table).prepare).cast::<usize>().read(),
            (&raw const (*table).digest_many).cast::<usize>().read(),
            (&raw const (*table).search).cast::<usize>().read(),
        ]
    };
    if functions.contains(&0) {
        return Err(KernelError::Table);
    }
    // SAFETY: size and functions were checked above, and the table stays for the life of the process, as the ABI demands.
    #[allow(unsafe_code)]
    Ok(unsafe { &*table })
}

fn check(table: &KernelTable, algorithm: &str) -> Result<(), KernelError> {
    let found = unpadded(&table.algorithm);
    if found != algorithm {
        return Err(KernelError::Algorithm { found, want: algorithm.to_owned() });
    }
    if (table.supported)() != 1 {
        return Err(KernelError::Unsupported { backend: unpadded(&table.backend) });
    }
    Ok(())
}
