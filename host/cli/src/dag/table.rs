//! The same part of the DAG in words.

use super::layout::Layout;
use super::svg::short;
use adit_node::dag::{DagBlock, DagColour, DagPart};
use std::fmt::Write as _;

/// Returns a line for each block, the newest first.
pub fn table(part: &DagPart) -> String {
    let mut text = format!("{:>10}  {:<64}  {:<8}  {:>6}  parents\n", "height", "block", "colour", "merges");
    for (_, block) in Layout::new(part).blocks.iter().rev() {
        let parents: Vec<&str> = block.parents.iter().map(|parent| short(parent)).collect();
        let (name, tip) = (colour(block), if block.tip { "  (tip)" } else { "" });
        let DagBlock { height, hash, merged, .. } = block;
        writeln!(text, "{height:>10}  {hash:<64}  {name:<8}  {merged:>6}  {}{tip}", parents.join(" "))
            .expect("writing to a String does not fail");
    }
    if part.more {
        text.push_str("… and more blocks of these heights\n");
    }
    text
}

fn colour(block: &DagBlock) -> &'static str {
    match block.colour {
        DagColour::Selected => "selected",
        DagColour::Blue => "blue",
        DagColour::Red => "red",
        DagColour::Unmerged => "unmerged",
        DagColour::Invalid => "invalid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::svg::tests::small;

    #[test]
    fn each_block_has_a_line_with_its_colour_and_parents() {
        let text = table(&small());
        assert_eq!(text.lines().count(), small().blocks.len() + 1);
        let line = text.lines().find(|line| line.contains("  red  ")).unwrap();
        assert!(line.trim_start().starts_with("3  ") && line.ends_with("       0  abcdef00"), "{line}");
    }
}
