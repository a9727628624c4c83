//! A share of a few images, with how far the true share may be from it.

use std::fmt;

/// Of the normal distribution, for 95 %.
const Z: f64 = 1.959_964;

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) count: usize,
    pub(super) of: usize,
}

impl Share {
    /// Wilson's interval at 95 %, as parts of one. Unlike the plain one it says something where the count is zero.
    fn interval(self) -> (f64, f64) {
        let (count, of) = (exact(self.count), exact(self.of));
        let share = count / of;
        let spread = Z * (share * (1.0 - share) / of + Z * Z / (4.0 * of * of)).sqrt();
        let (centre, scale) = (share + Z * Z / (2.0 * of), 1.0 + Z * Z / of);
        (((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0))
    }
}

/// `3/30: 10 % (3–26)`, or a dash if there is nothing to take a share of.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.of == 0 {
            return f.write_str("–");
        }
        let (low, high) = self.interval();
        let percent = 100.0 * exact(self.count) / exact(self.of);
        write!(f, "{}/{}: {percent:.0} % ({:.0}–{:.0})", self.count, self.of, 100.0 * low, 100.0 * high)
    }
}

fn exact(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // Published values for 0 of 10, 3 of 30 and 10 of 10.
        assert_eq!(Share { count: 0, of: 10 }.to_string(), "0/10: 0 % (0–28)");
        assert_eq!(Share { count: 3, of: 30 }.to_string(), "3/30: 10 % (3–26)");
        assert_eq!(Share { count: 10, of: 10 }.to_string(), "10/10: 100 % (72–100)");
        assert_eq!(Share { count: 0, of: 0 }.to_string(), "–");
    }
}
