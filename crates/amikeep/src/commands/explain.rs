//! `amikeep explain`: how an instance is backed up, and why. It asks EC2 and changes nothing.

mod find;

use amikeep_domain::id::InstanceId;
use amikeep_view as view;
use amikeep_view::explain::{Answer, Explanation, Inputs};

use crate::ask::{self, KnownQuestion, LastOf};
use crate::cli::{ExplainArgs, Format};
use crate::commands::explain::find::Search;
use crate::ctx::{Ctx, Records};
use crate::exit::Exit;
use crate::logging::{self, Purpose};
use crate::output::{facts, heading};
use crate::progress::Bars;

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
    let now = ctx.now();
    let instance = InstanceId::clone(&found.instance.id);
    let policies = config.policy_set.policies.values().filter(|policy| policy.select.matches(&found.instance));
    let last_success = Some(LastOf::new(instance, policies.map(|policy| &policy.name)));
    let question = KnownQuestion { pauses_since: now, last_success };
    let records = Records::new(config.clone());
    let known = ask::know(ctx, &records, question).await?;
    let (pauses, last_success) = (known.pauses(), known.last_success());
    let inputs = Inputs { policy_set: &config.policy_set, found, last_success: &last_success, pauses: &pauses, now };
    let explanation = view::explain::explain(&inputs);
    match ctx.format {
        Format::Json => ctx.output.json(&explanation)?,
        Format::Table => tell(&explanation, ctx)?,
    }
    Ok(Exit::Done)
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
