//! What the description of an image means for the job that waits for it.

use std::collections::BTreeMap;

use amikeep_cloud::{ImageState, SeenImage, SeenSnapshot};
use amikeep_domain::class::Consistency;
use amikeep_domain::decision::{JobError, freeze_unproved};
use amikeep_domain::grade::{Evidence, Grade};
use amikeep_domain::id::{SnapshotId, VolumeId};
use amikeep_domain::image_name::ImageNumber;
use amikeep_domain::instance::{Instance, InstanceState};
use amikeep_domain::job::{CapturedVolume, Finished, Intent, Job, JobEvent, OfflineProof, Pending};
use amikeep_domain::policy::saturating_add;
use jiff::{SignedDuration, Timestamp};

/// The most images of one job: EC2 reporting two of them as failed is bad luck, three are a pattern.
pub(crate) const IMAGES_PER_JOB_MAX: u32 = 3;
/// What makes an image fail does not pass within seconds.
const NEXT_IMAGE_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// What to do next about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageVerdict {
    /// Wait.
    Pending,
    /// Every expected snapshot is there: look whether the instance is still stopped.
    CheckOffline,
    /// It is available: read its snapshots.
    Available,
    /// Write this down.
    Event(Box<JobEvent>),
}

/// `missing_for`: how long the image has been absent from complete answers.
pub(crate) fn judge_image(
    job: &Job,
    pending: &Pending,
    seen: Option<&SeenImage>,
    missing_for: SignedDuration,
    lag: SignedDuration,
    now: Timestamp,
) -> ImageVerdict {
    let Some(image) = seen else {
        let lost = lag < missing_for && saturating_add(pending.accepted_at, lag) < now;
        let event = || ImageVerdict::Event(Box::new(JobEvent::Failed(vanished(pending))));
        return if lost { event() } else { ImageVerdict::Pending };
    };
    match &image.state {
        ImageState::Failed { reason } => ImageVerdict::Event(Box::new(judge_failed(job, pending, reason, now))),
        ImageState::Available | ImageState::Disabled => match pending.offline {
            OfflineProof::Awaited => ImageVerdict::CheckOffline,
            _ => ImageVerdict::Available,
        },
        ImageState::Pending if pending.offline == OfflineProof::Awaited && snapshots_are_there(job, image) => {
            ImageVerdict::CheckOffline
        }
        ImageState::Pending => ImageVerdict::Pending,
    }
}

fn snapshots_are_there(job: &Job, image: &SeenImage) -> bool {
    let Some(intent) = &job.intent else { return false };
    intent.volumes.iter().all(|volume| snapshot_of(image, &volume.device).is_some())
}

fn snapshot_of<'a>(image: &'a SeenImage, device: &str) -> Option<&'a SnapshotId> {
    image.devices.iter().find(|it| it.device == device).and_then(|it| it.snapshot.as_ref())
}

/// Whether an instance that was stopped when the image was asked for has stayed so. A start in between changes the
/// launch time even if the instance was stopped again.
pub(crate) fn offline_holds(intent: &Intent, instance: Option<&Instance>) -> bool {
    instance.is_some_and(|it| it.state == InstanceState::Stopped && it.launched_at == intent.launched_at)
}

/// Another image only without a reboot: a fire requests at most one reboot that EC2 may have accepted.
fn judge_failed(job: &Job, pending: &Pending, reason: &str, now: Timestamp) -> JobEvent {
    let rebooted = job.intent.as_ref().is_some_and(|intent| intent.mode == Consistency::Reboot);
    let retry_at = saturating_add(now, NEXT_IMAGE_AFTER);
    let last = job.number != ImageNumber::FIRST && IMAGES_PER_JOB_MAX <= job.number.get();
    if rebooted || last || job.window.start_by < retry_at {
        return JobEvent::Failed(JobError::new(
            "image_failed",
            format!("EC2 reports {} as failed: {reason}", pending.image),
            if rebooted {
                "run `amikeep backup` when a reboot is convenient; amikeep asks for one reboot per fire and not for two"
            } else {
                "see EC2's reason; run `amikeep backup` to try again now"
            },
        ));
    }
    JobEvent::ImageFailed { image: pending.image.clone(), retry_at, reason: reason.to_owned() }
}

fn vanished(pending: &Pending) -> JobError {
    JobError::new(
        "image_vanished",
        format!("{} was being made and is not there any more", pending.image),
        "find out who deregistered it, for example in CloudTrail; run `amikeep backup` to take another",
    )
}

/// What an available image turned out to be, or the failure if its class accepts nothing so weak.
pub(crate) fn finish(
    job: &Job,
    pending: &Pending,
    image: &SeenImage,
    snapshots: &BTreeMap<SnapshotId, SeenSnapshot>,
) -> JobEvent {
    let Some(intent) = &job.intent else {
        let error = JobError::new("no_intent", "the job has an image and no intent", "report this as a bug");
        return JobEvent::Failed(error);
    };
    if let Some(error) = billed_differently(intent, image) {
        return JobEvent::Failed(error);
    }
    let grades = Grades { job, intent, pending, image, snapshots };
    let (grade, evidence) = grades.of_image();
    if let Some(grade_min) = intent.grade_min.filter(|grade_min| grade < *grade_min) {
        return JobEvent::Failed(grades.too_low(grade, grade_min));
    }
    let starts = image.devices.iter().filter_map(|it| snapshots.get(it.snapshot.as_ref()?)?.started_at);
    let captured_at = starts.min().or(image.created_at).unwrap_or(pending.accepted_at);
    let volumes = captured_volumes(&grades);
    JobEvent::Available(Finished { image: pending.image.clone(), captured_at, grade, evidence, volumes })
}

