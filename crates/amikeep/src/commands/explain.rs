//! `amikeep explain`: how an instance is backed up, and why. It asks EC2 and changes nothing.

mod find;

use std::collections::BTreeMap;

use amikeep_domain::id::{AccountName, InstanceId, PolicyName};
use amikeep_domain::job::{Job, StateName};
use amikeep_domain::policy::PolicySet;
use amikeep_ledger::{HistoryFilter, Ledger, LedgerError};
use amikeep_view as view;
use amikeep_view::explain::{Answer, Explanation, Found, Inputs};

use crate::cli::{ExplainArgs, Format};
use crate::commands::explain::find::Search;
use crate::ctx::{Ctx, open_ledger};
use crate::exit::Exit;
use crate::logging::{self, Purpose};
use crate::output::{facts, heading};
use crate::progress::Bars;

/// Enough to find the last one under each name of its account.
const LAST_JOBS_MAX: u32 = 20;

pub(crate) async fn run(args: &ExplainArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    logging::start(Purpose::Command, ctx, &Bars::hidden());
    let config = ctx.load_config()?.config;
    let search = Search::run(&config, &args.instance).await;
    for failure in &search.failures {
        ctx.tell(failure);
    }
    let Some(found) = &search.found else {
        ctx.tell(&search.not_found(&args.instance));
        return Ok(Exit::Failed);
    };
    let last_success = match open_ledger(&config.daemon.database).await {
        Ok(ledger) => last_success(&ledger, &config.policy_set, found).await?,
        Err(error) if is_missing(&error) => BTreeMap::new(),
        Err(error) => return Err(error),
    };
    let inputs = Inputs { policy_set: &config.policy_set, found, last_success: &last_success, now: ctx.now() };
    let explanation = view::explain::explain(&inputs);
    match ctx.format {
        Format::Json => ctx.output.json(&explanation)?,
        Format::Table => tell(&explanation, ctx)?,
    }
    Ok(Exit::Done)
}

/// Before the first start of the daemon or `backup` there is no ledger, and no backup that it could know of.
fn is_missing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(LedgerError::Missing { .. }))
}

async fn last_success(
    ledger: &Ledger,
    set: &PolicySet,
    found: &Found,
) -> anyhow::Result<BTreeMap<(PolicyName, AccountName), Job>> {
    let mut last = BTreeMap::new();
    for policy in set.policies.values().filter(|policy| policy.select.matches(&found.instance)) {
        let filter = HistoryFilter {
            policy: Some(policy.name.clone()),
            instance: Some(InstanceId::clone(&found.instance.id)),
            state: Some(StateName::Succeeded),
            ..HistoryFilter::default()
        };
        for job in ledger.history(&filter, LAST_JOBS_MAX, None).await?.rows {
            last.entry((policy.name.clone(), job.account_name.clone())).or_insert(job);
        }
    }
    Ok(last)
}

fn tell(explanation: &Explanation, ctx: &Ctx) -> anyhow::Result<()> {
    let instance = &explanation.instance;
    ctx.output.line(&heading(&format!("Instance {}", instance.instance_id), ctx.color))?;
    ctx.output.line(&facts(&view::explain::instance_facts(instance), ctx.width, ctx.color))?;
    for answer in &explanation.policies {
        tell_answer(answer, ctx)?;
    }
    if explanation.policies.is_empty() {
        tell_near_misses(explanation, ctx)?;
    }
    Ok(())
}

fn tell_answer(answer: &Answer, ctx: &Ctx) -> anyhow::Result<()> {
    ctx.output.line(&format!("\n{}", heading(&format!("Policy {}", answer.policy), ctx.color)))?;
    ctx.output.line(&facts(&view::explain::answer_facts(answer), ctx.width, ctx.color))?;
    if !answer.next_fires.is_empty() {
        ctx.output.line("")?;
    }
    ctx.output.table(ctx, &view::explain::next_fires(&answer.next_fires))
}

fn tell_near_misses(explanation: &Explanation, ctx: &Ctx) -> anyhow::Result<()> {
    ctx.output.line(&format!("\n{}", heading("No policy matches it, so it is not backed up", ctx.color)))?;
    for near in &explanation.near_misses {
        ctx.output.line(&format!("  {}: {}", near.policy, near.missing.join("; ")))?;
    }
    Ok(())
}
