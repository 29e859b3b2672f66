//! A report for people.

use crate::report::{Quantiles, Report, Spread};
use std::fmt::{self, Display, Formatter};

/// The longest bar of a histogram.
const BAR: u64 = 40;
/// Depths that are told of.
const DEPTHS_MAX: usize = 12;
/// A block that is reverted more seldom may be called settled.
const SELDOM: f64 = 0.001;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.blocks(f)?;
        self.propagation(f)?;
        self.confirmations(f)?;
        self.difficulty(f)?;
        self.traffic(f)?;
        let agreement = &self.agreement;
        writeln!(f)?;
        let tips = match agreement.tips {
            1 => "one tip".to_owned(),
            tips if agreement.behind_part > 0.0 => {
                format!("{tips} tips, {} of the nodes behind", percent(agreement.behind_part))
            }
            tips => format!("{tips} tips of equal work"),
        };
        writeln!(f, "at the end  {tips}, {} of the nodes have all of it", percent(agreement.whole_part))
    }
}

impl Report {
    fn blocks(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let blocks = &self.blocks;
        writeln!(
            f,
            "blocks      {} found, one in {}, {} bytes each",
            blocks.found,
            time(1000.0 * blocks.interval_seconds),
            blocks.bytes_mean
        )?;
        if blocks.merges {
            writeln!(f, "            {} on the selected chain, {} merged blue", blocks.selected, blocks.blue)?;
            writeln!(f, "red         {} ({})", blocks.red, percent(blocks.red_part))?;
            writeln!(
                f,
                "width       {:.2} blocks for each of the selected chain, at most {} parents",
                blocks.width, blocks.parents_max
            )?;
            writeln!(f, "not merged  {} (the last tips)", blocks.lost)?;
        } else {
            writeln!(f, "orphans     {} ({})", blocks.lost, percent(blocks.lost_part))?;
            for (length, times) in &self.forks {
                writeln!(f, "            branches of length {length}: {times}")?;
            }
        }
        writeln!(f, "stale work  {} of the hash rate was not on the best block", percent(self.stale_work))
    }

    fn propagation(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let propagation = &self.propagation;
        writeln!(f, "\na block reaches     median      mean      most")?;
        let mut line = |name: &str, times: &Quantiles, not: u64| {
            write!(f, "{name:>12} {:>13} {:>9} {:>9}", time(times.median), time(times.mean), time(times.most))?;
            if not > 0 { writeln!(f, "    {not} blocks did not") } else { writeln!(f) }
        };
        line("50 % in", &propagation.half, propagation.not_half)?;
        line("90 % in", &propagation.nine_in_ten, propagation.not_nine_in_ten)?;
        line("99 % in", &propagation.ninety_nine, propagation.not_ninety_nine)?;
        let most = self.histogram.iter().map(|column| column.blocks).max().unwrap_or(0).max(1);
        writeln!(f, "\nuntil 90 % of the nodes have a block")?;
        for column in &self.histogram {
            let bar = "#".repeat(usize::try_from((column.blocks * BAR).div_ceil(most)).unwrap_or(0));
            writeln!(f, "   <= {:>9} {:>7} {bar}", time(column.up_to), column.blocks)?;
        }
        Ok(())
    }

    fn confirmations(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.confirmations.is_empty() {
            return writeln!(f, "\nno node ever gave a block of its selected chain up");
        }
        writeln!(f, "\na node gave up a block of its selected chain that was")?;
        for confirmation in self.confirmations.iter().take(DEPTHS_MAX) {
            let (depth, part) = (confirmation.depth, percent(confirmation.reverted_part));
            writeln!(f, "   {depth:>3} deep ({:>8})  {part:>9} of the time", time(1000.0 * confirmation.seconds))?;
        }
        if self.confirmations.len() > DEPTHS_MAX {
            writeln!(f, "   and up to {} deep", self.confirmations.len() - 1)?;
        }
        match self.confirmations.iter().find(|confirmation| confirmation.reverted_part < SELDOM) {
            Some(settled) => writeln!(
                f,
                "   settled but once in a thousand after {} blocks, {}",
                settled.depth,
                time(1000.0 * settled.seconds)
            ),
            None => Ok(()),
        }
    }

    fn difficulty(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n     until   blocks  one in   work of one  difficulty")?;
        for part in &self.difficulty {
            let (until, each) = (time(1000.0 * part.until_seconds), time(1000.0 * part.interval_seconds));
            writeln!(f, "{until:>10} {:>8} {each:>7} {:>12.3}x  {}", part.blocks, part.ratio, part.difficulty)?;
        }
        Ok(())
    }

    fn traffic(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nmessages         number         bytes")?;
        for class in &self.traffic {
            writeln!(f, "{:<12} {:>10} {:>13}", class.name, class.frames, class.bytes)?;
        }
        let node = &self.node_traffic;
        writeln!(
            f,
            "of a node, sent and received: {:.1} messages a second ({:.1} at most), {:.0} bytes ({:.0})",
            node.frames_mean, node.frames_max, node.bytes_mean, node.bytes_max
        )?;
        let sessions = &self.sessions;
        writeln!(
            f,
            "sessions: {} began, {} ended, {} bans, {} messages dropped, {} lost in a partition",
            sessions.opened / 2,
            sessions.closed / 2,
            sessions.bans,
            sessions.dropped_frames,
            sessions.swallowed_frames
        )?;
        if let Some(shares) = &self.shares {
            spread(f, "shares", shares)?;
        }
        if let Some(transactions) = &self.transactions {
            spread(f, "transactions", &transactions.spread)?;
            writeln!(
                f,
                "   {} are in blocks, which told the other nodes: half of them after {}, 99 % after {}",
                transactions.confirmed,
                time(1000.0 * transactions.confirmed_half_seconds),
                time(1000.0 * transactions.confirmed_ninety_nine_seconds)
            )?;
        }
        Ok(())
    }
}

fn spread(f: &mut Formatter<'_>, name: &str, spread: &Spread) -> fmt::Result {
    writeln!(f, "\n{name}: {} made, {} of the nodes were told of each", spread.made, percent(spread.delivered_part))?;
    writeln!(
        f,
        "   50 % within {}, 90 % {}, 99 % {}; {:.2} messages and {:.0} bytes for each and node",
        time(spread.half),
        time(spread.nine_in_ten),
        time(spread.ninety_nine),
        spread.frames_each,
        spread.bytes_each
    )
}

/// Writes milliseconds in the unit that suits them.
fn time(milliseconds: f64) -> String {
    match milliseconds {
        short if short < 1000.0 => format!("{short:.0} ms"),
        seconds if seconds < 120_000.0 => format!("{:.2} s", seconds / 1000.0),
        minutes if minutes < 7_200_000.0 => format!("{:.1} min", minutes / 60_000.0),
        hours => format!("{:.1} h", hours / 3_600_000.0),
    }
}

fn percent(part: f64) -> String {
    match 100.0 * part {
        0.0 => "0 %".to_owned(),
        small if small < 0.1 => format!("{small:.4} %"),
        percent => format!("{percent:.2} %"),
    }
}
