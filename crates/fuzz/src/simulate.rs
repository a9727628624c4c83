//! What `amikeep simulate` is given: rules in the first line, a time zone in the second, and a JSON array of times.

use std::collections::BTreeMap;

use amikeep_domain::retention::Keep;
use amikeep_domain::schedule::timezone;
use amikeep_view::image::Reason;
use amikeep_view::simulate::{SimulatedImage, simulate, table, times};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::head;

/// Inputs with more times only take longer.
const TIMES_MAX: usize = 300;

/// Every time has one verdict, newest first, and the newest is kept; a rule keeps no more than it may, and what is kept
/// is kept again.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let ([rules, zone], json) = head(text);
    let Ok(keep) = rules.parse::<Keep>() else { return };
    assert_eq!(keep.to_string().parse(), Ok(keep), "rules are read again as they are written");
    let Ok(times) = times(json) else { return };
    if TIMES_MAX < times.len() {
        return;
    }
    let zone = timezone(zone).unwrap_or(TimeZone::UTC);
    let images = simulate(&times, &keep, &zone);
    assert!(table(&images).rows.len() == times.len());
    assert!(serde_json::to_value(&images).is_ok());
    check_order(&times, &images);
    check_ranks(&images);
    let kept: Vec<&SimulatedImage> = images.iter().filter(|image| image.verdict == "keep").collect();
    let left: Vec<Timestamp> = kept.iter().map(|image| image.time.0).collect();
    let again = simulate(&left, &keep, &zone);
    assert!(again.iter().eq(kept), "pruning once more changes something: {images:?}");
}

fn check_order(times: &[Timestamp], images: &[SimulatedImage]) {
    let mut expected = times.to_vec();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    let seen: Vec<Timestamp> = images.iter().map(|image| image.time.0).collect();
    assert_eq!(seen, expected);
    assert!(images.first().is_none_or(|newest| newest.verdict == "keep"), "the newest goes: {images:?}");
    for image in images {
        assert_eq!(image.verdict == "keep", !image.reasons.is_empty(), "{image:?}");
    }
}

/// The images that one rule keeps are numbered from 1 for the newest, and are no more than it allows.
fn check_ranks(images: &[SimulatedImage]) {
    let mut by_rule: BTreeMap<&str, Vec<&Reason>> = BTreeMap::new();
    for reason in images.iter().flat_map(|image| &image.reasons) {
        by_rule.entry(reason.rule).or_default().push(reason);
    }
    for (rule, reasons) in by_rule {
        for (index, reason) in reasons.iter().enumerate() {
            assert_eq!(reason.rank as usize, index + 1, "{rule}: {reasons:?}");
            assert!(reason.of.is_none_or(|of| reason.rank <= of), "{rule}: {reasons:?}");
        }
    }
}
