//! The moment at which the contents of a snapshot are fixed, for worlds whose volumes are real.
//!
//! EC2 says of a snapshot that it holds what was written "at the time the snapshot command is issued" and that it is there,
//! as pending, from then on ("Create Amazon EBS snapshots" in the EBS User Guide). So a hook is called before any answer
//! shows the snapshot, and within the call: whoever sees it can rely on it. A world without a hook has no contents at all.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use amikeep_domain::id::{SnapshotId, VolumeId};
use jiff::Timestamp;

use crate::world::{State, World};

/// A snapshot whose contents are to be fixed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointInTime {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The volume that it is of.
    pub volume: VolumeId,
    /// What the snapshot says of when it was begun.
    pub started_at: Timestamp,
}

type Hook = Arc<dyn Fn(&PointInTime) + Send + Sync>;

/// The hook of a world, and the snapshots that it was called for.
#[derive(Clone, Default)]
pub(crate) struct Points(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    hook: Option<Hook>,
    fixed: BTreeSet<SnapshotId>,
    looked: Looked,
}

/// What the last look found, so that a call in which nothing begins does not look at every snapshot that ever was.
#[derive(Default)]
struct Looked {
    /// How many snapshots there were; none is ever taken away.
    at: usize,
    /// When the next of them begins, unless it is given up before.
    next: Option<Timestamp>,
}

impl fmt::Debug for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Points")
    }
}

impl World {
    /// Has `hook` called once for each snapshot, when its contents are to be fixed: copy the volume in it. The world stands
    /// still meanwhile, so no answer shows a snapshot before.
    ///
    /// It is called by the first call of any kind at or after the snapshot's start. A world that nobody asks notices
    /// nothing: whoever needs the point in time to be near the start asks often, by [`World::fix_points`].
    pub fn on_point_in_time(&self, hook: impl Fn(&PointInTime) + Send + Sync + 'static) {
        let mut inner = self.points().0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.hook = Some(Arc::new(hook));
        inner.looked = Looked::default();
    }

    /// Calls the hook for every snapshot that has begun by now and was not fixed yet.
    pub fn fix_points(&self) {
        let now = self.clock().now();
        self.points().fix(&self.state(), now);
    }
}

impl Points {
    pub(crate) fn fix(&self, state: &State, now: Timestamp) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(hook) = inner.hook.clone() else { return };
        let there = state.places.values().map(|contents| contents.snapshots.len()).sum();
        if inner.looked.at == there && inner.looked.next.is_none_or(|next| now < next) {
            return;
        }
        let mut due: Vec<PointInTime> = Vec::new();
        let mut next: Option<Timestamp> = None;
        for snapshot in state.places.values().flat_map(|contents| contents.snapshots.values()) {
            let facts = &snapshot.facts;
            if inner.fixed.contains(&facts.id) {
                continue;
            }
            if facts.started_at <= now {
                let (id, volume) = (facts.id.clone(), facts.volume_id.clone());
                due.push(PointInTime { snapshot: id, volume, started_at: facts.started_at });
            } else {
                next = Some(next.map_or(facts.started_at, |next| next.min(facts.started_at)));
            }
        }
        inner.looked = Looked { at: there, next };
        due.sort_by(|a, b| (a.started_at, &a.snapshot).cmp(&(b.started_at, &b.snapshot)));
        for point in due {
            hook(&point);
            inner.fixed.insert(point.snapshot);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::{
        CreateImage, Delivery, ImageDuration, InstanceSpec, Invocation, Reboot, Request, RequestLimits, SimClock,
        default_identity,
    };

    const ACCOUNT: &str = "111122223333";

    #[test]
    fn a_snapshot_is_fixed_once_and_before_anybody_sees_it() {
        let begins: Timestamp = "2026-11-22T01:00:00Z".parse().unwrap();
        let world = World::builder()
            .clock(SimClock::manual(begins))
            .image_duration(ImageDuration::Fixed(SignedDuration::from_mins(5)))
            .snapshot_lag(SignedDuration::from_secs(2), SignedDuration::ZERO)
            .request_limits(RequestLimits::Off)
            .account(ACCOUNT)
            .region("eu-central-1")
            .instance(InstanceSpec::new("i-0123456789abcdef0").volume("/dev/xvda", 8).volume("/dev/sdf", 8))
            .build()
            .unwrap();
        let fixed: Arc<Mutex<Vec<PointInTime>>> = Arc::default();
        let seen = Arc::clone(&fixed);
        world.on_point_in_time(move |point| seen.lock().unwrap().push(point.clone()));
        let request = Request::CreateImage(CreateImage {
            instance_id: "i-0123456789abcdef0".to_owned(),
            name: "one".to_owned(),
            description: None,
            reboot: Reboot::No,
            mappings: Vec::new(),
            tag_specifications: Vec::new(),
        });
        let (caller, region) = (default_identity(&ACCOUNT.parse().unwrap()), "eu-central-1".parse().unwrap());
        let delivery = world.call(&Invocation { caller, region, request, dry_run: false });
        assert!(matches!(delivery, Delivery::Answer(_)), "{delivery:?}");
        assert_eq!(fixed.lock().unwrap().len(), 0, "they lag");
        world.clock().advance(SignedDuration::from_secs(3));
        world.fix_points();
        world.fix_points();
        let fixed = fixed.lock().unwrap();
        assert_eq!(fixed.len(), 2);
        assert!(fixed.iter().all(|point| point.started_at.duration_since(begins) <= SignedDuration::from_secs(3)));
    }
}
