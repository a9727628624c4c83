//! Executing the requests of this command where no daemon runs: the daemon's engine, for these requests alone.

use std::collections::BTreeSet;
use std::time::Duration;

use amikeep_config::Config;
use amikeep_domain::id::RequestId;
use amikeep_domain::job::{Job, JobState};
use amikeep_domain::plan::Scope;
use amikeep_engine::{Clock, Engine, SystemClock};
use amikeep_ledger::Ledger;
use jiff::Timestamp;

use crate::commands::backup::watch::Watch;
use crate::commands::backup::{By, Ended};
use crate::wiring::{self, Clouds};

/// The engine is asked at least this often, whatever it said when it wants to be: clocks are set, hosts are suspended.
const SLEEP_MAX: Duration = Duration::from_secs(10);
/// Never sooner than this, so that an engine which wants to be asked at once cannot take a whole core.
const SLEEP_MIN: Duration = Duration::from_millis(20);

/// Runs the engine until the goal is reached. Whatever cuts it short, what EC2 was asked for is in the ledger first.
pub(super) async fn run(config: &Config, clouds: &Clouds, ledger: &Ledger, watch: &mut Watch) -> anyhow::Result<Ended> {
    let scope = scope(watch.requests(), &ledger.open_jobs().await?);
    let mut engine = wiring::start_engine(config, ledger.clone(), clouds.clone(), scope).await?;
    tokio::select! {
        ended = drive(&mut engine, ledger, watch) => ended,
        _ = tokio::signal::ctrl_c() => Ok(Ended::Interrupted),
    }
}

/// The requests of this command, and those that earlier commands left when EC2 was already making the image: watching
/// them to their end costs a question now and then, and nobody else would.
fn scope(own: &[RequestId], open: &[Job]) -> Scope {
    let is_made = |job: &&Job| matches!(job.state, JobState::Taken(_) | JobState::Pending(_) | JobState::Finishing(_));
    let left = open.iter().filter(is_made).filter_map(|job| job.request);
    Scope::Requests(own.iter().copied().chain(left).collect::<BTreeSet<_>>())
}

async fn drive(engine: &mut Engine<wiring::Connection>, ledger: &Ledger, watch: &mut Watch) -> anyhow::Result<Ended> {
    loop {
        let settled = engine.settle().await?;
        watch.look(ledger).await?;
        if watch.is_reached(By::Command) {
            return Ok(Ended::Reached);
        }
        tokio::time::sleep(sleep_for(settled.wake_at, SystemClock.now())).await;
    }
}

fn sleep_for(wake_at: Option<Timestamp>, now: Timestamp) -> Duration {
    let until = wake_at.map_or(SLEEP_MAX, |at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO));
    until.clamp(SLEEP_MIN, SLEEP_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_asked_when_it_wants_to_be_within_bounds() {
        let now: Timestamp = "2026-11-22T01:00:00Z".parse().unwrap();
        let after = |seconds: i64| Some(Timestamp::from_second(now.as_second() + seconds).unwrap());
        assert_eq!(sleep_for(after(3), now), Duration::from_secs(3));
        assert_eq!(sleep_for(after(-3), now), SLEEP_MIN);
        assert_eq!(sleep_for(after(3600), now), SLEEP_MAX);
        assert_eq!(sleep_for(None, now), SLEEP_MAX);
    }
}
