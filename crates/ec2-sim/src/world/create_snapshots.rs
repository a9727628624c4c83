//! `CreateSnapshots`: the volumes of an instance, all at one point in time, and the ids at once.
//!
//! Rules: `CreateSnapshots` and "Create Amazon EBS snapshots". There is no name and no client token: whoever asks twice
//! has two sets.

use amikeep_domain::id::{InstanceId, SnapshotId, VolumeId};
use amikeep_domain::instance::InstanceState;
use jiff::Timestamp;

use crate::clock::later;
use crate::error::ApiError;
use crate::reply::{Reply, SnapshotFacts, SnapshotView};
use crate::request::{Action, CreateSnapshots, Reboot};
use crate::world::create_image::NewTags;
use crate::world::ids::{self, ResourceId};
use crate::world::instances::Instance;
use crate::world::snapshots::Snapshot;
use crate::world::{Contents, Context, State};

impl State {
    pub(crate) fn create_snapshots(
        &mut self,
        context: &Context<'_>,
        call: &CreateSnapshots,
    ) -> Result<Reply, ApiError> {
        let tags = NewTags::check(call.description.as_deref(), &call.tag_specifications, &["snapshot"])?;
        let instance_id: InstanceId = ids::parse(&call.instance_id)?;
        if !call.tag_specifications.is_empty() && self.iam.is_denied(&context.place.account, Action::CreateTags) {
            return Err(ApiError::unauthorized(&context.caller.arn, Action::CreateTags.as_str()));
        }
        let takes = self.settings.draw_image_duration(&instance_id, Reboot::No, &mut self.rng);
        let contents = self.places.entry(context.place.clone()).or_default();
        let instance = contents.instances.get(&instance_id);
        let instance = instance
            .filter(|instance| !matches!(instance.state_at(context.now), None | Some(InstanceState::Terminated)));
        let Some(instance) = instance else {
            return Err(ApiError::instance_not_found(std::slice::from_ref(&call.instance_id)));
        };
        context.end_dry_run()?;
        let volumes = chosen_volumes(instance, call)?;
        contents.check_snapshot_limit(&volumes, context.now)?;
        let mut started = Vec::new();
        let set: Vec<SnapshotId> = volumes.iter().map(|_| SnapshotId::fresh(&mut self.rng)).collect();
        for (volume, id) in volumes.into_iter().zip(set.clone()) {
            let snapshot = contents.start_snapshot(&id, &volume, call, &tags, context);
            let completes_at = later(context.now, takes / 10 * 9);
            let snapshot = snapshot.map(|snapshot| Snapshot { completes_at, set: set.clone(), ..snapshot });
            if let Some(snapshot) = snapshot {
                started.push(view(&snapshot, context.now));
                contents.snapshots.insert(id, snapshot);
            }
        }
        Ok(Reply::SnapshotsStarted(started))
    }
}

/// The volumes that are attached now and not excluded.
fn chosen_volumes(instance: &Instance, call: &CreateSnapshots) -> Result<Vec<VolumeId>, ApiError> {
    let excluded: Vec<VolumeId> = ids::parse_all(&call.excluded)?;
    let root = &instance.facts.root_device_name;
    if let Some(id) = excluded
        .iter()
        .find(|id| instance.attachments.iter().all(|attached| attached.volume_id != **id || attached.device == *root))
    {
        let message = format!("The volume '{id}' is not a data volume of the instance '{}'.", instance.facts.id);
        return Err(ApiError::client("InvalidParameterValue", message));
    }
    let is_left_out =
        |device: &str, volume: &VolumeId| excluded.contains(volume) || (call.exclude_root && device == root);
    let chosen: Vec<VolumeId> = instance
        .attachments
        .iter()
        .filter(|attached| !is_left_out(&attached.device, &attached.volume_id))
        .map(|attached| attached.volume_id.clone())
        .collect();
    if chosen.is_empty() {
        let message = format!("The instance '{}' has no volume left to take a snapshot of.", instance.facts.id);
        return Err(ApiError::client("InvalidParameterValue", message));
    }
    Ok(chosen)
}

impl Contents {
    fn start_snapshot(
        &self,
        id: &SnapshotId,
        volume: &VolumeId,
        call: &CreateSnapshots,
        tags: &NewTags,
        context: &Context<'_>,
    ) -> Option<Snapshot> {
        let volume = &self.volumes.get(volume)?.facts;
        let facts = SnapshotFacts {
            id: id.clone(),
            volume_id: volume.id.clone(),
            size_gib: volume.size_gib,
            encrypted: volume.encrypted,
            description: call.description.clone().unwrap_or_default(),
            owner: context.place.account.clone(),
            started_at: context.now,
        };
        let tags = tags.snapshot_log(context.now);
        Some(Snapshot {
            facts,
            completes_at: Timestamp::MAX,
            failed_at: None,
            set: Vec::new(),
            deleted_at: None,
            is_locked: false,
            fails_with: None,
            tags,
        })
    }
}

/// As the answer shows it, whatever other reads show yet.
fn view(snapshot: &Snapshot, now: Timestamp) -> SnapshotView {
    SnapshotView {
        facts: snapshot.facts.clone(),
        state: snapshot.state_at(now),
        progress_percent: 0,
        completed_at: None,
        tags: snapshot.tags.as_of(now),
    }
}
