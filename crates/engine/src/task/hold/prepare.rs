//! All that can be done before the freeze: whose machine it is, what is mounted there, what runs before, and what EC2 shows
//! now. It also leaves the connection to EC2 warm for the one call that counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use amikeep_cloud::{Action, Cloud, CloudError, CloudErrorKind, InstanceQuery, SnapshotQuery};
use amikeep_domain::decision::HoldOrder;
use amikeep_domain::freeze::{CaptureBy, Freeze, HoldRecord, Via};
use amikeep_domain::id::{InstanceId, SnapshotId, VolumeId};
use amikeep_domain::instance::{AttachedVolume, InstanceState};
use amikeep_domain::job::{IntendedRegistration, Job};
use amikeep_domain::plan::RequestAction;
use amikeep_domain::policy::saturating_add;
use amikeep_hold::boot_id;
use amikeep_ledger::LedgerError;
use jiff::Timestamp;

use crate::context::Context;
use crate::hold::app::stopped_replica;
use crate::hold::facts::{Purpose, Remote, sys};
use crate::hold::ready::{NotReady, Ready, check_mounts, make_ready};
use crate::hold::shell::command_shell;
use crate::hold::volumes::{volumes_of, volumes_of_remote};

/// Everything is ready, and nothing is frozen.
pub(super) struct Prepared {
    pub(super) ready: Ready,
    /// What the ledger must hold before anything is frozen.
    pub(super) record: HoldRecord,
    /// The volumes that hold what will be frozen.
    pub(super) volumes: Vec<VolumeId>,
    /// Snapshots that carry the tag of this job already, of an image that failed.
    pub(super) known: BTreeSet<SnapshotId>,
    /// What the image is registered with, where its snapshots are taken first.
    pub(super) registration: Option<Box<IntendedRegistration>>,
}

/// Why nothing was frozen.
pub(super) enum Unprepared {
    /// The instance cannot be held still.
    NotReady(NotReady),
    /// No image can be made of it in the way that its freeze asks for.
    Unfit(String),
    /// It is not any more what the decision was taken on.
    Anew(String),
}

impl From<NotReady> for Unprepared {
    fn from(not_ready: NotReady) -> Self {
        Self::NotReady(not_ready)
    }
}

pub(super) async fn prepare<C: Cloud>(
    ctx: &Context<C>,
    job: &Job,
    action: &RequestAction,
    order: &HoldOrder,
) -> Result<Result<Prepared, Unprepared>, LedgerError> {
    let freeze = &order.freeze;
    if let Err(why) = check_identity(ctx, freeze, &job.key.instance).await {
        return Ok(Err(NotReady::new(why).into()));
    }
    let registration = match freeze.capture {
        CaptureBy::Image => None,
        CaptureBy::Snapshots => match registration(ctx, job, action).await {
            Ok(registration) => Some(Box::new(registration)),
            Err(unprepared) => return Ok(Err(unprepared)),
        },
    };
    let not_after = not_after(ctx.now(), freeze);
    let purpose = purpose(ctx, freeze, job, action);
    let mut record = HoldRecord {
        freeze: freeze.name.clone(),
        boot_id: boot_id().unwrap_or_default(),
        guard: None,
        mounts: Vec::new(),
        thaw: None,
        // Those of another machine are run there, by its own guard.
        post: if freeze.via == Via::Ssm { Vec::new() } else { freeze.post.clone() },
        stopped_replica: stopped_replica(freeze),
        command_limit: freeze.command_limit,
        facts: purpose.facts(freeze, not_after),
        left: Vec::new(),
    };
    // The commands before the hold are run by what follows, so from here on those after it have to be.
    ctx.ledger.record_hold(job.id, &record, ctx.now()).await?;
    let grade_min = action.intent.grade_min;
    let (host, recipe, attached) = (Arc::clone(&ctx.host), freeze.clone(), action.intent.volumes.clone());
    let made = tokio::task::spawn_blocking(move || {
        let mounts = check_mounts(&*host, &recipe)?;
        if recipe.via == Via::Ssm {
            // Only its guard knows its disks.
            let ready = make_ready(&*host, &recipe, &purpose, &mounts, not_after, grade_min)?;
            let volumes = volumes_of_remote(&recipe, ready.holder.remote_mounts(), &attached);
            return volumes.map(|volumes| (ready, volumes)).map_err(NotReady::new);
        }
        let volumes = volumes_of(&recipe, &mounts, &attached, &sys()).map_err(NotReady::new)?;
        Ok((make_ready(&*host, &recipe, &purpose, &mounts, not_after, grade_min)?, volumes))
    });
    let (ready, volumes) = match made.await {
        Ok(Ok(made)) => made,
        Ok(Err(not_ready)) => return Ok(Err(Unprepared::NotReady(not_ready))),
        Err(panicked) => return Ok(Err(NotReady::new(panicked.to_string()).into())),
    };
    match last_look(ctx, job, action).await {
        Ok(known) => {
            record.guard = ready.recorded.guard;
            record.mounts.clone_from(&ready.recorded.mounts);
            record.thaw.clone_from(&ready.recorded.thaw);
            Ok(Ok(Prepared { ready, record, volumes, known, registration }))
        }
        Err(unprepared) => {
            super::leave(ready.entered).await;
            Ok(Err(unprepared))
        }
    }
}

