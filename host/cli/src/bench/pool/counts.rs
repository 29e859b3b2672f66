//! What the pool counts of itself, read from its metrics.

use crate::bench::grouped;

/// What is of interest after a run.
#[derive(Debug, Default, PartialEq)]
pub struct Counts {
    jobs_sent: u64,
    templates: u64,
    blocks: u64,
    /// While their jobs are known.
    pub shares_remembered: u64,
    /// How many blocks were on their way within so many seconds, the shortest time first.
    waits: Vec<(String, u64)>,
}

impl Counts {
    /// Reads Prometheus' text.
    pub fn read(text: &str) -> Self {
        let mut counts = Self::default();
        for line in text.lines() {
            let Some((name, number)) = line.rsplit_once(' ') else { continue };
            let Ok(number) = number.parse() else { continue };
            match name {
                "adit_pool_jobs_sent_total" => counts.jobs_sent = number,
                "adit_pool_templates_total" => counts.templates = number,
                "adit_pool_shares_remembered" => counts.shares_remembered = number,
                "adit_pool_block_wait_seconds_count" => counts.blocks = number,
                _ => {
                    let limit = name.strip_prefix("adit_pool_block_wait_seconds_bucket{le=\"");
                    if let Some(limit) = limit.and_then(|limit| limit.strip_suffix("\"}")) {
                        counts.waits.push((limit.to_owned(), number));
                    }
                }
            }
        }
        counts
    }

    /// Prints how many templates the miners' jobs took, and how soon blocks were on their way where that was asked for.
    pub fn print(&self, blocks: bool) {
        println!("jobs sent, templates taken  {:>12} {:>8}", grouped(self.jobs_sent), grouped(self.templates));
        if let Some(avoided) = self.jobs_sent.checked_sub(self.templates).filter(|_| self.jobs_sent > 0) {
            println!("  templates avoided         {:>10.1} %", 100.0 * avoided as f64 / self.jobs_sent as f64);
        }
        if blocks {
            println!("blocks found                {:>12}", grouped(self.blocks));
            for (name, thousandths) in [("half", 500), ("99 %", 990)] {
                let within = self.within(thousandths).unwrap_or("?");
                println!("  {name:<7}on their way within {:>10} s", within);
            }
        }
    }

    /// The least time that is counted by, within which so many thousandths of the blocks were on their way.
    fn within(&self, thousandths: u64) -> Option<&str> {
        let enough = |(_, count): &&(String, u64)| *count > 0 && count * 1000 >= self.blocks * thousandths;
        self.waits.iter().find(enough).map(|(limit, _)| limit.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn figures_are_found_among_all_metrics() {
        let text = "# TYPE adit_pool_jobs_sent counter\nadit_pool_jobs_sent_total 640\nadit_pool_templates_total 10\nadit_pool_shares_remembered 7\n\
            adit_pool_block_wait_seconds_sum 0.5\nadit_pool_block_wait_seconds_count 200\n\
            adit_pool_block_wait_seconds_bucket{le=\"0.001\"} 150\nadit_pool_block_wait_seconds_bucket{le=\"0.005\"} 198\n\
            adit_pool_block_wait_seconds_bucket{le=\"+Inf\"} 200\n# EOF\n";
        let counts = Counts::read(text);
        assert_eq!((counts.jobs_sent, counts.templates, counts.blocks, counts.shares_remembered), (640, 10, 200, 7));
        assert_eq!([500, 990, 1000].map(|part| counts.within(part)), [Some("0.001"), Some("0.005"), Some("+Inf")]);
        assert_eq!(Counts::read("").within(500), None);
    }
}
