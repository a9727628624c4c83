//! `amikeep plan`: the fires to come. It needs the configuration alone; what is paused it knows from the ledger, if there
//! is one that it may read or ask about.

use amikeep_domain::pause::Pause;
use amikeep_domain::policy::saturating_add;
use amikeep_view as view;
use jiff::{SignedDuration, Timestamp};

use crate::ask::{self, KnownQuestion};
use crate::cli::{Format, PlanArgs};
use crate::ctx::{Ctx, Records};
use crate::exit::{Exit, Told, UsageError};

/// How far a plan looks if nothing else is said.
const LOOK_AHEAD: SignedDuration = SignedDuration::from_hours(24);
/// The most fires that are listed. Two hundred policies that fire every minute for three days; whoever wants more wants
/// something else.
const FIRES_MAX: usize = 1_000_000;

pub(crate) async fn run(args: &PlanArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let config = ctx.load_config()?.config;
    let (from, to) = span(args, ctx.now())?;
    let set = config.policy_set.clone();
    let pauses = pauses(&Records::new(config), from, ctx).await;
    let Some(fires) = view::plan::planned_fires(&set, &pauses, (from, to), FIRES_MAX) else {
        return Err(UsageError(format!(
            "there are more than {FIRES_MAX} fires from {from:.0} to {to:.0}: take a shorter span"
        ))
        .into());
    };
    ctx.output.print(ctx, &fires, || view::plan::table(&fires))?;
    if ctx.format == Format::Table {
        tell_rest(&set, fires.is_empty(), (from, to), ctx);
    }
    Ok(Exit::Done)
}

/// The pauses that may concern fires from this time on. Whoever cannot know them is told so, and has the plan.
async fn pauses(records: &Records, from: Timestamp, ctx: &Ctx) -> Vec<Pause> {
    let question = KnownQuestion { pauses_since: from, last_success: None };
    match ask::know(ctx, records, question).await {
        Ok(known) => known.pauses(),
        Err(error) => {
            let why = if error.is::<Told>() { String::new() } else { format!(": {error}") };
            ctx.tell(&format!("what is paused is not known, and every fire is listed as if nothing were{why}"));
            Vec::new()
        }
    }
}

/// What the table cannot say.
fn tell_rest(set: &amikeep_domain::policy::PolicySet, is_empty: bool, (from, to): (Timestamp, Timestamp), ctx: &Ctx) {
    if is_empty {
        ctx.tell(&format!("nothing runs from {from:.0} to {to:.0}"));
    }
    let disabled = view::plan::disabled_policies(set);
    if !disabled.is_empty() {
        ctx.tell(&format!("switched off (enabled = false), so not listed: {}", disabled.join(", ")));
    }
}

fn span(args: &PlanArgs, now: Timestamp) -> anyhow::Result<(Timestamp, Timestamp)> {
    let from = args.from.map_or(now, |from| from.ahead(now));
    let to = args.to.map_or_else(|| saturating_add(from, LOOK_AHEAD), |to| to.ahead(now));
    if to <= from {
        return Err(UsageError(format!("--to ({to:.0}) is not after --from ({from:.0})")).into());
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(from: Option<&str>, to: Option<&str>) -> PlanArgs {
        let parse = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        PlanArgs { from: parse(from), to: parse(to) }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_default_is_the_next_24_hours() {
        let now = at("2026-11-22T12:00:00Z");
        assert_eq!(span(&args(None, None), now).unwrap(), (now, at("2026-11-23T12:00:00Z")));
        let from = at("2026-12-01T00:00:00Z");
        assert_eq!(span(&args(Some("2026-12-01"), None), now).unwrap(), (from, at("2026-12-02T00:00:00Z")));
        assert_eq!(span(&args(None, Some("7d")), now).unwrap(), (now, at("2026-11-29T12:00:00Z")));
    }

    #[test]
    fn an_end_before_the_beginning_is_a_usage_error() {
        let error = span(&args(None, Some("2026-11-01")), at("2026-11-22T12:00:00Z")).unwrap_err();
        assert!(error.is::<UsageError>());
    }
}
