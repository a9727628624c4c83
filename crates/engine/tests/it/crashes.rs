//! The process dies around every single effect, each call of EC2 and each commit of the ledger, and the next one makes it
//! good. What must hold of ledger and world is asked after every step.

use std::sync::Arc;

use amikeep_domain::id::ImageId;
use amikeep_domain::pause::PauseScope;
use amikeep_domain::prune::Released;
use amikeep_ec2_sim::{Action, InstanceState, SimCloud};
use amikeep_engine::Engine;
use amikeep_ledger::{ImageRowState, RequestKind};
use jiff::Timestamp;

use crate::simulated::audit::{assert_all_succeeded, audit, audit_deletions};
use crate::simulated::crashing::{CrashingCloud, Fate, Side};
use crate::simulated::house::{House, at, instance_id, policy, spec, world};

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It reached its time.
    Lived,
    /// It died before.
    Died,
}

async fn audit_all(house: &House) {
    audit(house).await;
    audit_deletions(house, &[].into()).await;
}

/// Lets an engine work until `until` or its death, and asks after every step whether all is well.
async fn live(house: &House, engine: &mut Engine<CrashingCloud<SimCloud>>, fate: &Fate, until: Timestamp) -> Life {
    loop {
        let settled = tokio::select! {
            biased;
            () = fate.died() => return Life::Died,
            settled = engine.settle() => settled.unwrap(),
        };
        audit_all(house).await;
        if until <= house.now() {
            return Life::Lived;
        }
        house.world.clock().set(settled.wake_at.unwrap_or(until).min(until));
    }
}

async fn start(house: &mut House, fate: &Arc<Fate>) -> Engine<CrashingCloud<SimCloud>> {
    let cloud = Arc::new(house.cloud());
    house.doomed_engine(&cloud, fate).await
}

/// A daemon that dies around its `nth` effect or lives until `until`, and then another one until `settled_at`.
pub(crate) async fn die_and_recover(house: &mut House, fate: &Arc<Fate>, until: &str, settled_at: &str) -> Life {
    let mut engine = start(house, fate).await;
    let life = live(house, &mut engine, fate, at(until)).await;
    drop(engine);
    let lives = Fate::lives();
    // Whatever was under way has been cut off when this returns.
    let mut engine = start(house, &lives).await;
    audit_all(house).await;
    assert_eq!(live(house, &mut engine, &lives, at(settled_at)).await, Life::Lived);
    life
}

/// Runs `night` with a death before and after each effect that there is, until one lives to its end. Says how many effects
/// that one had.
async fn with_every_death(night: impl AsyncFn(&Arc<Fate>) -> Life) -> u32 {
    with_deaths(&[Side::Before, Side::After], night).await
}

/// The same on these sides of each effect. A death after one is a death before the next, but for what a call had done.
pub(crate) async fn with_deaths(sides: &[Side], night: impl AsyncFn(&Arc<Fate>) -> Life) -> u32 {
    let mut effects = 0;
    for side in sides.iter().copied() {
        for nth in 1.. {
            let fate = Fate::dies_at(nth, side);
            let life = night(&fate).await;
            if life == Life::Lived {
                effects = nth - 1;
                break;
            }
        }
    }
    effects
}

fn three() -> House {
    let fleet = world()
        .instance(spec(1))
        .instance(spec(2).tag("amikeep:class", "stateless"))
        .instance(spec(3).state(InstanceState::Stopped));
    House::new(fleet, vec![policy("nightly", "production-database")])
}

#[tokio::test]
async fn killed_between_any_two_steps() {
    let effects = with_every_death(async |fate| {
        let mut house = three();
        let life = die_and_recover(&mut house, fate, "2026-11-22T02:29:00Z", "2026-11-22T04:00:00Z").await;
        assert_all_succeeded(&house, 3).await;
        // Whatever was in doubt was looked up, so no name was refused as a duplicate.
        assert_eq!(house.world.images().len(), 3, "{fate:?}");
        assert_eq!(house.world.count(Action::CreateImage), 3, "{fate:?}");
        life
    });
    let effects = effects.await;
    assert!(30 < effects, "a night has more effects than {effects}");
}

/// One instance with an image of yesterday, a quarter of an hour before the prune that lets it go.
async fn before_a_prune() -> House {
    let mut nightly = policy("nightly", "stateless");
    nightly.keep = "last=1".parse().unwrap();
    let mut house = House::new(world().instance(spec(1)), vec![nightly]);
    house.live_until("2026-11-23T02:20:00Z").await;
    house
}

