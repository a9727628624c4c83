//! `amikeep explain`: how an instance is backed up, and why. It asks EC2 and changes nothing.

mod find;

use amikeep_config::Config;
use amikeep_domain::class::Consistency;
use amikeep_domain::freeze::CaptureBy;
use amikeep_domain::id::{ClassName, InstanceId};
use amikeep_view as view;
use amikeep_view::capture::BySnapshots;
use amikeep_view::explain::{Answer, Explanation, Found, Inputs};

use crate::ask::{self, KnownQuestion, LastOf};
use crate::cli::{ExplainArgs, Format};
use crate::commands::capture::by_snapshots;
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
    let mut explanation = view::explain::explain(&inputs);
    explanation.capture_by_snapshots = capture(&config, found, &explanation).await;
    match ctx.format {
        Format::Json => ctx.output.json(&explanation)?,
        Format::Table => tell(&explanation, ctx)?,
    }
    Ok(Exit::Done)
}

/// Whether it can be imaged by its snapshots, if a freeze of its policies asks for that.
async fn capture(config: &Config, found: &Found, explanation: &Explanation) -> Option<BySnapshots> {
    let set = &config.policy_set;
    let freeze = |answer: &Answer| {
        let class = answer.class.as_deref()?.parse::<ClassName>().ok()?;
        let class = set.classes.get(&class)?;
        set.freezes.get(class.freeze.as_ref()?).filter(|_| class.consistency == Consistency::Freeze)
    };
    let is_asked = explanation.policies.iter().filter_map(freeze).any(|it| it.capture == CaptureBy::Snapshots);
    let account = found.account_names.first().and_then(|name| config.accounts.get(name)).filter(|_| is_asked)?;
    // The client of EC2 is large, and rarely asked.
    Some(Box::pin(by_snapshots(account, &config.daemon.owner, found.instance.id.clone())).await)
}

fn tell(explanation: &Explanation, ctx: &Ctx) -> anyhow::Result<()> {
    let instance = &explanation.instance;
    ctx.output.line(&heading(&format!("Instance {}", instance.instance_id), ctx.color))?;
    ctx.output.line(&facts(&view::explain::instance_facts(instance), ctx.width, ctx.color))?;
    for answer in &explanation.policies {
        tell_answer(answer, ctx)?;
    }
    if let Some(capture) = &explanation.capture_by_snapshots {
        ctx.output.line(&format!("\n{}", heading("An image by CreateSnapshots and RegisterImage", ctx.color)))?;
        ctx.output.line(&facts(&view::capture::facts(capture), ctx.width, ctx.color))?;
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
