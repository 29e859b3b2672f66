//! Plots as a user makes them: `adit key new`, `adit plot create`, `list`, `check`; interrupted, killed, damaged.

mod full;

use crate::adit::Place;
use serde_json::Value;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

fn place() -> Place {
    let place = Place::new();
    place.succeed(&["key", "new"]);
    place
}

fn list(place: &Place, folder: &str) -> Value {
    serde_json::from_str(place.succeed(&["--json", "plot", "list", "--dir", folder]).trim()).unwrap()
}

/// The only plot of a folder.
fn only(place: &Place, folder: &str) -> PathBuf {
    let listed = list(place, folder);
    assert_eq!(listed["plots"].as_array().unwrap().len(), 1, "{listed}");
    place.path(listed["plots"][0]["path"].as_str().unwrap())
}

#[test]
fn both_kinds_are_made_listed_and_found_right() {
    let place = place();
    place.succeed(&["plot", "create", "--dir", "a", "--size", "3MiB", "--leaf", "plain"]);
    place.succeed(&["plot", "create", "--dir", "b", "--size", "16MiB", "--start", "64"]);
    let table = place.succeed(&["plot", "list", "--dir", "a", "--dir", "b"]);
    assert!(table.contains("plain ") && table.contains("hard ") && table.contains("2 plots, "), "{table}");
    let checked = place.succeed(&["plot", "check", "--dir", "a", "--dir", "b", "--nonces", "16"]);
    assert_eq!(checked.matches("right  ").count(), 2, "{checked}");
    let metadata = std::fs::read_to_string(place.path("b/plots.json")).unwrap();
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!((&metadata[0]["start"], &metadata[0]["count"]), (&Value::from(64), &Value::from(64)));

    let plot = only(&place, "a");
    let file = std::fs::OpenOptions::new().write(true).open(&plot).unwrap();
    file.write_all_at(b"rot", 1_000_000).unwrap();
    let said = place.fail(&["plot", "check", "--dir", "a"]);
    assert!(said.contains("WRONG") && said.contains("leaves at byte 1000000"), "{said}");
    file.set_len(2_000_000).unwrap();
    let listed = list(&place, "a");
    assert!(listed["plots"].as_array().unwrap().is_empty(), "{listed}");
    let problem = listed["problems"][0]["problem"].as_str().unwrap();
    assert!(problem.starts_with("it has 2000000 bytes and must have"), "{problem}");
}

#[test]
fn a_plot_that_is_killed_again_and_again_is_the_one_that_was_not() {
    let place = place();
    let create = |folder: &'static str| {
        ["plot", "create", "--dir", folder, "--size", "64MiB", "--memory", "16MiB", "--start", "128", "--threads", "1"]
    };
    place.succeed(&create("whole"));
    let whole = std::fs::read(only(&place, "whole")).unwrap();
    std::fs::create_dir(place.path("killed")).unwrap();
    for round in 1..4 {
        let mut process = place.adit(&create("killed")).spawn().unwrap();
        std::thread::park_timeout(Duration::from_millis(400 * round));
        process.kill().unwrap();
        process.wait().unwrap();
        // What can be farmed is whole.
        for plot in list(&place, "killed")["plots"].as_array().unwrap() {
            assert!(std::fs::read(place.path(plot["path"].as_str().unwrap())).unwrap() == whole);
        }
    }
    if list(&place, "killed")["plots"].as_array().unwrap().is_empty() {
        place.succeed(&create("killed"));
    }
    assert!(std::fs::read(only(&place, "killed")).unwrap() == whole);
}

#[test]
fn a_plain_plot_that_is_killed_at_any_moment_is_the_only_one_in_the_end() {
    let place = place();
    // From the first moments of the process on, until one command gets to its end.
    let wanted = ["plot", "create", "--dir", "a", "--size", "48MiB", "--leaf", "plain", "--threads", "1"];
    let is_made = (1..200).any(|round| {
        let mut process = place.adit(&wanted).stdout(Stdio::piped()).spawn().unwrap();
        std::thread::park_timeout(Duration::from_millis(30 * round));
        process.kill().unwrap();
        // Who was told of it wants another one the next time.
        !process.wait_with_output().unwrap().stdout.is_empty()
    });
    assert!(is_made, "no time was enough");
    // Its leaves and nodes were read back, and nothing lies beside it that takes room.
    let plot = only(&place, "a");
    let files = std::fs::read_dir(place.path("a")).unwrap().map(|file| file.unwrap());
    let large = files.filter(|file| file.metadata().unwrap().len() > 1 << 20);
    assert_eq!(large.map(|file| file.path()).collect::<Vec<_>>(), [plot]);
    let checked = place.succeed(&["plot", "check", "--dir", "a"]);
    assert_eq!(checked.matches("right  ").count(), 1, "{checked}");
    let noted = std::fs::read_to_string(place.path("plot-folders.json")).unwrap();
    assert_eq!(noted.matches("/a\"").count(), 1, "{noted}");
}

