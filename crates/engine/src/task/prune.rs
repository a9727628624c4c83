//! A prune: look, decide, and write down what goes. Nothing is deleted here; the next plans do that, row by row.

use std::collections::{BTreeMap, BTreeSet};

use amikeep_cloud::Cloud;
use amikeep_domain::decision::JobError;
use amikeep_domain::id::AccountName;
use amikeep_domain::plan::PruneAction;
use amikeep_domain::policy::saturating_add;
use amikeep_domain::prune::{Clock, KnownImage, KnownState, OwnedImage, PrunedImage, PrunedSet};
use amikeep_domain::retention::Verdict;
use amikeep_ledger::{LedgerError, ListingRecord, NewDeletion, PruneRecord, StrayImage, StrayState};
use tracing::{error, info, warn};

use crate::context::Context;
use crate::error::{EngineError, Told};
use crate::prune::{PrunePreview, PruneScope, look};
use crate::report::{Pruned, Report};
use crate::witness::PruneSeen;

/// The jobs that are summed up in one transaction, and in one prune.
const SUMMARISED_PER_COMMIT: usize = 200;
const SUMMARISED_PER_PRUNE: usize = 10_000;

pub(crate) async fn prune<C: Cloud>(ctx: &Context<C>, action: PruneAction) -> Report {
    let accounts: BTreeSet<AccountName> = action.accounts.keys().cloned().collect();
    let scope = PruneScope { accounts, policy: action.policy.clone(), released: action.released.clone() };
    let pruned = match look(ctx, &scope).await {
        Ok(preview) => record(ctx, &action, preview).await,
        Err(EngineError::Ledger(error)) => Err(error),
        Err(error) => {
            error!("a prune did not come to its end: {}", Told(&error));
            Ok(Pruned::default())
        }
    };
    Report::Pruned { accounts: action.accounts.into_keys().collect(), pruned }
}

async fn record<C: Cloud>(
    ctx: &Context<C>,
    action: &PruneAction,
    preview: PrunePreview,
) -> Result<Pruned, LedgerError> {
    let failed = preview.failed.clone();
    if preview.listings.is_empty() {
        if let Some(request) = action.request {
            let why = failed.iter().map(|(account, why)| format!("account {account}: {why}"));
            let why = why.collect::<Vec<_>>().join("; ");
            let error = JobError::new("account_unavailable", why, "see `amikeep check --online`");
            ctx.ledger.record_request_refused(request, &error, ctx.now()).await?;
        }
        return Ok(Pruned { failed, ..Pruned::default() });
    }
    tell(&preview);
    if let Clock::Unsound { why } = &preview.clock {
        // Not even what was seen is written down: its times would be wrong.
        if let Some(request) = action.request {
            let error = JobError::new("clock", why, "set the clock of this host, then prune again");
            ctx.ledger.record_request_refused(request, &error, ctx.now()).await?;
        }
        let pruned_to = pruned_to(action, &preview);
        return Ok(Pruned { failed, pruned_to, ..Pruned::default() });
    }
    if action.policy.is_none() {
        ctx.witness.pruned(PruneSeen::of(&preview.plan, preview.account_ids.keys().cloned().collect()));
    }
    let record = prune_record(ctx, action, &preview);
    let recorded = ctx.ledger.record_prune(&record).await?;
    for skipped in &recorded.skipped {
        let what = skipped.image.as_ref().map_or_else(|| "a set of snapshots".to_owned(), ToString::to_string);
        warn!(job_id = %skipped.job, "{what} changed while the prune was planned and is left for the next");
    }
    for deletion in &recorded.deletions {
        info!(
            image_id = %deletion.what(), policy = %deletion.policy, instance_id = %deletion.instance,
            "{} of {} goes: {}", deletion.what(), deletion.instance, deletion.reason
        );
    }
    if action.request.is_none() {
        summarise(ctx).await?;
    }
    let pruned_to = pruned_to(action, &preview);
    Ok(Pruned { failed, deletions: recorded.deletions, pruned_to })
}

/// The new cursors: of every account that was listed, also by another name.
fn pruned_to(action: &PruneAction, preview: &PrunePreview) -> BTreeMap<AccountName, jiff::Timestamp> {
    let listed = preview.account_ids.keys();
    listed.filter_map(|name| Some((name.clone(), (*action.accounts.get(name)?)?))).collect()
}

fn prune_record<C: Cloud>(ctx: &Context<C>, action: &PruneAction, preview: &PrunePreview) -> PruneRecord {
    let count = |word: &str| preview.plan.images.iter().filter(|it| it.verdict.as_str() == word).count() as u64;
    let listings = preview.account_ids.iter().filter_map(|(name, id)| {
        let region = &ctx.policy_set().accounts.get(name)?.region;
        let listing = preview.listings.iter().find(|it| it.account == *id && it.region == *region)?;
        Some(ListingRecord {
            account_name: name.clone(),
            account: id.clone(),
            region: region.clone(),
            seen: listing.images.iter().map(|(id, image)| (id.clone(), image.is_pinned())).collect(),
            listed_at: listing.began_at,
            missing_before: saturating_add(listing.began_at, -ctx.visibility_lag(name)),
            pruned_to: action.accounts.get(name).copied().flatten(),
        })
    });
    let images = preview.plan.targets().filter_map(|(image, target)| new_deletion(ctx, image, target));
    PruneRecord {
        request: action.request,
        policy: action.policy.clone(),
        planned_at: ctx.now(),
        listings: listings.collect(),
        kept: count("keep"),
        held: count("held"),
        notes: notes(preview),
        deletions: images.chain(preview.plan.sets_to_delete().map(|set| new_set_deletion(ctx, set))).collect(),
    }
}

