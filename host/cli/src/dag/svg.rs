//! The picture: blocks by column and lane, arrows to their parents, the selected chain as a thick line.
//!
//! One file that needs nothing else, readable on light and dark backgrounds. Red blocks have corners, so that colour is not all that tells them.

use super::layout::{Layout, Spot};
use adit_node::dag::{DagBlock, DagColour, DagPart};
use std::fmt::Write as _;

/// Pixels from one column to the next, and from one lane to the next.
const COLUMN: i64 = 104;
const LANE: i64 = 44;

/// Pixels of a block.
const WIDTH: i64 = 68;
const HEIGHT: i64 = 26;

/// Pixels around the blocks: for the title above, heights and legend below.
const SIDE: i64 = 44;
const ABOVE: i64 = 76;
const BELOW: i64 = 84;

/// The least width: the legend's.
const WIDTH_MIN: i64 = 760;

/// Digits of an id that are shown.
const DIGITS: usize = 8;

/// What the legend explains.
const LEGEND: [(&str, &str); 5] = [
    ("selected", "selected chain"),
    ("blue", "blue"),
    ("red", "red"),
    ("unmerged", "not merged yet"),
    ("invalid", "invalid"),
];

/// Returns the first digits of an id behind its leading zeros: those of a proof of work say nothing.
pub fn short(id: &str) -> &str {
    let digits = id.trim_start_matches('0');
    digits.get(..DIGITS).unwrap_or(digits)
}

/// Draws part of a DAG.
pub fn picture(part: &DagPart) -> String {
    let layout = Layout::new(part);
    let lanes = i64::from(layout.lanes.1) - i64::from(layout.lanes.0);
    let width = (SIDE * 2 + WIDTH + whole(layout.columns.saturating_sub(1)) * COLUMN).max(WIDTH_MIN);
    let height = ABOVE + BELOW + HEIGHT + lanes * LANE;
    let mut canvas = Canvas { layout, out: String::new() };
    canvas.head(part, width, height);
    canvas.edges();
    canvas.blocks();
    canvas.heights(height);
    canvas.legend(height);
    canvas.out.push_str("</svg>\n");
    canvas.out
}

struct Canvas<'a> {
    layout: Layout<'a>,
    out: String,
}

