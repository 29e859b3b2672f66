//! What lies in folders: which plots, and what is wrong with the others.

use crate::error::{PlotError, Problem};
use crate::hard::{HardPlot, Name, make as hard_make};
use crate::plain::make::{ENDING, ENDING_PART};
use crate::plain::{Header, PlainPlot};
use adit_primitives::Hash256;
use adit_primitives::contract::space::{PlotKind, Registration};
use adit_primitives::space::{LEAF_BYTES, SCOOP_BYTES};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Place;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The name of the file with a folder's metadata.
pub const METADATA: &str = "plots.json";

/// A plot that can be farmed.
#[derive(Debug)]
pub enum Plot {
    Plain(PlainPlot),
    Hard(HardPlot),
}

/// Tells files apart, by whatever names: the number of the file system, and that of the file in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    pub device: u64,
    pub inode: u64,
}

/// A file that is a plot, or claims to be one.
#[derive(Debug)]
pub struct Found {
    pub path: PathBuf,
    /// `None` where it cannot be told.
    pub file: Option<FileId>,
    /// What is wrong with it: it is not farmed, and the others are.
    pub plot: Result<Plot, PlotError>,
}

/// The plots of some folders, in the order of their paths.
#[derive(Debug, Default)]
pub struct Collection {
    pub found: Vec<Found>,
    /// Folders that cannot be read.
    pub missing: Vec<PlotError>,
}

/// What a folder's metadata says of a plot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Entry {
    pub file: String,
    /// `plain` or `hard`.
    pub leaf: String,
    /// The length of the file.
    pub bytes: u64,
    /// Leaves of a plain plot, nonces of a hard one.
    pub count: u64,
    /// The owner's public key, of a plain plot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// Of a plain plot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seed: Option<String>,
    /// Of a plain plot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub root: Option<String>,
    /// The owner's account, of a hard plot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<u64>,
    /// The number of the first nonce, of a hard plot.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start: Option<u64>,
}

impl Collection {
    /// Looks into folders, not below them. Files that do not look like plots are passed over.
    pub fn open(folders: &[PathBuf]) -> Self {
        let mut collection = Self::default();
        for folder in folders {
            match files(folder) {
                Ok(paths) => collection.found.extend(paths.into_iter().filter_map(|path| Found::look(&path))),
                Err(error) => collection.missing.push(Problem::File(error).at(folder)),
            }
        }
        collection.found.sort_by(|one, other| one.path.cmp(&other.path));
        collection.found.dedup_by(|one, other| one.path == other.path);
        collection.leave_twins();
        collection
    }

    /// Leaves each file under the first of its names.
    fn leave_twins(&mut self) {
        let mut firsts = BTreeMap::<FileId, PathBuf>::new();
        for found in &mut self.found {
            let Some(file) = found.file.filter(|_| found.plot.is_ok()) else { continue };
            match firsts.entry(file) {
                Place::Vacant(first) => _ = first.insert(found.path.clone()),
                Place::Occupied(first) => {
                    found.plot = Err(Problem::Twice { first: first.get().clone() }.at(&found.path));
                }
            }
        }
    }

    /// Returns those that can be farmed.
    pub fn plots(&self) -> impl Iterator<Item = (&Path, &Plot)> {
        self.found.iter().filter_map(|found| Some((found.path.as_path(), found.plot.as_ref().ok()?)))
    }

