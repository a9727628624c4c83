//! Looking at what there is, for a prune: complete listings, the rows of the ledger, and what uses the images that would go.
//!
//! The daemon, `amikeep prune` and its dry run all look through here, and [`plan_prune`] decides for all of them. Nothing
//! is changed here. An account whose listing is not complete is left out as a whole.

mod clock;
pub(crate) mod list;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use amikeep_cloud::{Action, Cloud, CloudError};
use amikeep_domain::id::{AccountId, AccountName, ImageId, JobId, PolicyName};
use amikeep_domain::image_name::{ImageName, ImageNumber};
use amikeep_domain::job::{Job, JobState};
use amikeep_domain::policy::{PolicySet, saturating_add};
use amikeep_domain::prune::{
    Clock as HostClock, EndedJob, KnownImage, Listing, PruneInputs, PrunePlan, Released, plan_prune, stray_jobs,
    wanted_usage,
};
use amikeep_domain::retention::Usage;
use amikeep_ledger::Ledger;
use jiff::{SignedDuration, Timestamp};

use crate::clock::{Clock, Random};
use crate::context::{Context, InForce};
use crate::error::EngineError;
use crate::host::NoHost;

/// The images whose use is asked in one call of the port, which makes several calls to EC2 of it.
const USAGE_BATCH_MAX: usize = 50;
/// The time for which deletions count towards `max_deletes`.
const LIMIT_SPAN: SignedDuration = SignedDuration::from_hours(24);

/// What a prune is to look at.
#[derive(Debug, Clone, Default)]
pub struct PruneScope {
    /// The accounts.
    pub accounts: BTreeSet<AccountName>,
    /// Only this policy.
    pub policy: Option<PolicyName>,
    /// What an operator let go beyond `max_deletes`.
    pub released: Released,
}

/// What was seen, and what follows from it.
#[derive(Debug)]
pub struct PrunePreview {
    /// A verdict for every image of the accounts that answered.
    pub plan: PrunePlan,
    /// The complete listings.
    pub listings: Vec<Listing>,
    /// The accounts that did not answer completely, and why. Nothing of them is judged.
    pub failed: BTreeMap<AccountName, String>,
    /// Whether the host's clock makes sense.
    pub clock: HostClock,
    /// The names of the accounts that were listed, with the ids behind them. Two names may stand for one.
    pub account_ids: BTreeMap<AccountName, AccountId>,
}

/// What a prune would do now, by the same way as the prune itself. Writes nothing, and asks EC2 only to describe.
pub async fn preview_prune<C: Cloud>(
    ledger: Ledger,
    policy_set: Arc<PolicySet>,
    clouds: BTreeMap<AccountName, Arc<C>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    scope: &PruneScope,
) -> Result<PrunePreview, EngineError> {
    let ctx = Context::new(ledger, clock, random, Arc::new(NoHost), InForce { policy_set, clouds });
    look(&ctx, scope).await
}

/// Looks and plans. Only an error of the ledger is an error: without it nothing is known to be ours.
pub(crate) async fn look<C: Cloud>(ctx: &Context<C>, scope: &PruneScope) -> Result<PrunePreview, EngineError> {
    let mut account_ids = BTreeMap::new();
    let mut listed: Vec<list::Listed> = Vec::new();
    let mut failed = BTreeMap::new();
    for account in &scope.accounts {
        match list::identity(ctx, account).await {
            Ok((id, _)) if listed.iter().any(|it| is_place(ctx, account, &id, &it.listing)) => {
                account_ids.insert(account.clone(), id);
            }
            Ok((id, region)) => match list::list(ctx, account, &id, &region).await {
                Ok(one) => {
                    account_ids.insert(account.clone(), id);
                    listed.push(one);
                }
                Err(list::Problem::Cloud(why)) => drop(failed.insert(account.clone(), why)),
                Err(list::Problem::Ledger(error)) => return Err(error.into()),
            },
            Err(why) => drop(failed.insert(account.clone(), why)),
        }
    }
    let clock = clock::judge(ctx.now(), &listed);
    let known: Vec<KnownImage> = listed.iter_mut().flat_map(|it| std::mem::take(&mut it.known)).collect();
    let listings: Vec<Listing> = listed.into_iter().map(|it| it.listing).collect();
    let seen = Seen { account_ids: &account_ids, listings: &listings, known: &known, clock: &clock };
    let plan = judge(ctx, scope, &seen).await?;
    Ok(PrunePreview { plan, listings, failed, clock, account_ids })
}