/// The images that are registered, and how many snapshots are left whose image is gone.
fn left(house: &House) -> (Vec<ImageId>, usize) {
    let (mut left, mut orphans) = (Vec::new(), 0);
    for image in house.world.images() {
        if image.deregistered_at.is_none() {
            left.push(image.id);
        } else {
            orphans += image.snapshots.iter().filter(|snapshot| snapshot.deleted_at.is_none()).count();
        }
    }
    (left, orphans)
}

#[tokio::test]
async fn killed_between_any_two_steps_of_a_prune() {
    let effects = with_every_death(async |fate| {
        let mut house = before_a_prune().await;
        let [old, new] = [0, 1].map(|n| house.world.images()[n].id.clone());
        let life = die_and_recover(&mut house, fate, "2026-11-23T02:50:00Z", "2026-11-23T04:50:00Z").await;
        assert_eq!(left(&house), (vec![new], 0), "{fate:?}");
        let row = house.images().await.into_iter().find(|row| row.image == old).unwrap();
        assert_eq!(row.state, ImageRowState::Deleted);
        life
    });
    let effects = effects.await;
    assert!(10 < effects, "a prune has more effects than {effects}");
}

#[tokio::test]
async fn killed_between_any_two_steps_of_what_operators_ask_for() {
    let effects = with_every_death(async |fate| {
        let mut house = before_a_prune().await;
        house.live_until("2026-11-23T02:50:00Z").await;
        let first = house.world.images()[1].id.clone();
        let until = Some(at("2026-11-24T12:00:00Z"));
        let asked = [
            RequestKind::Pin { image: first.clone(), account: None },
            RequestKind::Backup {
                instance: instance_id(1),
                policy: "nightly".parse().unwrap(),
                account: None,
                consistency: None,
            },
            RequestKind::Pause { scope: PauseScope::All, until, reason: Some("a test".to_owned()) },
            RequestKind::Prune { policy: None, released: Released::default() },
        ];
        let mut requests = Vec::new();
        for (n, kind) in (1..).zip(asked) {
            requests.push(house.ask(n, kind).await);
        }
        let life = die_and_recover(&mut house, fate, "2026-11-23T03:20:00Z", "2026-11-24T04:50:00Z").await;
        for request in requests {
            let status = house.status(request).await;
            // A backup that was asked for ends with its job.
            assert!(status.done || status.job.is_some(), "{fate:?}: {status:?}");
        }
        // The pinned one and the one that was asked for; none at night, since all is paused.
        let second = house.world.images()[2].id.clone();
        assert_eq!(left(&house), (vec![first, second], 0), "{fate:?}");
        assert_eq!(house.world.count(Action::CreateImage), 3, "{fate:?}");
        assert_all_succeeded(&house, 3).await;
        life
    });
    let effects = effects.await;
    assert!(30 < effects, "these have more effects than {effects}");
}

#[tokio::test]
async fn killed_between_any_two_steps_of_a_request_to_cancel() {
    let effects = with_every_death(async |fate| {
        let mut house = three();
        // Queued until its jitter has passed.
        house.policy_set.policies.values_mut().for_each(|it| it.jitter = jiff::SignedDuration::from_mins(30));
        house.live_until("2026-11-22T02:00:00Z").await;
        let jobs = house.jobs().await;
        let job = jobs.iter().max_by_key(|job| job.window.start_at).unwrap().id;
        let request = house.ask(1, RequestKind::Cancel { job }).await;
        let life = die_and_recover(&mut house, fate, "2026-11-22T02:00:01Z", "2026-11-22T04:00:00Z").await;
        assert!(house.status(request).await.done, "{fate:?}");
        assert_eq!(house.world.images().len(), 2, "{fate:?}");
        life
    });
    assert!(2 <= effects.await);
}

#[tokio::test]
async fn killed_again_and_again() {
    let mut house = three();
    // Each life ends a few effects after it began, most of them in the middle of settling what the last one left.
    for nth in (3..7).cycle().take(40) {
        let fate = Fate::dies_at(nth, Side::After);
        let mut engine = start(&mut house, &fate).await;
        live(&house, &mut engine, &fate, at("2026-11-22T02:25:00Z")).await;
    }
    house.live_until("2026-11-22T04:00:00Z").await;
    assert_all_succeeded(&house, 3).await;
    audit_all(&house).await;
    assert_eq!(house.world.count(Action::CreateImage), 3);
}
