//! Pinning: an image that an operator wants kept gets a tag, and loses it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use amikeep_cloud::{Action, Cloud, CloudError, ResourceId};
use amikeep_domain::decision::JobError;
use amikeep_domain::id::AccountName;
use amikeep_domain::tags;
use amikeep_ledger::{ImageRow, LedgerError, PinRecord, Request};
use tracing::info;

use crate::advice::next_step;
use crate::context::Context;
use crate::prune::list::identity;
use crate::report::Report;

/// An operator's wish to keep an image, or no longer.
pub(crate) struct Pin {
    pub(crate) request: Request,
    pub(crate) row: ImageRow,
    pub(crate) pinned: bool,
}

/// Sets or removes the tag. Doing it twice changes nothing, so an unknown outcome is told to the operator, who can ask
/// again.
pub(crate) async fn pin<C: Cloud>(ctx: &Context<C>, pin: Pin) -> Report {
    let request = pin.request.id;
    let result = match account_of(ctx, &pin.row).await {
        Ok(account) => match write(ctx, &pin, &account).await {
            Ok(()) => record(ctx, &pin).await,
            Err(error) => refuse(ctx, &pin, &JobError::new(&error.code, &error.message, next_step(&error))).await,
        },
        Err(problem) => {
            refuse(ctx, &pin, &JobError::new("account_unavailable", problem, "see `amikeep check --online`")).await
        }
    };
    Report::Requested { request, result }
}

/// By what name the account of an image is configured now: an image outlives a name.
async fn account_of<C: Cloud>(ctx: &Context<C>, row: &ImageRow) -> Result<AccountName, String> {
    let accounts = &ctx.policy_set().accounts;
    let names = accounts.get_key_value(&row.account_name).into_iter().chain(accounts);
    let mut problem = None;
    for (name, _) in names.filter(|(_, rules)| rules.region == row.region) {
        match identity(ctx, name).await {
            Ok((account, _)) if account == row.account => return Ok(name.clone()),
            Ok(_) => {}
            Err(why) => problem = problem.or(Some(format!("account {name}: {why}"))),
        }
    }
    Err(problem.unwrap_or_else(|| format!("no account of the configuration is {} in {}", row.account, row.region)))
}

async fn write<C: Cloud>(ctx: &Context<C>, pin: &Pin, account: &AccountName) -> Result<(), CloudError> {
    let resources = vec![ResourceId::Image(pin.row.image.clone())];
    if pin.pinned {
        let tags = BTreeMap::from([(tags::PIN.to_owned(), pin.request.requested_at.to_string())]);
        let ask = |cloud: Arc<C>| async move { cloud.request_tags(resources, tags).await };
        ctx.call(account, Action::CreateTags, ask).await
    } else {
        let ask = |cloud: Arc<C>| async move { cloud.remove_tags(resources, vec![tags::PIN.to_owned()]).await };
        ctx.call(account, Action::DeleteTags, ask).await
    }
}

async fn record<C: Cloud>(ctx: &Context<C>, pin: &Pin) -> Result<(), LedgerError> {
    let row = &pin.row;
    let record = PinRecord {
        request: Some(pin.request.id),
        account: row.account.clone(),
        region: row.region.clone(),
        image: row.image.clone(),
        pinned: pin.pinned,
        at: ctx.now(),
    };
    ctx.ledger.record_pinned(&record).await?;
    let word = if pin.pinned { "pinned" } else { "unpinned" };
    info!(image_id = %row.image, job_id = %row.job, "{} is {word}", row.image);
    Ok(())
}

async fn refuse<C: Cloud>(ctx: &Context<C>, pin: &Pin, error: &JobError) -> Result<(), LedgerError> {
    ctx.ledger.record_request_refused(pin.request.id, error, ctx.now()).await
}
