//! A small generator whose numbers follow from its seed: splitmix64 (Steele, Lea, Flood 2014).

/// For choices that only have to differ between nodes: no secret is made of it.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Makes a generator from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`, 0 where `end` is 0. Uneven by less than `end` in 2^64.
    pub fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.bits()) * (end as u128);
        usize::try_from(wide >> 64).expect("the product's high half is below `end`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_the_seed_and_stay_below_their_end() {
        let (mut a, mut b) = (Random::new(7), Random::new(7));
        for end in 1..1000 {
            let number = a.below(end);
            assert!(number < end);
            assert_eq!(number, b.below(end));
        }
        assert_eq!(a.below(0), 0);
    }
}
