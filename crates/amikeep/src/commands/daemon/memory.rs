//! The chore of giving memory back. What a start, a reload, a listing or a prune needed for a moment is free soon after it,
//! and whoever shares the machine should have it then.

use std::time::Duration;

/// Rarely enough to cost nothing, and often enough for nobody to wait for memory that is not used.
const GIVE_BACK_EVERY: Duration = Duration::from_mins(1);

/// Gives back what is free, at once and from then on, for as long as it is polled.
pub(super) async fn keep_giving_back() {
    loop {
        amikeep_hold::give_back_free_memory();
        tokio::time::sleep(GIVE_BACK_EVERY).await;
    }
}