#[test]
fn a_folder_by_two_names_has_its_plots_listed_and_checked_once() {
    let place = place();
    place.succeed(&["plot", "create", "--dir", "p", "--size", "1MiB", "--leaf", "plain"]);
    std::os::unix::fs::symlink("p", place.path("link")).unwrap();
    let folders = ["--dir", "p", "--dir", "./p/", "--dir", "link"];
    let listed = place.succeed(&[&["plot", "list"], &folders[..]].concat());
    assert!(listed.contains("1 plots, ") && listed.contains("it is the same file as ./p/"), "{listed}");
    let checked = place.succeed(&[&["plot", "check"], &folders[..]].concat());
    assert_eq!((checked.matches("right  ").count(), checked.matches("WRONG").count()), (1, 0), "{checked}");
}

#[test]
fn what_cannot_be_made_is_refused_with_the_reason() {
    let place = place();
    let refused = |arguments: &[&str]| place.fail(&[&["plot", "create", "--dir", "p"], arguments].concat());
    assert!(refused(&["--size", "1000000TiB"]).contains("bytes left and the plot takes"));
    assert!(refused(&["--size", "1KiB"]).contains("are too few"));
    assert!(refused(&["--size", "1GiB", "--key", "none.key"]).contains("a plot belongs to a key"));
    let left = std::fs::read_dir(place.path("p")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[test]
fn a_plot_that_finds_no_room_while_it_is_made_is_told_and_leaves_none_taken() {
    let place = place();
    // No file may have more than some mebibytes here: the system refuses what goes beyond, as a full disk does.
    for leaf in ["plain", "hard"] {
        let adit = place.adit(&["plot", "create", "--dir", "full", "--size", "16MiB", "--leaf", leaf]);
        let limits = "trap '' XFSZ; ulimit -f $((4 << 20 >> 9)); exec \"$0\" \"$@\"";
        let mut limited = Command::new("sh");
        limited.args(["-c", limits]).arg(adit.get_program()).args(adit.get_args()).current_dir(place.path(""));
        let output = limited.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("File too large"), "{said}");
        assert_eq!(std::fs::read_dir(place.path("full")).unwrap().count(), 0, "{leaf}");
    }
    place.succeed(&["plot", "create", "--dir", "full", "--size", "16MiB", "--leaf", "plain"]);
}

/// Returns the first number of each row of a section of `adit bench space`.
#[track_caller]
fn figures(said: &str, section: &str) -> Vec<u64> {
    let mut lines = said.lines().skip_while(|line| !line.starts_with(section));
    assert!(lines.next().is_some(), "{section} is not said: {said}");
    let number = |word: &str| word.replace(',', "").parse().ok();
    // What a row is called may begin with a number: `1000 plots found and opened in 23 ms`.
    let of_row = |line: &str| line.split_whitespace().filter_map(number).next_back();
    lines.take_while(|line| line.starts_with("  ")).filter_map(of_row).collect()
}

#[test]
fn what_space_takes_is_measured_in_every_section_and_leaves_no_plots_behind() {
    let place = Place::new();
    std::fs::create_dir(place.path("plots")).unwrap();
    let said = place.succeed(&["bench", "space", "--rounds", "1", "--size", "2MiB", "--dir", "plots"]);
    let of_engines =
        ["plain leaves made", "scores by SHA-256", "scores by BLAKE3", "PoC2 nonces made", "PoC2 scoops scanned"];
    for section in of_engines {
        let speeds = figures(&said, section);
        assert!(speeds.len() >= 2 && speeds.iter().all(|speed| *speed > 0), "{section}: {said}");
    }
    let on_disk = figures(&said, "a plain plot of 2,097,152 bytes");
    assert_eq!(on_disk.len(), 8, "{said}");
    assert!(said.contains("a hard plot's scoop of 2,048 nonces") && said.contains("% of reading it"), "{said}");
    let judged = figures(&said, "blocks judged in the sandbox");
    assert!(said.contains("us alone") && judged == [16, 16], "{said}");
    assert_eq!(std::fs::read_dir(place.path("plots")).unwrap().count(), 0);
}

#[test]
fn what_an_attacker_without_plots_stands_for_is_measured() {
    let place = Place::new();
    let measure = |times: [&str; 4]| {
        place.succeed(&[&["bench", "space", "--attack", "--rounds", "1", "--size", "2MiB"], &times[..]].concat())
    };
    let said = measure(["--block-time", "60", "--challenge-time", "15"]);
    let makes =
        figures(&said, "what one core without a plot stands for, 60 seconds between blocks and 4 challenges in them");
    let replaces = figures(&said, "what it replaces");
    // Both hashes of plain plots, and hard ones.
    assert_eq!((makes.len(), replaces.len()), (3, 3), "{said}");
    assert!(makes.iter().chain(&replaces).all(|figure| *figure > 0), "{said}");
    // A nonce that is made once answers all challenges of a block.
    assert_eq!(replaces[2], makes[2] * 4 / 4_096, "{said}");
    assert!(said.contains(" of this one"), "{said}");
    assert!(figures(&said, "a disk, read past the cache").is_empty() && said.contains("a disk, read past the cache: "));
    assert_eq!(std::fs::read_dir(place.path("")).unwrap().count(), 0, "the plot that was read is gone");
}