/// An image that was registered from snapshots is what EC2 makes of it. `RegisterImage` in the API Reference asks to compare
/// what it is billed as, and says that the image is none of the instance if that differs.
fn billed_differently(intent: &Intent, image: &SeenImage) -> Option<JobError> {
    let wanted = &intent.registration.as_ref()?.attributes.billing.platform_details;
    let found = image.platform_details.as_ref().filter(|found| *found != wanted)?;
    Some(JobError::new(
        "platform_differs",
        format!("{} is billed as \"{found}\" and the instance as \"{wanted}\"", image.id),
        "set `capture = \"image\"` for this instance: then CreateImage takes the image, which keeps what it is billed as. This \
         image stays until a newer one succeeds",
    ))
}

/// What an image and its volumes are worth.
struct Grades<'a> {
    job: &'a Job,
    intent: &'a Intent,
    pending: &'a Pending,
    image: &'a SeenImage,
    snapshots: &'a BTreeMap<SnapshotId, SeenSnapshot>,
}

impl Grades<'_> {
    fn of_image(&self) -> (Grade, Option<Evidence>) {
        match (self.intent.mode, self.pending.offline) {
            (Consistency::Reboot, _) => (Grade::Clean, Some(Evidence::Requested)),
            (_, OfflineProof::Proved) => (Grade::Offline, None),
            (Consistency::Freeze, _) => (self.of_held(), None),
            (Consistency::NoReboot, _) => (Grade::Crash, None),
        }
    }

    /// The least of the volumes that were held still: those that its class covers.
    fn of_held(&self) -> Grade {
        let volumes = self.job.hold.iter().flat_map(|held| &held.volumes);
        volumes.map(|volume| self.of_volume(Some(volume), self.snapshot_of(volume))).min().unwrap_or(Grade::Crash)
    }

    /// One volume, by itself only in a hold: a root that was not frozen is shown as such.
    fn of_volume(&self, volume: Option<&VolumeId>, snapshot: Option<&SnapshotId>) -> Grade {
        if self.intent.mode != Consistency::Freeze || self.pending.offline == OfflineProof::Proved {
            return self.of_image().0;
        }
        let (Some(held), Some(volume), Some(snapshot)) = (&self.job.hold, volume, snapshot) else {
            return Grade::Crash;
        };
        held.grade_of(volume, self.started_at(snapshot))
    }

    fn started_at(&self, snapshot: &SnapshotId) -> Option<Timestamp> {
        self.snapshots.get(snapshot)?.started_at
    }

    fn snapshot_of(&self, volume: &VolumeId) -> Option<&SnapshotId> {
        let attached = self.intent.volumes.iter().find(|it| it.volume == *volume)?;
        snapshot_of(self.image, &attached.device)
    }

    fn too_low(&self, grade: Grade, grade_min: Grade) -> JobError {
        if self.intent.mode == Consistency::Freeze {
            return freeze_unproved(&self.pending.image, &self.doubt());
        }
        JobError::new(
            "grade_too_low",
            format!("{} is {grade}: the instance was started before its snapshots were seen", self.pending.image),
            format!(
                "the class asks for {grade_min}; the image stays until a better one exists. Run `amikeep backup` to take one"
            ),
        )
    }

    /// Why the hold proves nothing about the image.
    fn doubt(&self) -> String {
        let Some(held) = &self.job.hold else {
            return "amikeep ended before it could say how the hold ended".to_owned();
        };
        if let Some(why) = held.doubt() {
            return why.to_owned();
        }
        let outside = held.volumes.iter().find_map(|volume| {
            let at = self.started_at(self.snapshot_of(volume)?)?;
            (!held.covers(at)).then(|| {
                format!("the snapshot of {volume} was begun at {at} by EC2's clock, more than 2 s outside the hold")
            })
        });
        outside.unwrap_or_else(|| "the image has no snapshot of a volume that was held still".to_owned())
    }
}

fn captured_volumes(grades: &Grades<'_>) -> Vec<CapturedVolume> {
    let Grades { intent, image, snapshots, .. } = grades;
    let expected = intent.volumes.iter().map(|volume| {
        let snapshot = snapshot_of(image, &volume.device).cloned();
        let grade = snapshot.as_ref().map(|id| grades.of_volume(Some(&volume.volume), Some(id)));
        CapturedVolume { device: volume.device.clone(), volume: Some(volume.volume.clone()), snapshot, grade }
    });
    // A volume attached between the decision and the call is in the image all the same.
    let unexpected = image.devices.iter().filter(|it| it.snapshot.is_some());
    let unexpected = unexpected.filter(|it| intent.volumes.iter().all(|volume| volume.device != it.device));
    let unexpected = unexpected.map(|it| {
        let volume = it.snapshot.as_ref().and_then(|id| snapshots.get(id)).and_then(|it| it.volume.clone());
        let grade = Some(grades.of_volume(volume.as_ref(), it.snapshot.as_ref()));
        CapturedVolume { device: it.device.clone(), volume, snapshot: it.snapshot.clone(), grade }
    });
    let disks = 0..intent.instance_store_disks.unwrap_or(0);
    let instance_store = disks.map(|idx| CapturedVolume {
        device: format!("instance-store-{idx}"),
        volume: None,
        snapshot: None,
        grade: None,
    });
    expected.chain(unexpected).chain(instance_store).collect()
}
