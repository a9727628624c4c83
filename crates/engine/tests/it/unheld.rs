//! Holds that do not come about, and processes that die meanwhile.

use std::cell::Cell;

use amikeep_domain::class::IfBlocked;
use amikeep_domain::freeze::Commands;

use crate::crashes::{die_and_recover, with_deaths};
use crate::sets::house_of;
use crate::simulated::crashing::Side;
use crate::simulated::house::spec;

/// The command that freezes fails, and the job waits for ten minutes. Whoever comes after a death in the first of them undoes
/// what is on record of the hold, although its job is queued again and takes no word of it.
#[tokio::test]
async fn killed_between_any_two_steps_of_a_hold_that_does_not_come_about() {
    let told = Cell::new(0);
    let effects = with_deaths(&[Side::After], async |fate| {
        let mut house = house_of(spec(1), IfBlocked::Wait);
        let freeze = house.policy_set.freezes.get_mut(&"data".parse().unwrap()).unwrap();
        freeze.commands = Some(Commands { freeze: vec!["/bin/false".to_owned()], thaw: vec!["/bin/true".to_owned()] });
        let life = die_and_recover(&mut house, fate, "2026-11-22T02:05:00Z", "2026-11-22T02:08:00Z").await;
        let ledger = house.reader().await;
        assert_eq!(ledger.open_holds().await.unwrap(), [], "{fate:?}");
        let job = &house.jobs().await[0];
        assert_eq!(job.state.name().as_str(), "queued", "{fate:?}");
        let events = ledger.events(job.id).await.unwrap();
        told.set(told.get() + u32::from(events.iter().any(|it| it.event == "recovered")));
        life
    });
    let effects = effects.await;
    assert!(10 < effects, "a night has more effects than {effects}");
    assert!(1 < told.get(), "a death in the hold is told of by whoever undoes it");
}