/// Whether a name stands for a place that is listed already.
fn is_place<C: Cloud>(ctx: &Context<C>, account: &AccountName, id: &AccountId, listing: &Listing) -> bool {
    let region = ctx.policy_set().accounts.get(account).map(|rules| &rules.region);
    listing.account == *id && region == Some(&listing.region)
}

/// What was observed of EC2.
struct Seen<'a> {
    account_ids: &'a BTreeMap<AccountName, AccountId>,
    listings: &'a [Listing],
    known: &'a [KnownImage],
    clock: &'a HostClock,
}

/// Plans twice: first to learn which images have to be asked about, then with the answers. Most prunes let nothing go, and
/// then the first plan is the last one: what is asked about, and what limits count, are deletions.
async fn judge<C: Cloud>(ctx: &Context<C>, scope: &PruneScope, seen: &Seen<'_>) -> Result<PrunePlan, EngineError> {
    let now = ctx.now();
    let open_jobs: BTreeSet<JobId> = ctx.ledger.open_jobs().await?.into_iter().map(|job| job.id).collect();
    let strays: Vec<JobId> = stray_jobs(seen.listings, seen.known).into_iter().collect();
    let jobs = ctx.ledger.jobs_by_ids(&strays).await?;
    let ended_jobs = jobs.iter().filter_map(|job| Some((job.id, ended_job(ctx, job)?))).collect();
    let day_counts = ctx.ledger.day_counts(saturating_add(now, -LIMIT_SPAN)).await?;
    let pauses = ctx.ledger.pauses_in_force(now).await?;
    let inputs = PruneInputs {
        now,
        clock: seen.clock,
        policy_set: ctx.policy_set(),
        account_ids: seen.account_ids,
        listings: seen.listings,
        known: seen.known,
        open_jobs: &open_jobs,
        ended_jobs: &ended_jobs,
        usage: None,
        day_counts: &day_counts,
        released: &scope.released,
        pauses: &pauses,
        only: scope.policy.as_ref(),
    };
    let first = plan_prune(&inputs);
    if first.targets().next().is_none() && first.sets_to_delete().next().is_none() {
        return Ok(first);
    }
    let usage = ask_usage(ctx, wanted_usage(&first, seen.listings)).await;
    Ok(plan_prune(&PruneInputs { usage: Some(&usage), ..inputs }))
}

/// What uses each image. An error is an answer as well: what is not known counts as in use.
async fn ask_usage<C: Cloud>(
    ctx: &Context<C>,
    wanted: BTreeMap<AccountName, Vec<ImageId>>,
) -> BTreeMap<ImageId, Usage> {
    let mut usage = BTreeMap::new();
    for (account, images) in wanted {
        for batch in images.chunks(USAGE_BATCH_MAX) {
            let asked = batch.to_vec();
            let ask = |cloud: Arc<C>| async move { cloud.observe_usage(asked).await };
            let answer: Result<_, CloudError> = ctx.call(&account, Action::DescribeImageReferences, ask).await;
            let mut answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    let unknown = Usage::Unknown { why: error.to_string() };
                    batch.iter().map(|image| (image.clone(), unknown.clone())).collect()
                }
            };
            // An answer that leaves an image out says nothing about it.
            usage.extend(batch.iter().filter_map(|image| answer.remove_entry(image)));
        }
    }
    usage
}

fn ended_job<C: Cloud>(ctx: &Context<C>, job: &Job) -> Option<EndedJob> {
    let finished_at = finished_at(job)?;
    let key = &job.key;
    let mut number = ImageNumber::FIRST;
    let mut image_names = Vec::new();
    for _ in 0..crate::judge::IMAGES_PER_JOB_MAX {
        let owner = &ctx.policy_set().owner;
        let name = ImageName::for_backup(owner, &key.policy, &key.instance, key.scheduled_at, number);
        image_names.push(name.to_string());
        number = number.next();
    }
    Some(EndedJob {
        policy: key.policy.clone(),
        account: key.account.clone(),
        account_name: job.account_name.clone(),
        region: key.region.clone(),
        instance: key.instance.clone(),
        class: job.class.clone(),
        image_names,
        snapshot_description: amikeep_domain::tags::snapshot_description(key),
        finished_at,
    })
}

fn finished_at(job: &Job) -> Option<Timestamp> {
    match &job.state {
        JobState::Succeeded { finished_at, .. }
        | JobState::Failed { finished_at, .. }
        | JobState::Skipped { finished_at, .. } => Some(*finished_at),
        _ => None,
    }
}
