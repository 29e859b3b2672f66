//! A plot that is made gets its name, and whoever ordered it hears of it.
//!
//! Between the two an empty file with the ending `.made` stands beside the plot. Who ordered it and was killed there finds it by that: the same order
//! makes no second one.

use crate::collection::{Found, Plot};
use crate::error::{PlotError, Problem};
use crate::{Progress, disk};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The ending of the mark.
const ENDING: &str = "made";

/// Gives a plot in the making its name: the one without its last ending. Then it is told.
///
/// The caller holds its lock.
pub(crate) fn finish(part: &Path, progress: &dyn Progress) -> Result<PathBuf, Problem> {
    let path = part.with_extension("");
    let mark = mark_of(&path);
    File::create(&mark)?.sync_all()?;
    disk::sync_folder(&mark)?;
    fs::rename(part, &path)?;
    disk::sync_folder(&path)?;
    tell(&path, progress)?;
    Ok(path)
}

/// Looks for a plot that has its name and that nobody was told of, and tells of it.
pub(crate) fn untold(
    folder: &Path,
    is_ordered: &dyn Fn(&Plot) -> bool,
    progress: &dyn Progress,
) -> Result<Option<PathBuf>, PlotError> {
    let failed = |error: io::Error| Problem::from(error).at(folder);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let mark = entry.map_err(failed)?.path();
        if mark.extension().is_none_or(|ending| ending != ENDING) {
            continue;
        }
        let path = mark.with_extension("");
        // Where the mark came before the name, its plot is still in the making.
        let Some(Found { plot: Ok(plot), .. }) = Found::look(&path) else { continue };
        // Whoever made it may be about to tell.
        let held = disk::open(&path).map_err(|error| Problem::from(error).at(&path))?;
        if is_ordered(&plot) && held.try_lock().is_ok() && mark.exists() {
            tell(&path, progress).map_err(|problem| problem.at(&path))?;
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn tell(path: &Path, progress: &dyn Progress) -> Result<(), Problem> {
    progress.made(path)?;
    Ok(fs::remove_file(mark_of(path))?)
}

fn mark_of(path: &Path) -> PathBuf {
    let mut mark = path.as_os_str().to_owned();
    mark.push(format!(".{ENDING}"));
    mark.into()
}