/// Everything that the image will need beside its snapshots, while nothing is held still; or why such an image would not be
/// one of the instance.
async fn registration<C: Cloud>(
    ctx: &Context<C>,
    job: &Job,
    action: &RequestAction,
) -> Result<IntendedRegistration, Unprepared> {
    let instance = job.key.instance.clone();
    let ask = |cloud: Arc<C>| async move { cloud.observe_attributes(instance).await };
    let seen = ctx.call(&action.account, Action::DescribeInstances, ask).await.map_err(|error| unshown(&error))?;
    let attributes = seen.ok_or_else(|| Unprepared::Anew("the instance is not there any more".to_owned()))?;
    if let Some(why) = attributes.unfit_because() {
        return Err(Unprepared::Unfit(why));
    }
    let described = |volume: &AttachedVolume| {
        attributes.volumes.iter().any(|it| it.volume == volume.volume && it.device == volume.device)
    };
    if !action.intent.volumes.iter().all(described) || attributes.volumes.len() != action.intent.volumes.len() {
        return Err(Unprepared::Anew("the volumes of the instance changed while its hold was made ready".to_owned()));
    }
    Ok(IntendedRegistration { attributes, tags: action.tags.clone() })
}

/// Freezing the wrong machine would prove nothing about the image, and stop the writes of somebody else.
async fn check_identity<C: Cloud>(ctx: &Context<C>, freeze: &Freeze, wanted: &InstanceId) -> Result<(), String> {
    if freeze.via != Via::Local {
        return Ok(());
    }
    let firmware = ctx.host.firmware_instance();
    let (own, by) = match (&freeze.instance, firmware) {
        (Some(stated), Some(told)) if *stated != told => {
            return Err(format!("this host is {told}, and the freeze {} says that it is {stated}", freeze.name));
        }
        (_, Some(told)) => (told, "this host is"),
        (Some(stated), None) => (stated.clone(), "the freeze says that this host is"),
        (None, None) => match ctx.host.instance().await {
            Ok(told) => (told, "this host is"),
            Err(why) => {
                let hint = "name it in `instance` of the freeze";
                return Err(format!("which instance this host is cannot be told: {why}; {hint}"));
            }
        },
    };
    if own == *wanted {
        return Ok(());
    }
    Err(format!(
        "{by} {own}, and `via = \"local\"` freezes no other: run amikeep on {wanted}, or use `via = \"command\"`"
    ))
}

fn not_after(now: Timestamp, freeze: &Freeze) -> Timestamp {
    saturating_add(now, freeze.lock_wait + freeze.budget + freeze.command_limit)
}

