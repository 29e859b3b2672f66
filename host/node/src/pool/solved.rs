//! Blocks from the moment they are solved until the books have them: one file each, in its place before the block leaves for an upstream.
//!
//! A file is written under a name of its own and renamed: from then on the end of the process cannot undo it, and that takes microseconds.
//! What a loss of power needs, [`Written::sync`], is done while the block is on its way. A file is never believed by its name: it ends
//! with a digest of the rest.

use adit_pool::work::partial::SolvedSpace;
use adit_pool::work::share::SolvedBlock;
use adit_primitives::accounts::{Block, BlockState, ShareSequence, WorkerId};
use adit_primitives::contract::payout::AccountId;
use adit_primitives::{
    Amount, BlockId, Decode, DecodeError, Encode, Height, Timestamp, U256, Work, canonical_struct, sha256d,
};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Notes that are read at a start. There are none but those of a crash.
const READ_MAX: usize = 1_000;

/// The most bytes of a note: a block, with room to spare.
const NOTE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The bytes of the digest that a note ends with.
const DIGEST_BYTES: usize = 32;

/// How the name of a file ends that is still written.
const UNFINISHED: &str = "part";

/// What is noted of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    id: BlockId,
    height: u64,
    reward: u64,
    fees: u64,
    work: U256,
    finder: u32,
    worker: u32,
    found: u64,
    bytes: Vec<u8>,
}

canonical_struct!(Note { id, height, reward, fees, work, finder, worker, found, bytes });

impl Note {
    /// Takes down a block.
    pub fn new(solved: &SolvedBlock, found: Timestamp) -> Self {
        let template = &solved.job.template;
        Self {
            id: solved.id,
            height: template.height.0,
            reward: template.reward.to_atoms(),
            fees: template.fees.to_atoms(),
            work: template.target.work().0,
            finder: solved.submission.account.0,
            worker: solved.submission.worker.0,
            found: found.to_millis(),
            bytes: solved.block.clone(),
        }
    }

    /// Takes down a block that plots won.
    pub fn of_space(solved: &SolvedSpace, found: Timestamp) -> Self {
        let template = &solved.job.template;
        Self {
            id: solved.id,
            height: template.height.0,
            reward: template.reward.to_atoms(),
            fees: template.fees.to_atoms(),
            work: template.challenge.target.work().0,
            finder: solved.account.0,
            worker: solved.worker.0,
            found: found.to_millis(),
            bytes: solved.block.clone(),
        }
    }

    /// Returns the height of the block, when it was found, and its bytes.
    pub fn parts(&self) -> (Height, Timestamp, &[u8]) {
        (Height(self.height), Timestamp::from_millis(self.found), &self.bytes)
    }

    /// Returns the block's id.
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// Returns the block as the books take it. Its window ends at `shares_end`.
    pub fn into_block(self, shares_end: ShareSequence) -> Block {
        Block {
            id: self.id,
            height: Height(self.height),
            reward: Amount::from_atoms(self.reward),
            fees: Amount::from_atoms(self.fees),
            work: Work(self.work),
            finder: AccountId(self.finder),
            worker: WorkerId(self.worker),
            shares_end,
            found: Timestamp::from_millis(self.found),
            state: BlockState::Found,
            split: false,
            bytes: self.bytes,
        }
    }
}

/// Why a file is no note.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("it has more than {NOTE_BYTES_MAX} bytes")]
    Long,
    #[error("its digest is not that of its bytes")]
    Digest,
    #[error("its bytes are no block's: {0}")]
    Bytes(#[from] DecodeError),
    #[error("it is the note of another block: {id}")]
    Name { id: BlockId },
}

/// A note in its place, which the end of the process cannot undo.
pub struct Written {
    file: File,
    folder: PathBuf,
}

impl Written {
    /// Brings the note to the disk. When it returns, the note survives a loss of power.
    pub fn sync(self) -> io::Result<()> {
        self.file.sync_all()?;
        File::open(&self.folder)?.sync_all()
    }
}

/// What a start finds.
#[derive(Debug, Default)]
pub struct Left {
    /// At most [`READ_MAX`].
    pub notes: Vec<Note>,
    /// Files that are no notes. They are left where they are.
    pub damaged: Vec<(PathBuf, NoteError)>,
    /// Whether there are more: they are read at a later start.
    pub more: bool,
}

/// The folder with the notes of one pool.
#[derive(Debug)]
pub struct Notes {
    folder: PathBuf,
}

impl Notes {
    /// Opens the folder, made where there is none.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Returns where the notes lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Notes a block. When it returns, the note survives `kill -9`.
    pub fn write(&self, note: &Note) -> io::Result<Written> {
        let (unfinished, path) = (self.path(note.id).with_extension(UNFINISHED), self.path(note.id));
        let written = write(&unfinished, note).and_then(|file| {
            std::fs::rename(&unfinished, &path)?;
            Ok(Written { file, folder: self.folder.clone() })
        });
        if written.is_err() {
            // On a full disk it takes room that the next note needs. A start removes what stays.
            let _ = std::fs::remove_file(&unfinished);
        }
        written
    }

