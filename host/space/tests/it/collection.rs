use super::{Until, engine};
use adit_space::plain::{Order, make};
use adit_space::{Collection, Plot, Silent};
use std::path::Path;

fn order(folder: &Path, seed: u8) -> Order<'_> {
    Order { folder, key: [3; 32], seed: [seed; 32], bytes: 100_000, threads: 1, reserve: 0 }
}

#[test]
fn what_is_wrong_is_named_and_the_others_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let good = make(&order(folder.path(), 1), &engine(), &Silent).unwrap();
    assert!(make(&order(folder.path(), 2), &engine(), &Until::calls(0)).is_err());
    std::fs::write(at("rubbish.plot"), [9; 5000]).unwrap();
    std::fs::write(at("1_2_64"), b"short").unwrap();
    std::fs::write(at("notes.txt"), b"of no interest").unwrap();
    let none = at("none");
    let collection = Collection::open(&[folder.path().to_owned(), none.clone()]);
    assert_eq!(collection.plots().map(|(path, _)| path).collect::<Vec<_>>(), [good.as_path()]);
    assert!(matches!(collection.plots().next().unwrap().1, Plot::Plain(_)));
    let problem = |name: &str| {
        let found = collection.found.iter().find(|found| found.path.to_string_lossy().contains(name)).unwrap();
        found.plot.as_ref().unwrap_err().problem.to_string()
    };
    assert_eq!(problem("rubbish"), "it is no plot");
    assert_eq!(problem("1_2_64"), "it has 5 bytes and must have 16777216");
    assert!(problem(".part").starts_with("it is not finished: 0 of "), "{}", problem(".part"));
    assert_eq!(collection.found.len(), 4);
    assert_eq!(collection.missing.len(), 1);
    assert_eq!(collection.missing[0].path, none);
}

#[test]
fn a_file_counts_once_by_whatever_names() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plot = make(&order(folder.path(), 1), &engine(), &Silent).unwrap();
    std::fs::hard_link(&plot, plot.with_file_name("zz.plot")).unwrap();
    let link = other.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    let at = |path: &Path| path.to_owned();
    let folders = [at(folder.path()), folder.path().join("."), at(folder.path()), link];
    let collection = Collection::open(&folders);
    assert_eq!(collection.plots().count(), 1);
    let twins = collection.found.iter().filter_map(|found| found.plot.as_ref().err());
    assert_eq!(twins.filter(|error| error.problem.to_string().starts_with("it is the same file as ")).count(), 3);
}

#[test]
fn metadata_says_what_the_headers_say() {
    let folder = tempfile::tempdir().unwrap();
    make(&order(folder.path(), 1), &engine(), &Silent).unwrap();
    Collection::write_metadata(folder.path()).unwrap();
    let text = std::fs::read_to_string(folder.path().join("plots.json")).unwrap();
    let entries: Vec<adit_space::collection::Entry> = serde_json::from_str(&text).unwrap();
    let key = Some("03".repeat(32));
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].leaf.as_str(), &entries[0].key, entries[0].count), ("plain", &key, 2 * 1024));
    // It is no plot itself.
    assert_eq!(Collection::open(&[folder.path().to_owned()]).found.len(), 1);
}
