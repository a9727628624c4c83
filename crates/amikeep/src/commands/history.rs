//! `amikeep history`: jobs, or fires, newest first, page by page.

use std::fmt::Display;
use std::str::FromStr;

use amikeep_ledger::{FireCursor, FireFilter, HistoryFilter, InvalidCursor, JobCursor};
use amikeep_view as view;
use jiff::Timestamp;

use crate::ask::{self, Answer, Block, HistoryQuestion, Listed, Question, Source};
use crate::cli::{Format, HistoryArgs};
use crate::commands::known;
use crate::ctx::Ctx;
use crate::exit::{Exit, UsageError};

pub(crate) async fn run(args: &HistoryArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let records = ctx.load_records()?;
    let question = question(args, ctx.now())?;
    ask::print(ctx, &records, Question::History(question)).await
}

/// What was typed is judged before the ledger is looked for.
fn question(args: &HistoryArgs, now: Timestamp) -> Result<HistoryQuestion, UsageError> {
    let span = Span::new(args, now)?;
    let listed = match (args.summary, args.fires) {
        (true, _) => Listed::Sums,
        (false, true) => Listed::Fires,
        (false, false) => Listed::Jobs,
    };
    match listed {
        Listed::Jobs => _ = cursor::<JobCursor>(args.cursor.as_deref())?,
        Listed::Fires => _ = cursor::<FireCursor>(args.cursor.as_deref())?,
        Listed::Sums => {}
    }
    Ok(HistoryQuestion {
        listed,
        policy: args.policy.clone(),
        instance: args.instance.clone(),
        state: args.state,
        since: span.since,
        until: span.until,
        limit: args.limit,
        cursor: args.cursor.clone(),
    })
}

/// Answers it from the ledger.
pub(crate) async fn answer(question: &HistoryQuestion, source: &Source<'_>) -> anyhow::Result<Answer> {
    if let Some(config) = source.config {
        known::check_policy(source.ledger, question.policy.as_ref(), &config.policy_set.policies).await?;
    }
    let mut answer = match question.listed {
        Listed::Jobs => jobs(question, source).await?,
        Listed::Fires => fires(question, source).await?,
        Listed::Sums => return sums(question, source).await,
    };
    if source.format == Format::Table {
        // Who wonders why the newest row is old is answered here.
        let pauses = source.ledger.pauses_in_force(source.now).await?;
        answer.notes.extend(view::pause::notes(&pauses, question.policy.as_ref(), question.instance.as_ref()));
    }
    Ok(answer)
}

async fn sums(question: &HistoryQuestion, source: &Source<'_>) -> anyhow::Result<Answer> {
    let jobs = source.ledger.summaries(question.policy.as_ref(), question.instance.as_ref()).await?;
    let fires = source.ledger.fire_summaries(question.policy.as_ref()).await?;
    let summary = view::summary::Summary::new(&jobs, &fires);
    let table = || vec![Block::Table(view::summary::table(&summary.months))];
    let mut answer = Answer::new(source.format, &summary, table)?;
    if source.format == Format::Table && summary.months.is_empty() {
        let note = "no job is older than `history_keep` and without an image; all of them are listed one by one";
        answer.notes.push(note.to_owned());
    }
    Ok(answer)
}

async fn jobs(question: &HistoryQuestion, source: &Source<'_>) -> anyhow::Result<Answer> {
    let filter = HistoryFilter {
        policy: question.policy.clone(),
        instance: question.instance.clone(),
        state: question.state,
        since: question.since,
        until: question.until,
        request: None,
    };
    let after: Option<JobCursor> = cursor(question.cursor.as_deref())?;
    let page = source.ledger.history(&filter, question.limit, after.as_ref()).await?;
    let next_cursor = page.next.as_ref().map(ToString::to_string);
    let history = view::job::History { jobs: page.rows.iter().map(view::job::Job::from).collect(), next_cursor };
    let mut answer = Answer::new(source.format, &history, || vec![Block::Table(view::job::table(&history.jobs))])?;
    if source.format == Format::Table {
        if history.jobs.is_empty() {
            answer.notes.push("no job matches; `amikeep history --fires` tells whether anything was due".to_owned());
        }
        if history.jobs.iter().any(|job| job.error.is_some()) {
            answer.notes.push("`amikeep show JOB` says why a job failed, and what to do".to_owned());
        }
        answer.notes.extend(next(history.next_cursor.as_deref()));
    }
    Ok(answer)
}

async fn fires(question: &HistoryQuestion, source: &Source<'_>) -> anyhow::Result<Answer> {
    let filter = FireFilter { policy: question.policy.clone(), since: question.since, until: question.until };
    let after: Option<FireCursor> = cursor(question.cursor.as_deref())?;
    let page = source.ledger.fires(&filter, question.limit, after.as_ref()).await?;
    let next_cursor = page.next.as_ref().map(ToString::to_string);
    let fires = view::fire::Fires { fires: page.rows.iter().map(view::fire::Fire::from).collect(), next_cursor };
    let mut answer = Answer::new(source.format, &fires, || vec![Block::Table(view::fire::table(&fires.fires))])?;
    if source.format == Format::Table {
        if fires.fires.is_empty() {
            answer.notes.push("no fire matches; `amikeep plan` lists those to come".to_owned());
        }
        answer.notes.extend(next(fires.next_cursor.as_deref()));
    }
    Ok(answer)
}

fn next(cursor: Option<&str>) -> Option<String> {
    cursor.map(|cursor| format!("there are more: add --cursor {cursor}"))
}

fn cursor<C: FromStr<Err = InvalidCursor>>(cursor: Option<&str>) -> Result<Option<C>, UsageError> {
    cursor.map(str::parse).transpose().map_err(|error: InvalidCursor| usage(&error))
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