fn new_deletion<C: Cloud>(ctx: &Context<C>, image: &PrunedImage, target: &OwnedImage) -> Option<NewDeletion> {
    let known = &image.known;
    let Verdict::Delete(reason) = &image.verdict else { return None };
    let stray = if image.is_stray { Some(stray(known)?) } else { None };
    Some(NewDeletion {
        id: ctx.new_deletion_id(),
        image: Some(target.image().clone()),
        job: known.job,
        policy: known.policy.clone(),
        account: known.account.clone(),
        account_name: known.account_name.clone(),
        region: known.region.clone(),
        instance: known.instance.clone(),
        snapshots: target.snapshots().to_vec(),
        reason: reason.to_string(),
        stray,
    })
}

fn new_set_deletion<C: Cloud>(ctx: &Context<C>, set: &PrunedSet) -> NewDeletion {
    NewDeletion {
        id: ctx.new_deletion_id(),
        image: None,
        job: set.job,
        policy: set.policy.clone(),
        account: set.account.clone(),
        account_name: set.account_name.clone(),
        region: set.region.clone(),
        instance: set.instance.clone(),
        snapshots: set.snapshots.clone(),
        reason: "no image was made of these snapshots, and a newer one succeeded".to_owned(),
        stray: None,
    }
}

/// `None` for one whose name is not a name that amikeep gives.
fn stray(known: &KnownImage) -> Option<StrayImage> {
    Some(StrayImage {
        name: known.name.parse().ok()?,
        class: known.class.clone(),
        state: if known.state == KnownState::Missing { StrayState::Missing } else { StrayState::Failed },
        first_seen_at: known.first_seen_at,
        last_seen_at: known.last_seen_at,
    })
}

/// What a person should hear of besides the images.
fn notes(preview: &PrunePreview) -> Vec<String> {
    let failed = preview.failed.iter().map(|(account, why)| format!("account {account} was left out: {why}"));
    let over = preview.plan.over_limit.iter().map(|(policy, over)| format!("policy {policy}: {over}"));
    let clock = match &preview.clock {
        Clock::Sound => None,
        Clock::Unsound { why } => Some(format!("nothing is deleted by a clock that makes no sense: {why}")),
    };
    let unknown = match preview.plan.unknown.as_slice() {
        [] => None,
        images => Some(format!(
            "the ledger knows nothing of {}, which carry the owner's tag; they are left alone",
            named(images)
        )),
    };
    let loose = match preview.plan.unknown_snapshots.as_slice() {
        [] => None,
        snapshots => Some(format!(
            "no image has {}, and the ledger does not know their jobs; they carry the owner's tag, and are left alone",
            named(snapshots)
        )),
    };
    failed.chain(over).chain(clock).chain(unknown).chain(loose).collect()
}

fn named(ids: &[impl ToString]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The lines of the log: once per prune and kind.
fn tell(preview: &PrunePreview) {
    for (policy, over) in &preview.plan.over_limit {
        error!(
            policy = %policy, planned = over.planned, deleted = over.limit.deleted, max_deletes = over.limit.max_deletes,
            "nothing of policy {policy} is deleted: {over}; if that is meant, `amikeep prune --policy {policy} --yes` \
             releases it"
        );
    }
    if let Clock::Unsound { why } = &preview.clock {
        error!("nothing is deleted by a clock that makes no sense: {why}");
    }
    if !preview.plan.unknown.is_empty() {
        let n = preview.plan.unknown.len();
        warn!(images = ?preview.plan.unknown, "{n} image(s) carry the owner's tag and are not in the ledger; they are left alone");
    }
    if !preview.plan.unknown_snapshots.is_empty() {
        let n = preview.plan.unknown_snapshots.len();
        warn!(
            snapshots = ?preview.plan.unknown_snapshots,
            "{n} snapshot(s) carry the owner's tag, no image has them, and the ledger does not know their jobs; they are left \
             alone, and `amikeep prune --dry-run` lists them"
        );
    }
}

/// Sums up what is older than `history_keep`, some of it at a time.
async fn summarise<C: Cloud>(ctx: &Context<C>) -> Result<(), LedgerError> {
    let before = saturating_add(ctx.now(), -ctx.policy_set().history_keep);
    let mut jobs = 0;
    while jobs < SUMMARISED_PER_PRUNE {
        let summarised = ctx.ledger.summarise(before, SUMMARISED_PER_COMMIT).await?;
        if summarised.is_empty() {
            break;
        }
        jobs += summarised.jobs.max(1);
    }
    if 0 < jobs {
        info!(jobs, "{jobs} job(s) from before {before} were summed up");
    }
    Ok(())
}