    /// Drops the note of a block that the books have.
    pub fn forget(&self, id: BlockId) -> io::Result<()> {
        match std::fs::remove_file(self.path(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Returns the blocks that were noted and not forgotten, in the order of their finds. Files that were not finished are removed: their
    /// blocks never left.
    pub fn left(&self) -> io::Result<Left> {
        let mut left = Left::default();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension() == Some(OsStr::new(UNFINISHED)) {
                std::fs::remove_file(&path)?;
            } else if left.notes.len() + left.damaged.len() == READ_MAX {
                left.more = true;
            } else {
                match read(&path) {
                    Ok(note) => left.notes.push(note),
                    Err(error) => left.damaged.push((path, error)),
                }
            }
        }
        left.notes.sort_by_key(|note| (note.found, note.height, note.id));
        Ok(left)
    }

    fn path(&self, id: BlockId) -> PathBuf {
        self.folder.join(id.to_string())
    }
}

fn write(path: &Path, note: &Note) -> io::Result<File> {
    let mut bytes = note.to_bytes();
    let digest = sha256d(&bytes);
    bytes.extend_from_slice(&digest);
    let mut file = File::create(path)?;
    file.write_all(&bytes)?;
    Ok(file)
}

fn read(path: &Path) -> Result<Note, NoteError> {
    let mut bytes = Vec::new();
    File::open(path)?.take(NOTE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > NOTE_BYTES_MAX {
        return Err(NoteError::Long);
    }
    let (note, digest) = bytes.split_last_chunk::<DIGEST_BYTES>().ok_or(NoteError::Digest)?;
    if sha256d(note) != *digest {
        return Err(NoteError::Digest);
    }
    let note = Note::from_bytes(note)?;
    match path.file_name() == Some(OsStr::new(&note.id.to_string())) {
        true => Ok(note),
        false => Err(NoteError::Name { id: note.id }),
    }
}

#[cfg(test)]
impl Note {
    /// The note of some block, told from others by its byte.
    pub(super) fn sample(byte: u8) -> Self {
        Self {
            id: BlockId([byte; 32]),
            height: 5,
            reward: 50,
            fees: 1,
            work: U256::from(9),
            finder: 16,
            worker: 2,
            found: 1_000 + u64::from(byte),
            bytes: vec![1, 2, 3],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(byte: u8) -> Note {
        Note::sample(byte)
    }

    fn notes() -> (tempfile::TempDir, Notes) {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::open(folder.path().join("solved")).unwrap();
        (folder, notes)
    }

    #[test]
    fn a_block_is_noted_until_it_is_forgotten() {
        let (_folder, notes) = notes();
        for byte in [9, 7, 8] {
            notes.write(&note(byte)).unwrap().sync().unwrap();
        }
        assert_eq!(notes.left().unwrap().notes, [note(7), note(8), note(9)]);
        notes.forget(note(7).id()).unwrap();
        notes.forget(note(8).id()).unwrap();
        let left = notes.left().unwrap();
        assert_eq!((left.notes, left.damaged.len(), left.more), (vec![note(9)], 0, false));
        let booked = note(9).into_block(ShareSequence(12));
        assert_eq!((booked.id, booked.state, booked.shares_end), (note(9).id, BlockState::Found, ShareSequence(12)));
    }

    #[test]
    fn a_block_that_is_forgotten_twice_is_no_error() {
        let (_folder, notes) = notes();
        assert!(notes.forget(note(7).id()).is_ok());
    }

    #[test]
    fn a_file_that_was_not_finished_is_removed() {
        let (_folder, notes) = notes();
        let unfinished = notes.path(note(1).id).with_extension(UNFINISHED);
        std::fs::write(&unfinished, &note(1).to_bytes()[..20]).unwrap();
        let left = notes.left().unwrap();
        assert_eq!((left.notes.len(), left.damaged.len()), (0, 0));
        assert!(!unfinished.exists());
    }

    #[test]
    fn a_damaged_note_is_left_aside_and_hides_no_other() {
        let (_folder, notes) = notes();
        for byte in 1..=5 {
            notes.write(&note(byte)).unwrap();
        }
        let whole = std::fs::read(notes.path(note(1).id)).unwrap();
        let mut flipped = whole.clone();
        flipped[40] ^= 1;
        let damages = [(1, flipped), (2, vec![0; whole.len()]), (3, whole[..whole.len() - 1].to_vec()), (4, whole)];
        for (byte, bytes) in damages {
            std::fs::write(notes.path(note(byte).id), bytes).unwrap();
        }
        let left = notes.left().unwrap();
        assert_eq!((left.notes, left.damaged.len()), (vec![note(5)], 4));
        assert!(left.damaged.iter().all(|(path, _)| path.exists()));
        let is_of_another = |(_, error): &(PathBuf, NoteError)| matches!(error, NoteError::Name { .. });
        assert_eq!(left.damaged.iter().filter(|damage| is_of_another(damage)).count(), 1);
    }

    #[test]
    fn a_start_reads_no_more_notes_than_it_may() {
        let (_folder, notes) = notes();
        for number in 0..=READ_MAX as u64 {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            notes.write(&Note { id: BlockId(id), ..note(1) }).unwrap();
        }
        let left = notes.left().unwrap();
        assert_eq!((left.notes.len(), left.more), (READ_MAX, true));
    }

    #[test]
    fn a_note_that_cannot_be_written_leaves_nothing() {
        let (folder, notes) = notes();
        std::fs::create_dir(notes.path(note(1).id)).unwrap();
        assert!(notes.write(&note(1)).is_err());
        let names: Vec<_> = std::fs::read_dir(folder.path().join("solved")).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}
