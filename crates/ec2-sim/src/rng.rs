//! Seeded randomness (splitmix64), so that a world with the same seed and the same calls is the same world.

use jiff::SignedDuration;

/// A generator small enough to need no crate; nothing here is secret.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        // 32 bits are exact in an f64 and fine enough for durations.
        f64::from(u32::try_from(self.next() >> 32).unwrap_or(u32::MAX)) / (f64::from(u32::MAX) + 1.0)
    }

    /// `prefix` and 17 hexadecimal digits, as EC2 names its resources.
    pub(crate) fn resource_id(&mut self, prefix: &str) -> String {
        format!("{prefix}0{:016x}", self.next())
    }

    /// An id of a request or a command, in the form of a UUID.
    pub(crate) fn request_id(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            (low >> 48) & 0xfff,
            low & 0xffff_ffff_ffff
        )
    }

    /// Log-normal around `median`: most images take about that long and a few much longer.
    pub(crate) fn around(&mut self, median: SignedDuration, sigma: f64) -> SignedDuration {
        // The sum of twelve uniforms less six is near enough to a standard normal.
        let normal: f64 = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        SignedDuration::try_from_secs_f64(median.as_secs_f64() * (sigma * normal).exp()).unwrap_or(median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_world() {
        let (mut one, mut two) = (Rng::new(7), Rng::new(7));
        assert_eq!(one.resource_id("ami-"), two.resource_id("ami-"));
        assert_eq!(one.request_id().len(), 36);
        assert_ne!(one.next(), Rng::new(8).next());
    }

    #[test]
    fn durations_lie_around_their_median() {
        let mut rng = Rng::new(1);
        let median = SignedDuration::from_mins(8);
        let mut drawn: Vec<_> = (0..1001).map(|_| rng.around(median, 0.35)).collect();
        drawn.sort();
        assert!((SignedDuration::from_mins(7)..SignedDuration::from_mins(9)).contains(&drawn[500]), "{:?}", drawn[500]);
        assert!(drawn[0] > SignedDuration::from_mins(1) && drawn[1000] > SignedDuration::from_mins(12));
    }
}
