//! Random numbers that follow from a seed, the same on every machine: splitmix64 (Steele, Lea, Flood 2014), and a logarithm made of
//! operations that IEEE 754 defines to the last bit.

/// A generator.
#[derive(Debug, Clone)]
pub struct Random(u64);

/// Mixes bits: a permutation of 64-bit numbers.
pub const fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Returns a number from 0 up to but not 1, made of the upper bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
pub const fn unit_of(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

impl Random {
    /// Makes a generator for one purpose of a seed: those of different purposes are independent.
    pub const fn new(seed: u64, purpose: u64) -> Self {
        Self(mix(seed ^ mix(purpose)))
    }

    /// Returns 64 bits.
    pub const fn bits(&mut self) -> u64 {
        let bits = mix(self.0);
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits
    }

    /// Returns a number from 0 up to but not 1.
    pub const fn unit(&mut self) -> f64 {
        unit_of(self.bits())
    }

    /// Returns a number below `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: u32) -> u32 {
        let wide = u64::from(end) * (self.bits() >> 32);
        u32::try_from(wide >> 32).expect("the high half is below `end`")
    }

    /// Returns a number of the exponential distribution with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        // 1 - u is never 0.
        -mean * ln(1.0 - self.unit())
    }

    /// Returns 32 bytes.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.bits().to_le_bytes()));
        bytes
    }
}

/// Returns the natural logarithm of a positive normal number, within 1e-12: the system's own differs between systems.
pub fn ln(number: f64) -> f64 {
    let bits = number.to_bits();
    let exponent = i32::try_from(bits >> 52).expect("eleven bits, the sign is 0") - 1023;
    let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    // ln m = 2 artanh((m - 1) / (m + 1)), of which m in 1..2 takes twenty terms at most.
    let y = (mantissa - 1.0) / (mantissa + 1.0);
    let (mut term, mut sum) = (y, 0.0);
    for odd in (1..41).step_by(2) {
        sum += term / f64::from(odd);
        term *= y * y;
    }
    2.0 * sum + f64::from(exponent) * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_the_systems_within_its_bound() {
        for number in [1e-300, 1e-9, 0.3, 0.999_999, 1.0, 1.5, 2.0, 10.0, 1e12] {
            assert!((ln(number) - number.ln()).abs() <= 1e-12 * number.ln().abs().max(1.0), "{number}");
        }
    }

    #[test]
    fn an_exponential_has_its_mean_and_its_tail() {
        let mut random = Random::new(1, 2);
        let numbers: Vec<f64> = (0..100_000).map(|_| random.exponential(3.0)).collect();
        let mean = numbers.iter().sum::<f64>() / 100_000.0;
        let tail = numbers.iter().filter(|number| **number > 3.0).count() as f64 / 100_000.0;
        assert!((mean - 3.0).abs() < 0.05, "{mean}");
        assert!((tail - (-1.0_f64).exp()).abs() < 0.01, "{tail}");
    }

    #[test]
    fn purposes_of_one_seed_differ_and_each_repeats() {
        assert_eq!(Random::new(7, 1).bits(), Random::new(7, 1).bits());
        assert_ne!(Random::new(7, 1).bits(), Random::new(7, 2).bits());
        assert!((0..1000).all(|purpose| Random::new(7, purpose).below(10) < 10));
        assert_eq!(Random::new(7, 1).below(0), 0);
    }
}
