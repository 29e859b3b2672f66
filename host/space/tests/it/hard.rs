use super::{Until, engine, flip};
use adit_primitives::space::{NONCE_BYTES, SCOOP_BYTES, SCOOPS, SpaceEngine};
use adit_space::Silent;
use adit_space::hard::{HardPlot, Name, Order, account, make};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

const ACCOUNT: u64 = 7_900_104_405_094_198_526;

fn order(folder: &Path, nonces: u64) -> Order<'_> {
    let bytes = nonces * NONCE_BYTES as u64;
    Order { folder, account: ACCOUNT, start: 1_337, bytes, threads: 2, memory: 64 * NONCE_BYTES as u64, reserve: 0 }
}

fn made(folder: &Path, nonces: u64) -> PathBuf {
    make(&order(folder, nonces), &engine(), &Silent).unwrap()
}

fn check(path: &Path, groups: u64) -> Result<(), String> {
    let plot = HardPlot::open(path).map_err(|error| error.problem.to_string())?;
    plot.check(&engine(), groups, &|_| Ok(())).map_err(|problem| problem.to_string())
}

/// The scoops that the lanes make, for comparison.
fn lanes() -> Vec<u8> {
    let mut scoops = vec![0; engine().lanes() * NONCE_BYTES];
    engine().nonces(ACCOUNT, 1_337, &mut scoops);
    scoops
}

#[test]
fn a_plot_has_the_name_and_the_order_of_signums() {
    let folder = tempfile::tempdir().unwrap();
    let path = made(folder.path(), 64);
    assert_eq!(path.file_name().unwrap().to_str().unwrap(), "7900104405094198526_1337_64");
    let (bytes, lanes) = (std::fs::read(&path).unwrap(), lanes());
    assert_eq!(bytes.len(), 64 * NONCE_BYTES);
    let each = engine().lanes() * SCOOP_BYTES;
    for scoop in 0..SCOOPS {
        assert!(bytes[scoop * 64 * SCOOP_BYTES..][..each] == lanes[scoop * each..][..each], "scoop {scoop}");
    }
    check(&path, 4).unwrap();
    flip(&path, (77 * 64 + 20) * SCOOP_BYTES as u64 + 5);
    assert_eq!(check(&path, 4).unwrap_err(), "its scoops at byte 316677 are not what its key and seed give");
}

#[test]
fn an_interrupted_plot_is_gone_on_with_and_is_the_same() {
    let (whole, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let want = std::fs::read(made(whole.path(), 128)).unwrap();
    // In the first pass, behind it, and in the second.
    for calls in [2, 5, 4] {
        let error = make(&order(folder.path(), 128), &engine(), &Until::calls(calls)).unwrap_err();
        assert!(error.to_string().contains("it was interrupted"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    assert!(std::fs::read(made(folder.path(), 128)).unwrap() == want);
}

#[test]
fn what_a_kill_leaves_before_the_first_note_and_after_the_last_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = made(folder.path(), 64);
    let want = std::fs::read(&path).unwrap();
    let part = path.with_extension("part");
    let leave = |bytes: &[u8]| {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&part, bytes).unwrap();
    };
    let noteless = vec![0; want.len() + 4_096];
    for left in [&b""[..], &want[..1_000], &noteless, &want] {
        leave(left);
        assert_eq!(made(folder.path(), 64), path);
        assert!(std::fs::read(&path).unwrap() == want && !part.exists(), "{} bytes were left", left.len());
    }
    // A note that was changed is somebody's plot: it is named, and stays.
    let mut changed = noteless;
    changed[want.len()] = 1;
    leave(&changed);
    let error = make(&order(folder.path(), 64), &engine(), &Silent).unwrap_err();
    assert!(error.to_string().contains("exists"), "{error}");
    assert!(std::fs::read(&part).unwrap() == changed);
}

#[test]
fn plots_of_others_are_read_wherever_their_scoops_begin() {
    let folder = tempfile::tempdir().unwrap();
    let nonces = engine().lanes();
    // As many nonces as there are lanes: no multiple of a sector.
    let name = Name { account: ACCOUNT, start: 1_337, nonces: nonces as u64 };
    let path = folder.path().join(name.to_string());
    std::fs::write(&path, lanes()).unwrap();
    let plot = HardPlot::open(&path).unwrap();
    for scoop in [0, 1, 2, SCOOPS - 1] {
        let each = nonces * SCOOP_BYTES;
        let shown = |first: u64, scoops: &[u8]| {
            assert!(first == 0 && scoops == &lanes()[scoop * each..][..each], "scoop {scoop}");
            ControlFlow::Continue(())
        };
        plot.show(scoop as u64, 0..name.nonces, 2, &shown).unwrap();
    }
    check(&path, 1).unwrap();
}

#[test]
fn names_that_are_none_are_refused() {
    for name in [
        "",
        "1",
        "1_2",
        "1_2_3_4",
        "1_2_0",
        "a_2_3",
        "01_2_3",
        "1_00_3",
        "+1_2_3",
        "1_-2_3",
        "1_18446744073709551615_1",
        "99999999999999999999_1_1",
    ] {
        assert!(name.parse::<Name>().is_err(), "{name}");
    }
    assert_eq!("1_2_64".parse(), Ok(Name { account: 1, start: 2, nonces: 64 }));
    assert_eq!(account(&[0; 32]), u64::from_le_bytes([0x66, 0x68, 0x7a, 0xad, 0xf8, 0x62, 0xbd, 0x77]));
}
