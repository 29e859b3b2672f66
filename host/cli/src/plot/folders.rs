//! Which folders hold plots: `adit plot create` notes where it put one, so that nobody has to name it again.
//!
//! The note lies in the folder where the commands are run, as the key does.

use adit_space::disk::write_whole;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file of the note.
pub const FILE: &str = "plot-folders.json";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    folders: Vec<PathBuf>,
}

/// Returns the folders that were noted here.
pub fn noted() -> Result<Vec<PathBuf>> {
    Ok(read(Path::new(FILE))?.folders)
}

/// Notes a folder.
pub fn note(folder: &Path) -> Result<()> {
    note_in(Path::new(FILE), folder)
}

fn read(file: &Path) -> Result<Note> {
    match std::fs::read(file) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} is no list of folders", file.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Note::default()),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", file.display())),
    }
}

fn note_in(file: &Path, folder: &Path) -> Result<()> {
    let folder = folder.canonicalize().with_context(|| format!("failed to find {}", folder.display()))?;
    let mut note = read(file)?;
    if note.folders.contains(&folder) {
        return Ok(());
    }
    note.folders.push(folder);
    let text = serde_json::to_string_pretty(&note).context("a path is no text")?;
    write_whole(file, text.as_bytes()).with_context(|| format!("failed to write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_noted_once() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join(FILE);
        assert!(read(&file).unwrap().folders.is_empty());
        for name in ["b", "a", "b"] {
            let folder = place.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            note_in(&file, &folder).unwrap();
        }
        let names = read(&file).unwrap().folders;
        let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["b", "a"]);
        std::fs::write(&file, "[]").unwrap();
        assert!(note_in(&file, place.path()).unwrap_err().to_string().contains("no list of folders"));
    }
}