    /// Writes the metadata of one folder's plots into it.
    pub fn write_metadata(folder: &Path) -> Result<(), PlotError> {
        let collection = Self::open(&[folder.to_owned()]);
        let entries: Vec<Entry> = collection.plots().map(|(path, plot)| Entry::of(path, plot)).collect();
        let text = serde_json::to_string_pretty(&entries).expect("entries are plain values");
        let path = folder.join(METADATA);
        crate::disk::write_whole(&path, text.as_bytes()).map_err(|error| Problem::from(error).at(&path))
    }
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

impl Found {
    /// Looks at a file. `None` where it does not look like a plot.
    pub fn look(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let plot = if name.ends_with(&format!(".{ENDING}")) {
            PlainPlot::finished(path).map(Plot::Plain)
        } else if name.ends_with(&format!(".{ENDING}.{ENDING_PART}")) {
            Err(unfinished_plain(path).at(path))
        } else if name.parse::<Name>().is_ok() {
            HardPlot::open(path).map(Plot::Hard)
        } else {
            let part = hard_make::name_of_part(path)?;
            let made = hard_make::made(path, part);
            let bytes = |nonces: u64| nonces * adit_primitives::space::NONCE_BYTES as u64;
            let all = part.bytes();
            Err(made.map_or_else(|problem| problem, |made| Problem::Unfinished { done: bytes(made), all }).at(path))
        };
        // A file that went away since is named when it is read.
        let file = std::fs::metadata(path).ok();
        let file = file.map(|metadata| FileId { device: metadata.dev(), inode: metadata.ino() });
        Some(Self { path: path.to_owned(), file, plot })
    }
}

/// What is wrong with a plain plot in the making.
fn unfinished_plain(path: &Path) -> Problem {
    let bytes = |leaves: u64| leaves * LEAF_BYTES as u64;
    match PlainPlot::open(path) {
        Ok(plot) => Problem::Unfinished { done: bytes(plot.header().made), all: bytes(plot.header().leaves) },
        Err(problem) => problem,
    }
}

impl Plot {
    /// Opens a plot anew, and tells whether it is still what it was.
    ///
    /// # Errors
    /// Where it is not there any more, not whole, or another one.
    pub fn again(&self, path: &Path) -> Result<(), Problem> {
        let now = match self {
            Self::Plain(_) => PlainPlot::finished(path).map(Self::Plain),
            Self::Hard(_) => HardPlot::open(path).map(Self::Hard),
        };
        if self.is_same(&now.map_err(|error| error.problem)?) { Ok(()) } else { Err(Problem::Changed) }
    }

    /// Tells whether another one says the same of itself.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => one.header() == other.header(),
            (Self::Hard(one), Self::Hard(other)) => one.name() == other.name(),
            _ => false,
        }
    }

    /// Returns which scheme it is of.
    pub fn kind(&self) -> PlotKind {
        match self {
            Self::Plain(_) => PlotKind::Plain,
            Self::Hard(_) => PlotKind::Hard,
        }
    }

    /// Returns how a header registers it. `None` of a hard plot: those need not be.
    pub fn registration(&self) -> Option<Registration> {
        let Self::Plain(plot) = self else { return None };
        let Header { key, seed, leaves, root, .. } = *plot.header();
        Some(Registration { key: Hash256(key), seed: Hash256(seed), leaves, root: Hash256(root) })
    }

    /// Returns how many leaves or nonces it has.
    pub fn entries(&self) -> u64 {
        match self {
            Self::Plain(plot) => plot.header().leaves,
            Self::Hard(plot) => plot.name().nonces,
        }
    }

    /// Returns how many bytes of each entry a challenge asks for.
    pub fn each(&self) -> u64 {
        match self {
            Self::Plain(_) => LEAF_BYTES as u64,
            Self::Hard(_) => SCOOP_BYTES as u64,
        }
    }

    /// Returns how many bytes of the file are looked up: leaves or nonces.
    pub fn space(&self) -> u64 {
        match self {
            Self::Plain(plot) => plot.header().leaves * LEAF_BYTES as u64,
            Self::Hard(plot) => plot.name().bytes(),
        }
    }
}

impl Entry {
    /// Says what a plot is.
    pub fn of(path: &Path, plot: &Plot) -> Self {
        let hex = |bytes: &[u8]| Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let empty = Self {
            file,
            leaf: String::new(),
            bytes: 0,
            count: 0,
            key: None,
            seed: None,
            root: None,
            account: None,
            start: None,
        };
        match plot {
            Plot::Plain(plot) => {
                let header = plot.header();
                Self {
                    leaf: "plain".to_owned(),
                    bytes: header.layout().bytes(),
                    count: header.leaves,
                    key: hex(&header.key),
                    seed: hex(&header.seed),
                    root: hex(&header.root),
                    ..empty
                }
            }
            Plot::Hard(plot) => {
                let Name { account, start, nonces } = plot.name();
                Self {
                    leaf: "hard".to_owned(),
                    bytes: plot.name().bytes(),
                    count: nonces,
                    account: Some(account),
                    start: Some(start),
                    ..empty
                }
            }
        }
    }
}