impl Canvas<'_> {
    fn head(&mut self, part: &DagPart, width: i64, height: i64) {
        let title = escape(&format!("The DAG of {}", part.chain));
        let heights = part.blocks.iter().map(|block| block.height);
        let (low, high) = (heights.clone().min().unwrap_or_default(), heights.max().unwrap_or_default());
        let tips = part.blocks.iter().filter(|block| block.tip).count();
        let more = if part.more { ", more left out" } else { "" };
        let blocks = part.blocks.len();
        let note = format!(
            "{blocks} blocks{more} · heights {low} to {high} · {tips} tips · arrows lead to parents, heights stand below"
        );
        self.line(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">"
        ));
        self.line(format_args!("<title>{title}</title>"));
        self.line(format_args!("<style>\n{}</style>", include_str!("picture.css")));
        self.line(format_args!("<defs>{}{}</defs>", arrow("arrow"), arrow("arrow selected")));
        self.line(format_args!("<rect class=\"back\" width=\"{width}\" height=\"{height}\"/>"));
        self.line(format_args!("<text class=\"heading\" x=\"{SIDE}\" y=\"30\">{title}</text>"));
        self.line(format_args!("<text class=\"note\" x=\"{SIDE}\" y=\"49\">{}</text>", escape(&note)));
    }

    /// Draws every arrow, those of the selected chain last: nothing may hide them.
    fn edges(&mut self) {
        let mut lines = Vec::new();
        for (spot, block) in &self.layout.blocks {
            let from = self.left(*spot);
            for parent in &block.parents {
                let chosen = block.selected_parent.as_ref() == Some(parent);
                let rank = u8::from(chosen) + u8::from(chosen && block.colour == DagColour::Selected);
                lines.push((
                    rank,
                    match self.layout.spot(parent) {
                        Some(to) => curve(from, self.right(to), rank),
                        None => format!("<path class=\"edge beyond\" d=\"M{},{} h-18\"/>", from.0, from.1),
                    },
                ));
            }
        }
        lines.sort_by_key(|(rank, _)| *rank);
        lines.iter().for_each(|(_, line)| self.line(format_args!("{line}")));
    }

    fn blocks(&mut self) {
        let blocks = std::mem::take(&mut self.layout.blocks);
        for (spot, block) in &blocks {
            self.block(*spot, block);
        }
        self.layout.blocks = blocks;
    }

    fn block(&mut self, spot: Spot, block: &DagBlock) {
        let (left, middle) = self.left(spot);
        let (class, hash) = (class(block.colour), escape(&block.hash));
        let top = middle - HEIGHT / 2;
        let round = if block.colour == DagColour::Red { 0 } else { 7 };
        self.line(format_args!("<g class=\"block {class}\" data-block=\"{hash}\">"));
        let DagBlock { height, merged, topoheight, .. } = block;
        let order = topoheight.map(|order| format!(", number {order} in the order")).unwrap_or_default();
        self.line(format_args!("<title>{hash}\nheight {height}{order}, {class}, merges {merged}</title>"));
        if block.tip {
            let (x, y, w, h) = (left - 4, top - 4, WIDTH + 8, HEIGHT + 8);
            self.line(format_args!("<path class=\"tip\" d=\"M{x},{y} h{w} v{h} h-{w} z\"/>"));
        }
        self.line(format_args!(
            "<rect x=\"{left}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"{round}\"/>\
             <text x=\"{}\" y=\"{}\">{}</text></g>",
            left + WIDTH / 2,
            middle + 4,
            escape(short(&block.hash))
        ));
    }

    /// Writes the height of each block of the selected chain below the picture.
    fn heights(&mut self, height: i64) {
        let of_chain = self.layout.blocks.iter().filter(|(spot, _)| spot.lane == 0);
        let labels: Vec<_> = of_chain.map(|(spot, block)| (self.left(*spot).0 + WIDTH / 2, block.height)).collect();
        for (x, at) in labels {
            self.line(format_args!("<text class=\"height\" x=\"{x}\" y=\"{}\">{at}</text>", height - BELOW + 26));
        }
    }

    fn legend(&mut self, height: i64) {
        let y = height - 30;
        let mut x = SIDE;
        for (class, words) in LEGEND {
            let round = if class == "red" { 0 } else { 4 };
            self.line(format_args!(
                "<g class=\"{class}\"><rect x=\"{x}\" y=\"{}\" width=\"22\" height=\"14\" rx=\"{round}\"/></g>\
                 <text class=\"note\" x=\"{}\" y=\"{y}\">{words}</text>",
                y - 11,
                x + 29
            ));
            x += 50 + 7 * whole(words.len());
        }
        self.line(format_args!(
            "<path class=\"tip\" d=\"M{x},{} h22 v14 h-22 z\"/><text class=\"note\" x=\"{}\" y=\"{y}\">tip</text>",
            y - 11,
            x + 29
        ));
    }

    /// The middle of a block's left side, from where its arrows go.
    fn left(&self, spot: Spot) -> (i64, i64) {
        let lane = i64::from(spot.lane) - i64::from(self.layout.lanes.0);
        (SIDE + whole(spot.column) * COLUMN, ABOVE + lane * LANE + HEIGHT / 2)
    }

    fn right(&self, spot: Spot) -> (i64, i64) {
        let (x, y) = self.left(spot);
        (x + WIDTH, y)
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.out, "{line}").expect("writing to a String does not fail");
    }
}

fn arrow(class: &str) -> String {
    let id = class.replace(' ', "-");
    format!(
        "<marker id=\"{id}\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path class=\"{class}\" d=\"M0,0 L8,4 L0,8 z\"/></marker>"
    )
}

