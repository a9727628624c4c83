//! `amikeep history`: jobs, or fires, newest first, page by page.

use std::fmt::Display;
use std::str::FromStr;

use amikeep_ledger::{FireCursor, FireFilter, HistoryFilter, InvalidCursor, JobCursor, Ledger};
use amikeep_view as view;
use jiff::Timestamp;

use crate::cli::{Format, HistoryArgs};
use crate::commands::known;
use crate::ctx::{Ctx, Records, open_ledger};
use crate::exit::{Exit, UsageError};

pub(crate) async fn run(args: &HistoryArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let records = ctx.load_records()?;
    if args.summary {
        return list_sums(args, &open(args, &records).await?, ctx).await;
    }
    let span = Span::new(args, ctx.now())?;
    // What was typed is judged before the ledger is looked for.
    if args.fires {
        let after = cursor(args)?;
        list_fires(args, span, after, &open(args, &records).await?, ctx).await
    } else {
        let after = cursor(args)?;
        list_jobs(args, span, after, &open(args, &records).await?, ctx).await
    }
}

async fn open(args: &HistoryArgs, records: &Records) -> anyhow::Result<Ledger> {
    let ledger = open_ledger(&records.database).await?;
    if let Some(configured) = &records.policies {
        known::check_policy(&ledger, args.policy.as_ref(), configured).await?;
    }
    Ok(ledger)
}

async fn list_sums(args: &HistoryArgs, ledger: &Ledger, ctx: &Ctx) -> anyhow::Result<Exit> {
    let jobs = ledger.summaries(args.policy.as_ref(), args.instance.as_ref()).await?;
    let fires = ledger.fire_summaries(args.policy.as_ref()).await?;
    let summary = view::summary::Summary::new(&jobs, &fires);
    ctx.output.print(ctx, &summary, || view::summary::table(&summary.months))?;
    if ctx.format == Format::Table && summary.months.is_empty() {
        ctx.tell("no job is older than `history_keep` and without an image; all of them are listed one by one");
    }
    Ok(Exit::Done)
}

async fn list_jobs(
    args: &HistoryArgs,
    span: Span,
    after: Option<JobCursor>,
    ledger: &Ledger,
    ctx: &Ctx,
) -> anyhow::Result<Exit> {
    let filter = HistoryFilter {
        policy: args.policy.clone(),
        instance: args.instance.clone(),
        state: args.state,
        since: span.since,
        until: span.until,
        request: None,
    };
    let page = ledger.history(&filter, args.limit, after.as_ref()).await?;
    let next_cursor = page.next.as_ref().map(ToString::to_string);
    let history = view::job::History { jobs: page.rows.iter().map(view::job::Job::from).collect(), next_cursor };
    ctx.output.print(ctx, &history, || view::job::table(&history.jobs))?;
    if ctx.format == Format::Table {
        if history.jobs.is_empty() {
            ctx.tell("no job matches; `amikeep history --fires` tells whether anything was due");
        }
        if history.jobs.iter().any(|job| job.error.is_some()) {
            ctx.tell("`amikeep show JOB` says why a job failed, and what to do");
        }
        tell_next(history.next_cursor.as_deref(), ctx);
    }
    Ok(Exit::Done)
}

async fn list_fires(
    args: &HistoryArgs,
    span: Span,
    after: Option<FireCursor>,
    ledger: &Ledger,
    ctx: &Ctx,
) -> anyhow::Result<Exit> {
    let filter = FireFilter { policy: args.policy.clone(), since: span.since, until: span.until };
    let page = ledger.fires(&filter, args.limit, after.as_ref()).await?;
    let next_cursor = page.next.as_ref().map(ToString::to_string);
    let fires = view::fire::Fires { fires: page.rows.iter().map(view::fire::Fire::from).collect(), next_cursor };
    ctx.output.print(ctx, &fires, || view::fire::table(&fires.fires))?;
    if ctx.format == Format::Table {
        if fires.fires.is_empty() {
            ctx.tell("no fire matches; `amikeep plan` lists those to come");
        }
        tell_next(fires.next_cursor.as_deref(), ctx);
    }
    Ok(Exit::Done)
}

fn tell_next(cursor: Option<&str>, ctx: &Ctx) {
    if let Some(cursor) = cursor {
        ctx.tell(&format!("there are more: add --cursor {cursor}"));
    }
}

fn cursor<C: FromStr<Err = InvalidCursor>>(args: &HistoryArgs) -> Result<Option<C>, UsageError> {
    args.cursor.as_deref().map(str::parse).transpose().map_err(|error: InvalidCursor| usage(&error))
}

fn usage(error: &impl Display) -> UsageError {
    UsageError(error.to_string())
}

/// since ≤ t < until.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Span {
    fn new(args: &HistoryArgs, now: Timestamp) -> Result<Self, UsageError> {
        let since = args.since.map(|since| since.ago(now));
        let until = args.until.map(|until| until.ago(now));
        match (since, until) {
            (Some(since), Some(until)) if until <= since => {
                Err(UsageError(format!("--until ({until:.0}) is not after --since ({since:.0})")))
            }
            _ => Ok(Self { since, until }),
        }
    }
}
