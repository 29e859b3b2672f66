//! Plots on a disk that is really full: a file system of some mebibytes that is mounted for a test alone.

use super::place;
use crate::adit::{Place, wait_until};
use adit_space::plain::{Header, Layout};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// How large plots are here: as small as hard ones can be.
const SIZE: &str = "16MiB";
const BYTES: u64 = 16 << 20;

/// What the system says where no room is left.
const NO_ROOM: &str = "No space left on device";

/// A disk, mounted as the folder `disk` of a place for whoever is inside.
struct Disk<'a> {
    place: &'a Place,
    /// Inside, and the disk is there for as long as it runs.
    holder: Child,
}

impl<'a> Disk<'a> {
    /// Mounts one. Where the system does not let everybody do that, says that the test did not run.
    ///
    /// # Panics
    /// Where it does not and `CI` is `true`.
    fn mount(place: &'a Place, bytes: u64) -> Option<Self> {
        std::fs::create_dir(place.path("disk")).unwrap();
        let script = format!("mount -t tmpfs -o size={bytes} adit disk && echo mounted && exec cat");
        let inside = ["--user", "--map-root-user", "--mount", "sh", "-c", &script];
        let mut unshare = Command::new("unshare");
        unshare.args(inside).current_dir(place.path("")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let disk = unshare.spawn().ok().map(|holder| Self { place, holder });
        let disk = disk.and_then(|mut disk| {
            let mut said = String::new();
            BufReader::new(disk.holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
            (said == "mounted\n").then_some(disk)
        });
        if disk.is_none() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "nobody may mount a file system of his own here");
            eprintln!(
                "NOT RUN: nobody may mount a file system of his own here (unshare --user --map-root-user --mount)"
            );
        }
        disk
    }