/// An arrow from a block to its parent. `rank`: 2 along the selected chain, 1 to another block's selected parent, 0 to any other.
fn curve(from: (i64, i64), to: (i64, i64), rank: u8) -> String {
    let bend = ((from.0 - to.0) / 2).max(12);
    let (class, marker) = match rank {
        2 => ("edge selected", "arrow-selected"),
        1 => ("edge choice", "arrow"),
        _ => ("edge", "arrow"),
    };
    format!(
        "<path class=\"{class}\" marker-end=\"url(#{marker})\" d=\"M{},{} C{},{} {},{} {},{}\"/>",
        from.0,
        from.1,
        from.0 - bend,
        from.1,
        to.0 + bend,
        to.1,
        to.0,
        to.1
    )
}

fn class(colour: DagColour) -> &'static str {
    match colour {
        DagColour::Selected => "selected",
        DagColour::Blue => "blue",
        DagColour::Red => "red",
        DagColour::Unmerged => "unmerged",
        DagColour::Invalid => "invalid",
    }
}

/// Writes text so that it is text to a reader of XML, whoever it came from.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter if letter.is_control() && letter != '\n' => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn id(number: usize) -> String {
        format!("{:064x}", 0x00ab_cdef_0000_0000_u64 + number as u64)
    }

    /// Ten blocks: 0 to 3 in a line, 4 and 5 beside 3, 6 merges all three, 7 on 2 is red, 8 merges it, 9 beside 8 is open.
    pub fn small() -> DagPart {
        use DagColour::{Blue, Red, Selected, Unmerged};
        let blocks: [(usize, &[usize], u64, DagColour, u64); 10] = [
            (0, &[], 0, Selected, 0),
            (1, &[0], 1, Selected, 0),
            (2, &[1], 2, Selected, 0),
            (3, &[2], 3, Selected, 0),
            (4, &[2], 3, Blue, 0),
            (5, &[2, 1], 3, Blue, 0),
            (6, &[3, 4, 5], 6, Selected, 2),
            (7, &[2], 3, Red, 0),
            (8, &[6, 7], 7, Selected, 1),
            (9, &[6], 7, Unmerged, 0),
        ];
        let block = |(number, parents, height, colour, merged): (usize, &[usize], u64, DagColour, u64)| DagBlock {
            hash: id(number),
            parents: parents.iter().map(|parent| id(*parent)).collect(),
            selected_parent: parents.first().map(|parent| id(*parent)),
            height,
            topoheight: Some(number as u64),
            time_ms: height * 1_000,
            colour,
            tip: number >= 8,
            merged,
        };
        let mut blocks: Vec<_> = blocks.into_iter().map(block).collect();
        blocks.sort_by_key(|block| std::cmp::Reverse((block.height, block.hash.clone())));
        DagPart { chain: "a <small> & \"odd\" chain".to_owned(), tip: id(8), blocks, more: false }
    }

    #[test]
    fn each_block_stands_once_in_a_well_formed_picture() {
        let part = small();
        let text = picture(&part);
        let document = roxmltree::Document::parse(&text).unwrap();
        let drawn: Vec<&str> = document.descendants().filter_map(|node| node.attribute("data-block")).collect();
        let want: BTreeSet<&str> = part.blocks.iter().map(|block| block.hash.as_str()).collect();
        assert_eq!((drawn.len(), drawn.into_iter().collect::<BTreeSet<_>>()), (10, want));
        assert_eq!(document.descendants().filter(|node| node.attribute("marker-end").is_some()).count(), 13);
    }

    #[test]
    fn a_part_without_blocks_is_a_picture_too() {
        let text = picture(&DagPart::default());
        assert_eq!(roxmltree::Document::parse(&text).unwrap().root_element().tag_name().name(), "svg");
    }

    #[test]
    fn what_a_node_says_cannot_leave_its_place() {
        let mut part = small();
        part.blocks[0].hash = "\"/><script>alert(1)</script>\u{1}".to_owned();
        let text = picture(&part);
        let document = roxmltree::Document::parse(&text).unwrap();
        assert!(document.descendants().all(|node| node.tag_name().name() != "script"));
    }

    #[test]
    fn zeros_of_the_proof_are_not_shown() {
        assert_eq!(short("0000001234567890"), "12345678");
        assert_eq!(short("0000"), "");
    }
}
