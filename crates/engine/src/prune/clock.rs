//! Whether the host's clock can be believed: nothing is deleted by a clock that makes no sense.

use amikeep_domain::prune::Clock;
use jiff::{SignedDuration, Timestamp};

use crate::prune::list::Listed;

/// How far the host's clock may be from EC2's. AWS itself refuses requests whose time is further off ("Signature Version 4
/// signing process" in the IAM User Guide).
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(15);
/// How far in the future a row may be that this host wrote itself.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);

/// EC2's own time decides, where an answer had it. Where none did, the ledger must at least not be from the future.
pub(super) fn judge(now: Timestamp, listed: &[Listed]) -> Clock {
    let mut is_confirmed = false;
    for one in listed {
        if let Some(answered) = &one.answered {
            let skew = answered.host_at.duration_since(answered.endpoint_at);
            if SKEW_MAX < skew.abs() {
                let (host_at, endpoint_at) = (answered.host_at, answered.endpoint_at);
                let why = format!("the host's clock says {host_at}, EC2 says {endpoint_at}");
                return Clock::Unsound { why };
            }
            is_confirmed = true;
        }
    }
    let ahead = listed.iter().flat_map(|one| &one.known).find(|row| AHEAD_MAX < row.first_seen_at.duration_since(now));
    match ahead {
        Some(row) if !is_confirmed => {
            let why = format!("the host's clock says {now}, and {} was first seen at {}", row.image, row.first_seen_at);
            Clock::Unsound { why }
        }
        _ => Clock::Sound,
    }
}
