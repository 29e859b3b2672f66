//! The network's own measurements, for a moment.

use crate::adit::Place;

/// Returns the last word of the line that begins with `what`.
#[track_caller]
fn figure(said: &str, what: &str) -> u64 {
    let line = said.lines().find(|line| line.trim_start().starts_with(what));
    let line = line.unwrap_or_else(|| panic!("{what} is not said: {said}"));
    line.split_whitespace().last().unwrap().replace(',', "").parse().unwrap()
}

#[test]
fn what_the_network_bears_is_measured_between_processes() {
    let place = Place::new();
    let said = place.succeed(&["bench", "net", "--nodes", "3", "--rate", "300", "--seconds", "2", "--blocks", "1500"]);
    for node in 0..2 {
        assert!(figure(&said, &format!("to node {node}")) > 0, "{said}");
    }
    assert_eq!(figure(&said, "shares made"), 600);
    assert_eq!(figure(&said, "missed by a node"), 0);
    assert!(figure(&said, "headers placed") > 0 && figure(&said, "blocks placed") > 0, "{said}");
}