fn purpose<C: Cloud>(ctx: &Context<C>, freeze: &Freeze, job: &Job, action: &RequestAction) -> Purpose {
    let shell = |cloud| {
        let comment = format!("amikeep holds still for job {}", job.id);
        Remote { shell: command_shell(cloud, job.key.instance.clone(), comment), clock: Arc::clone(&ctx.clock) }
    };
    let is_remote = freeze.via == Via::Ssm;
    Purpose {
        remote: ctx.cloud(&action.account).filter(|_| is_remote).map(shell),
        instance: Some(job.key.instance.clone()),
        region: Some(job.key.region.clone()),
        account: Some(job.key.account.clone()),
        policy: Some(job.key.policy.clone()),
        job: Some(job.id.to_string()),
        image_name: Some(action.intent.name.to_string()),
    }
}

/// The facts of the decision once more, after what may have taken a minute; and the snapshots that are there already.
async fn last_look<C: Cloud>(
    ctx: &Context<C>,
    job: &Job,
    action: &RequestAction,
) -> Result<BTreeSet<SnapshotId>, Unprepared> {
    let instance = job.key.instance.clone();
    let ask = |cloud: Arc<C>| async move { cloud.observe_instances(InstanceQuery::Ids(vec![instance])).await };
    let seen = ctx.call(&action.account, Action::DescribeInstances, ask).await.map_err(|error| unseen(&error))?;
    let intent = &action.intent;
    let is_same = seen.first().is_some_and(|it| {
        it.state == InstanceState::Running && it.launched_at == intent.launched_at && it.volumes == intent.volumes
    });
    if !is_same {
        return Err(Unprepared::Anew("the instance changed while its hold was made ready".to_owned()));
    }
    if job.window.start_by < ctx.now() {
        return Err(Unprepared::Anew("making its hold ready took too long".to_owned()));
    }
    let id = job.id;
    let ask = |cloud: Arc<C>| async move { cloud.observe_snapshots(SnapshotQuery::Job(id)).await };
    let known = ctx.call(&action.account, Action::DescribeSnapshots, ask).await;
    known.map(|known| known.into_iter().map(|it| it.id).collect()).map_err(|error| unseen(&error))
}

/// Without seeing the snapshots nothing is proved.
fn unseen(error: &CloudError) -> Unprepared {
    if is_lasting(error) {
        return NotReady::new(format!("EC2 does not show what a hold is proved by: {error}")).into();
    }
    Unprepared::Anew(format!("{}: {}", error.code, error.message))
}

/// Without seeing what an instance is made of no image of it can be registered.
fn unshown(error: &CloudError) -> Unprepared {
    if is_lasting(error) {
        return Unprepared::Unfit(format!("EC2 does not show what the image has to carry: {error}"));
    }
    Unprepared::Anew(format!("{}: {}", error.code, error.message))
}

/// Whether the same question would be answered like this the next time too: neither a permission nor another request comes
/// by itself. Credentials are renewed, and what is not there any more is found out by the next decision.
fn is_lasting(error: &CloudError) -> bool {
    matches!(error.kind, CloudErrorKind::Denied | CloudErrorKind::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_not_pass_is_told_at_once_and_what_may_is_decided_anew() {
        for (status, code, is_lasting) in [
            (403, "UnauthorizedOperation", true),
            (400, "UnsupportedOperation", true),
            (400, "InvalidParameterValue", true),
            (503, "RequestLimitExceeded", false),
            (500, "InternalError", false),
            (400, "InvalidInstanceID.NotFound", false),
            (400, "IncorrectInstanceState", false),
            (401, "AuthFailure", false),
        ] {
            let error = CloudError::from_answer(Action::GetInstanceUefiData, status, code, "because");
            assert_eq!(matches!(unshown(&error), Unprepared::Unfit(_)), is_lasting, "{code}");
            assert_eq!(matches!(unseen(&error), Unprepared::NotReady(_)), is_lasting, "{code}");
            assert_eq!(matches!(unshown(&error), Unprepared::Anew(_)), !is_lasting, "{code}");
        }
    }
}
