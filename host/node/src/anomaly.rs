//! Finds what is out of the ordinary: hash rate, reject rate and template time against their own recent past.
//!
//! A reading is judged by its modified z-score, 0.6745 · (reading − median) ÷ median absolute deviation over a window of earlier readings (Iglewicz
//! and Hoaglin, "How to Detect and Handle Outliers", 1993), which a few wild readings in the window do not move. It begins an event above the
//! threshold and ends it below half of that, so that a reading at the edge makes one event and not many. What lasts becomes the ordinary after half a
//! window. Pure: readings and times come in, events go out; nothing acts on them but the log, the API and whoever reads the metrics.

use crate::mining::MinerReport;
use crate::settings::AnomalySettings;
use crate::statistics::Totals;
use adit_primitives::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use utoipa::ToSchema;

/// Readings before a metric is judged.
pub const READINGS_MIN: usize = 20;

/// Events that are kept.
pub const EVENTS_MAX: usize = 100;

/// What makes the median absolute deviation of a normal distribution its standard deviation: its third quartile.
const NORMAL_QUARTILE: f64 = 0.6745;

/// Blocks that a reject rate is reckoned over at least: one refused block among few is no rate.
const JUDGED_MIN: u64 = 10;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Hashes a second of this node's own miner while it runs.
    HashRate,
    /// Refused blocks for each block that was judged.
    RejectRate,
    /// Mean milliseconds that a template took to make.
    TemplateTime,
}

/// Readings of one moment; what was not measured is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Readings {
    pub hash_rate: Option<f64>,
    pub reject_rate: Option<f64>,
    pub template_ms: Option<f64>,
}

/// The beginning or the end of an anomaly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnomalyEvent {
    /// Grows by one with each event since the start.
    pub number: u64,
    /// Seconds since 1970.
    pub time: f64,
    pub metric: Metric,
    pub change: Change,
    pub reading: f64,
    pub median: f64,
    /// The modified z-score: negative below the median.
    pub z: f64,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Began,
    Ended,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Began => "began",
            Self::Ended => "ended",
        })
    }
}

/// What is watched and what was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AnomalyReport {
    pub watched: Vec<WatchedMetric>,
    /// The newest first, at most 100.
    pub events: Vec<AnomalyEvent>,
}

/// How a metric stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WatchedMetric {
    pub metric: Metric,
    /// Readings in the window: below 20 nothing is judged.
    pub readings: u64,
    pub reading: f64,
    pub median: f64,
    pub z: f64,
    /// Whether an anomaly has begun and not ended.
    pub abnormal: bool,
    /// Anomalies since the start.
    pub anomalies: u64,
}

/// Watches every metric.
#[derive(Debug, Clone)]
pub struct Watch {
    detectors: [(Metric, Detector); 3],
    events: VecDeque<AnomalyEvent>,
    number: u64,
    before: Totals,
}

/// Watches one metric.
#[derive(Debug, Clone, Default)]
struct Detector {
    window: VecDeque<f64>,
    last: Score,
    abnormal: bool,
    anomalies: u64,
}

/// A reading against those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Score {
    reading: f64,
    median: f64,
    z: f64,
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

impl Watch {
    /// Starts without any reading.
    pub fn new() -> Self {
        let metrics = [Metric::HashRate, Metric::RejectRate, Metric::TemplateTime];
        Self {
            detectors: metrics.map(|metric| (metric, Detector::default())),
            events: VecDeque::new(),
            number: 0,
            before: Totals::default(),
        }
    }

    /// Reads the metrics off what was counted since the last time, and off what the miner reports.
    pub fn read(&mut self, totals: Totals, miner: &MinerReport) -> Readings {
        let before = std::mem::replace(&mut self.before, totals);
        let refused = totals.blocks_rejected - before.blocks_rejected;
        let judged = refused + totals.blocks_accepted - before.blocks_accepted;
        let built = totals.templates_built - before.templates_built;
        let template_ms = (totals.template_us - before.template_us) as f64 / 1000.0;
        Readings {
            hash_rate: miner.running.then_some(miner.hashes_per_second),
            reject_rate: (judged > 0).then(|| refused as f64 / judged.max(JUDGED_MIN) as f64),
            template_ms: (built > 0).then(|| template_ms / built as f64),
        }
    }

