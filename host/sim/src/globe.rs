//! Where nodes are, and how long a byte takes between two of them.

use crate::random::Random;
use crate::scenario::Micros;

/// The part of the mean time that any two nodes take, however near: the last miles, the kernels, the programs.
const NEAREST: f64 = 0.1;
/// The mean distance of two points at random on a sphere of radius 1, straight through it.
const MEAN_CHORD: f64 = 4.0 / 3.0;

/// Nodes at random on a sphere. The time from one to another grows with the straight line between them, since no arc's length is
/// the same on every machine.
#[derive(Debug)]
pub struct Globe {
    points: Vec<[f64; 3]>,
    mean: f64,
}

impl Globe {
    /// Places nodes, with this mean time between two of them.
    pub fn new(nodes: u32, mean: Micros, random: &mut Random) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "no latency has 2^53 microseconds")]
        let mean = mean as f64;
        Self { points: (0..nodes).map(|_| point(random)).collect(), mean }
    }

    /// Returns how long a byte takes.
    pub fn latency(&self, one: u32, other: u32) -> Micros {
        let [one, other] = [one, other].map(|node| self.points[node as usize]);
        let squares = std::iter::zip(one, other).map(|(a, b)| (a - b) * (a - b));
        let chord = squares.sum::<f64>().sqrt();
        whole(self.mean * (NEAREST + (1.0 - NEAREST) * chord / MEAN_CHORD))
    }

    /// Returns a time below which no byte arrives.
    pub fn nearest(&self) -> Micros {
        whole(self.mean * NEAREST).max(1)
    }
}

/// Marsaglia (1972): a point in the disc, lifted onto the sphere.
fn point(random: &mut Random) -> [f64; 3] {
    loop {
        let [x, y] = [random.unit(), random.unit()].map(|unit| 2.0 * unit - 1.0);
        let square = x * x + y * y;
        if square < 1.0 {
            let scale = 2.0 * (1.0 - square).sqrt();
            return [x * scale, y * scale, 1.0 - 2.0 * square];
        }
    }
}

/// Rounds a time that is not negative.
pub fn whole(micros: f64) -> Micros {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let whole = micros.round() as u64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_time_between_nodes_is_the_one_asked_for() {
        let globe = Globe::new(400, 100_000, &mut Random::new(1, 1));
        let pairs = (0..400).flat_map(|one| (0..one).map(move |other| (one, other)));
        let times: Vec<u64> = pairs.map(|(one, other)| globe.latency(one, other)).collect();
        let mean = times.iter().sum::<u64>() / times.len() as u64;
        assert!((98_000..102_000).contains(&mean), "{mean}");
        assert!(times.iter().all(|time| *time >= globe.nearest()));
        assert!(times.iter().any(|time| *time < 20_000) && times.iter().any(|time| *time > 140_000));
    }
}