    /// Where a file of the disk is for whoever is outside.
    fn path(&self, name: &str) -> PathBuf {
        let inside = self.place.path("disk").join(name);
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), inside.display()))
    }

    /// The command, run inside.
    fn adit(&self, arguments: &[&str]) -> Command {
        let adit = self.place.adit(arguments);
        let mut inside = Command::new("nsenter");
        inside.args(["--user", "--mount", "--preserve-credentials", "--target", &self.holder.id().to_string()]);
        inside.args(["sh", "-c", "cd \"$0\" && exec \"$@\""]).arg(self.place.path(""));
        inside.arg(adit.get_program()).args(adit.get_args()).stdin(Stdio::null());
        inside.envs(adit.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }

    /// Runs the command inside to its end. Returns its code, and what it printed, errors last.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.adit(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    #[track_caller]
    fn succeed(&self, arguments: &[&str]) -> String {
        let (code, said) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?} said\n{said}");
        said
    }

    #[track_caller]
    fn fail(&self, arguments: &[&str]) -> String {
        let (code, said) = self.run(arguments);
        assert_eq!(code, Some(1), "{arguments:?} said\n{said}");
        said
    }

    /// Takes all room that is left.
    fn fill(&self) {
        let mut file = File::create(self.path("filler")).unwrap();
        let ended = (0..).find_map(|_| file.write_all(&[1; 4096]).err());
        assert_eq!(ended.unwrap().kind(), ErrorKind::StorageFull);
    }

    /// Gives that room back.
    fn empty(&self) {
        std::fs::remove_file(self.path("filler")).unwrap();
    }

    /// The names of a folder's files.
    fn files(&self, folder: &str) -> Vec<String> {
        let files = std::fs::read_dir(self.path(folder)).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Checks that a folder has one plot, which is whole.
    #[track_caller]
    fn has_one_plot(&self, folder: &str) {
        let listed = self.succeed(&["plot", "list", "--dir", folder]);
        assert!(listed.contains("\n1 plots, ") && !listed.contains("not farmed"), "{listed}");
        let checked = self.succeed(&["plot", "check", "--dir", folder, "--nonces", "16"]);
        assert_eq!(checked.matches("right  ").count(), 1, "{checked}");
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // Ended already, where nothing was mounted.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// An order for a plot that may take the last byte.
fn order<'a>(folder: &'a str, leaf: &'a str) -> Vec<&'a str> {
    vec!["plot", "create", "--dir", folder, "--size", SIZE, "--leaf", leaf, "--reserve", "0", "--threads", "1"]
}

#[test]
fn a_plot_that_a_full_disk_has_no_room_for_is_refused_and_leaves_nothing() {
    let place = place();
    let Some(disk) = Disk::mount(&place, 2 * BYTES) else { return };
    for leaf in ["plain", "hard"] {
        let folder = format!("disk/{leaf}");
        // Room for the plot, and not for what is to stay free.
        let said = disk.fail(&[&order(&folder, leaf)[..8], &["--reserve", "24MiB"]].concat());
        assert!(said.contains(&folder) && said.contains("25165824 bytes are to stay free"), "{said}");
        assert!(disk.files(leaf).is_empty(), "{leaf}");
        disk.fill();
        let said = disk.fail(&order(&folder, leaf));
        assert!(said.contains(&folder) && said.contains("the disk has 0 bytes left and the plot takes"), "{said}");
        assert!(disk.files(leaf).is_empty(), "{leaf}");
        disk.empty();
        disk.succeed(&order(&folder, leaf));
        disk.has_one_plot(&folder);
        std::fs::remove_dir_all(disk.path(leaf)).unwrap();
    }
}

#[test]
fn a_plot_whose_disk_is_filled_meanwhile_is_made_or_gone_on_with_once_there_is_room() {
    let place = place();
    let Some(disk) = Disk::mount(&place, 2 * BYTES) else { return };
    for leaf in ["plain", "hard"] {
        let folder = format!("disk/{leaf}");
        let mut making = disk.adit(&order(&folder, leaf));
        let mut making = making.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let has_room = || {
            let Ok(files) = std::fs::read_dir(disk.path(leaf)) else { return false };
            files.flatten().any(|file| file.metadata().is_ok_and(|file| file.len() > BYTES / 2))
        };
        // One that is made before anybody looked is made all the same.
        wait_until("its room", || (has_room() || making.try_wait().unwrap().is_some()).then_some(()));
        disk.fill();
        let output = making.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            assert!(output.status.code() == Some(1) && said.contains(NO_ROOM), "{said}");
            assert!(!disk.run(&["plot", "check", "--dir", &folder]).1.contains("WRONG"));
            disk.empty();
            disk.succeed(&order(&folder, leaf));
        }
        disk.has_one_plot(&folder);
        std::fs::remove_dir_all(disk.path(leaf)).unwrap();
    }
}

#[test]
fn a_plot_that_takes_the_last_byte_is_whole_and_told_once_there_is_room_for_a_word_on_it() {
    let place = place();
    let Some(disk) = Disk::mount(&place, 2 * BYTES) else { return };
    let made = Layout::within(BYTES).unwrap().bytes();
    std::fs::create_dir(disk.path("a")).unwrap();
    let filler = File::create(disk.path("filler")).unwrap();
    for at in (0..2 * BYTES - made.next_multiple_of(4096)).step_by(4096) {
        filler.write_all_at(&[1; 4096], at).unwrap();
    }
    drop(filler);
    let said = disk.fail(&order("disk/a", "plain"));
    assert!(said.contains(NO_ROOM) && said.contains("disk/a/"), "{said}");
    disk.empty();
    // It is found again, and no second one is made.
    disk.succeed(&order("disk/a", "plain"));
    disk.has_one_plot("disk/a");
    assert_eq!(disk.files("a").len(), 2, "the plot and the word on it: {:?}", disk.files("a"));
}

#[test]
fn a_plot_that_was_given_no_room_is_told_when_the_disk_is_full_and_gone_on_with() {
    let place = place();
    let Some(disk) = Disk::mount(&place, 2 * BYTES) else { return };
    // As it is on file systems that give no room before it is written to.
    let layout = Layout::within(BYTES).unwrap();
    let header = Header { key: [0x11; 32], seed: [1; 32], leaves: layout.leaves(), made: 0, root: [0; 32] };
    std::fs::create_dir(disk.path("a")).unwrap();
    let part = disk.path("a/1111.plot.part");
    std::fs::write(&part, header.to_bytes()).unwrap();
    File::options().write(true).open(&part).unwrap().set_len(layout.bytes()).unwrap();
    disk.fill();
    let owner = "11".repeat(32);
    let order = [&order("disk/a", "plain")[..], &["--owner", &owner]].concat();
    let said = disk.fail(&order);
    assert!(said.contains("disk/a/1111.plot.part") && said.contains(NO_ROOM), "{said}");
    let listed = disk.succeed(&["plot", "list", "--dir", "disk/a"]);
    assert!(listed.contains("\n0 plots, ") && listed.contains("it is not finished"), "{listed}");
    disk.empty();
    disk.succeed(&order);
    disk.has_one_plot("disk/a");
}