    /// Judges readings, and returns the events that they make.
    pub fn observe(&mut self, now: Timestamp, readings: Readings, settings: &AnomalySettings) -> Vec<AnomalyEvent> {
        let mut events = Vec::new();
        for (metric, detector) in &mut self.detectors {
            let Some(reading) = metric.of(readings) else { continue };
            let Some(change) = detector.observe(*metric, reading, settings) else { continue };
            self.number += 1;
            let Score { reading, median, z } = detector.last;
            let time = crate::api::shapes::seconds(now);
            events.push(AnomalyEvent { number: self.number, time, metric: *metric, change, reading, median, z });
        }
        self.events.extend(events.iter().cloned());
        let over = self.events.len().saturating_sub(EVENTS_MAX);
        self.events.drain(..over);
        events
    }

    /// Returns how all stands.
    pub fn report(&self) -> AnomalyReport {
        let watched = |(metric, detector): &(Metric, Detector)| WatchedMetric {
            metric: *metric,
            readings: detector.window.len() as u64,
            reading: detector.last.reading,
            median: detector.last.median,
            z: detector.last.z,
            abnormal: detector.abnormal,
            anomalies: detector.anomalies,
        };
        AnomalyReport {
            watched: self.detectors.iter().map(watched).collect(),
            events: self.events.iter().rev().cloned().collect(),
        }
    }
}

