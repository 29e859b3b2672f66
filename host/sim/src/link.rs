//! One node's end of a stream: what waits to be sent, and when what is sent arrives.

use crate::random::Random;
use crate::scenario::Micros;
use adit_network::{Direction, Lane};
use std::collections::VecDeque;

/// Bytes that may wait on each lane of a stream, as in `adit-transport`: news, and answers.
const QUEUED_MAX: [usize; 2] = [4 << 20, 16 << 20];
/// A packet's bytes, of which each may be lost.
const PACKET_BYTES: usize = 1400;
/// How much later than the line allows bytes arrive on average, as a part of the line's time.
const JITTER: f64 = 0.02;

/// See the module.
#[derive(Debug)]
pub struct Link {
    pub peer: u32,
    pub direction: Direction,
    pub latency: Micros,
    pub since: Micros,
    /// Something was swallowed by a partition: the stream is dead, though nobody knows yet.
    pub broken: bool,
    /// When the last frame of each lane arrives: none overtakes another of its lane.
    arrives: [Micros; 2],
    /// What waits on each lane: when it will have been sent, and its bytes.
    waiting: [VecDeque<(Micros, usize)>; 2],
    queued: [usize; 2],
    pressed: bool,
}

/// A node's line: what is news goes before everything else, whichever the stream.
#[derive(Debug)]
pub struct Line {
    /// Bytes a second.
    bandwidth: u64,
    /// The part of packets that is lost.
    loss: f64,
    random: Random,
    /// When each lane is free.
    free: [Micros; 2],
}

impl Link {
    /// Opens a stream.
    pub fn new(peer: u32, direction: Direction, latency: Micros, now: Micros) -> Self {
        Self {
            peer,
            direction,
            latency,
            since: now,
            broken: false,
            arrives: [now; 2],
            waiting: Default::default(),
            queued: [0; 2],
            pressed: false,
        }
    }

    /// Tells whether so many bytes more may wait on a lane.
    pub fn has_room(&mut self, now: Micros, lane: Lane, bytes: usize) -> bool {
        let lane = lane as usize;
        while let Some((_, sent)) = self.waiting[lane].pop_front_if(|(sent, _)| *sent <= now) {
            self.queued[lane] -= sent;
        }
        self.queued[lane] + bytes <= QUEUED_MAX[lane]
    }

    /// Sends bytes and returns when they arrive.
    pub fn send(&mut self, now: Micros, lane: Lane, bytes: usize, line: &mut Line) -> Micros {
        let sent = line.send(now, lane, bytes);
        let lane = lane as usize;
        if sent > now {
            self.waiting[lane].push_back((sent, bytes));
            self.queued[lane] += bytes;
        }
        #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53 microseconds")]
        let late = line.random.exponential(JITTER * self.latency as f64);
        let mut arrives = sent + self.latency + crate::globe::whole(late);
        let packets = u32::try_from(bytes.div_ceil(PACKET_BYTES)).unwrap_or(u32::MAX);
        let mut chance = (line.loss * f64::from(packets)).min(0.95);
        while chance > 0.0 && line.random.unit() < chance {
            // Noticed after a round trip, sent again.
            arrives += 2 * self.latency;
            chance = line.loss;
        }
        self.arrives[lane] = self.arrives[lane].max(arrives);
        self.arrives[lane]
    }

    /// Returns when whatever was sent has arrived.
    pub fn last_arrival(&self) -> Micros {
        self.arrives[0].max(self.arrives[1])
    }

    /// Returns how much news waits.
    pub fn queued_live(&self) -> usize {
        self.queued[Lane::Live as usize]
    }

    /// Returns how much news waits where it grew past or fell below half its bound since the last time.
    pub fn pressure(&mut self) -> Option<usize> {
        let queued = self.queued[Lane::Live as usize];
        let pressed = queued > QUEUED_MAX[Lane::Live as usize] / 2;
        (std::mem::replace(&mut self.pressed, pressed) != pressed).then_some(queued)
    }
}

impl Line {
    /// Makes a line of so many bytes a second that loses so many of a million packets.
    pub fn new(bandwidth: u64, loss_ppm: u32, random: Random) -> Self {
        Self { bandwidth, loss: f64::from(loss_ppm) / 1_000_000.0, random, free: [0; 2] }
    }

    /// Returns how long bytes take.
    pub fn takes(&self, bytes: usize) -> Micros {
        (bytes as u64).saturating_mul(1_000_000) / self.bandwidth
    }

    fn send(&mut self, now: Micros, lane: Lane, bytes: usize) -> Micros {
        let takes = self.takes(bytes);
        let [live, bulk] = &mut self.free;
        match lane {
            Lane::Live => {
                *live = now.max(*live) + takes;
                // What was being sent is sent later by as much; what was promised already stays.
                if *bulk > now {
                    *bulk += takes;
                }
                *live
            }
            Lane::Bulk => {
                *bulk = now.max(*live).max(*bulk) + takes;
                *bulk
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(loss_ppm: u32) -> (Line, Link) {
        (Line::new(1_000_000, loss_ppm, Random::new(1, 1)), Link::new(1, Direction::Out, 50_000, 0))
    }

    #[test]
    fn bytes_take_the_lines_time_and_the_latency_and_keep_their_order() {
        let (mut line, mut link) = line(0);
        let mut last = 0;
        for number in 1..50_u64 {
            let arrives = link.send(0, Lane::Bulk, 1000, &mut line);
            assert!(arrives >= (number * 1000 + 50_000).max(last));
            last = arrives;
        }
        assert!(last < 110_000, "{last}");
        assert_eq!(link.last_arrival(), last);
    }

    #[test]
    fn news_does_not_wait_for_answers() {
        let (mut line, mut link) = line(0);
        let bulk = link.send(0, Lane::Bulk, 1_000_000, &mut line);
        let live = link.send(0, Lane::Live, 1000, &mut line);
        assert!(live < 60_000 && bulk > 1_000_000, "{live}, {bulk}");
    }

    #[test]
    fn a_lane_is_full_at_its_bound_and_says_when_it_is_half_full() {
        let (mut line, mut link) = line(0);
        assert_eq!(link.pressure(), None);
        link.send(0, Lane::Live, 3 << 20, &mut line);
        assert!(link.has_room(0, Lane::Live, 1 << 20) && !link.has_room(0, Lane::Live, (1 << 20) + 1));
        assert_eq!((link.pressure(), link.pressure()), (Some(3 << 20), None));
        assert!(link.has_room(10_000_000, Lane::Live, 4 << 20));
        assert_eq!((link.pressure(), link.pressure()), (Some(0), None));
    }

    #[test]
    fn lost_packets_come_a_round_trip_later_and_hold_up_what_is_behind_them() {
        let (mut line, mut link) = line(10_000);
        let times: Vec<u64> = (0..400).map(|_| link.send(0, Lane::Live, 10, &mut line)).collect();
        assert!(times.is_sorted());
        assert!(times[399] >= 150_000);
    }
}