impl Metric {
    /// Returns the name as metrics and the API have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::HashRate => "hash-rate",
            Self::RejectRate => "reject-rate",
            Self::TemplateTime => "template-time",
        }
    }

    fn of(self, readings: Readings) -> Option<f64> {
        match self {
            Self::HashRate => readings.hash_rate,
            Self::RejectRate => readings.reject_rate,
            Self::TemplateTime => readings.template_ms,
        }
    }

    /// Returns the least deviation that is reckoned with: below it a metric that hardly ever moves would be abnormal at its first move.
    fn deviation_min(self, median: f64) -> f64 {
        match self {
            Self::HashRate => (median * 0.02).max(1.0),
            Self::RejectRate => 0.05,
            Self::TemplateTime => (median * 0.1).max(1.0),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Detector {
    fn observe(&mut self, metric: Metric, reading: f64, settings: &AnomalySettings) -> Option<Change> {
        let enough = self.window.len() >= READINGS_MIN;
        self.last = self.score(metric, reading);
        self.window.push_back(reading);
        let over = self.window.len().saturating_sub(settings.window as usize);
        self.window.drain(..over);
        if !enough {
            return None;
        }
        let distance = self.last.z.abs();
        if !self.abnormal && distance > settings.threshold {
            self.abnormal = true;
            self.anomalies += 1;
            return Some(Change::Began);
        }
        if self.abnormal && distance < settings.threshold / 2.0 {
            self.abnormal = false;
            return Some(Change::Ended);
        }
        None
    }

    fn score(&self, metric: Metric, reading: f64) -> Score {
        let Some(median) = median(self.window.iter().copied()) else {
            return Score { reading, median: reading, z: 0.0 };
        };
        let deviation = median_of_distances(&self.window, median).max(metric.deviation_min(median));
        Score { reading, median, z: NORMAL_QUARTILE * (reading - median) / deviation }
    }
}

fn median_of_distances(window: &VecDeque<f64>, from: f64) -> f64 {
    median(window.iter().map(|reading| (reading - from).abs())).unwrap_or_default()
}

/// Returns the middle value, the mean of the two middle ones of an even number.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let above = *values.get(values.len() / 2)?;
    let below = values[(values.len() - 1) / 2];
    Some(f64::midpoint(below, above))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> AnomalySettings {
        AnomalySettings { threshold: 3.5, window: 60, interval_ms: 5_000 }
    }

    /// Readings around 1,000 that move by at most 10, always the same.
    fn steady(count: usize) -> Vec<f64> {
        (0..count).map(|at| 1_000.0 + ((at * 7 + at * at) % 21) as f64 - 10.0).collect()
    }

    fn events(readings: &[f64]) -> Vec<(usize, Change)> {
        let mut watch = Watch::new();
        let mut found = Vec::new();
        for (at, reading) in readings.iter().enumerate() {
            let readings = Readings { hash_rate: Some(*reading), ..Readings::default() };
            let events = watch.observe(Timestamp::from_secs(at as u64), readings, &settings());
            found.extend(events.into_iter().map(|event| (at, event.change)));
        }
        found
    }

    #[test]
    fn a_steady_series_has_no_events() {
        assert_eq!(events(&steady(500)), []);
    }

    #[test]
    fn a_spike_begins_and_ends_one_event() {
        let mut readings = steady(200);
        readings[100] = 2_000.0;
        assert_eq!(events(&readings), [(100, Change::Began), (101, Change::Ended)]);
    }

    #[test]
    fn a_step_is_one_event_until_it_is_the_ordinary() {
        let readings = [steady(100), steady(100).into_iter().map(|reading| reading / 2.0).collect()].concat();
        let found = events(&readings);
        assert_eq!(found[0], (100, Change::Began));
        assert_eq!((found.len(), found[1].1), (2, Change::Ended));
        // Half of the window of 60 readings lies behind the step by then.
        assert!((125..=135).contains(&found[1].0), "{found:?}");
    }

    #[test]
    fn what_never_moved_may_move_a_little() {
        let mut readings = vec![500.0; 100];
        readings[50] = 510.0;
        assert_eq!(events(&readings), []);
        readings[60] = 600.0;
        assert_eq!(events(&readings), [(60, Change::Began), (61, Change::Ended)]);
    }

    #[test]
    fn nothing_is_judged_before_there_are_enough_readings() {
        let mut readings = steady(READINGS_MIN);
        readings[READINGS_MIN - 1] = 1e9;
        assert_eq!(events(&readings), []);
    }

    #[test]
    fn a_reading_between_both_thresholds_ends_nothing_and_begins_nothing() {
        // The deviation is at its least, 2 % of 1,000: 3.5 lies 103.8 off the median, its half 51.9.
        let mut readings = vec![1_000.0; 60];
        readings.extend([1_080.0, 1_120.0, 1_080.0, 1_120.0, 1_080.0, 1_040.0, 1_080.0]);
        assert_eq!(events(&readings), [(61, Change::Began), (65, Change::Ended)]);
    }

    #[test]
    fn a_single_refused_block_is_no_anomaly_and_many_are() {
        let mut watch = Watch::new();
        let mut totals = Totals::default();
        let mut step = |accepted, refused| {
            totals.blocks_accepted += accepted;
            totals.blocks_rejected += refused;
            let readings = watch.read(totals, &MinerReport::default());
            watch.observe(Timestamp::from_secs(0), readings, &settings()).len()
        };
        assert_eq!((0..50).map(|_| step(1, 0)).sum::<usize>(), 0);
        assert_eq!(step(0, 1), 0);
        assert_eq!(step(1, 9), 1);
    }

    #[test]
    fn what_was_not_measured_is_not_read() {
        let mut watch = Watch::new();
        assert_eq!(watch.read(Totals::default(), &MinerReport::default()), Readings::default());
        let totals = Totals { templates_built: 4, template_us: 10_000, ..Totals::default() };
        assert_eq!(watch.read(totals, &MinerReport::default()).template_ms, Some(2.5));
    }

    #[test]
    fn events_are_kept_newest_first_within_a_bound() {
        let mut watch = Watch::new();
        for at in 0..2_000 {
            let reading = if at % 10 == 9 { 9_000.0 } else { 1_000.0 };
            let readings = Readings { hash_rate: Some(reading), ..Readings::default() };
            watch.observe(Timestamp::from_secs(at), readings, &settings());
        }
        let report = watch.report();
        assert_eq!(report.events.len(), EVENTS_MAX);
        assert!(report.events[0].number > report.events[1].number);
        assert!(report.watched[0].anomalies > 100);
    }
}
