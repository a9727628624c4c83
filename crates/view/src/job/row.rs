//! What a person sees of a job.

use crate::job::{Event, Job};
use crate::table::{Cell, Column, Fact, Fit, Table, Tone, grade_cell};
use crate::text::{Precision, minute, second};

/// One job in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The whole id.
    pub id: String,
    /// The end of the id, which is random and so enough to find the job by.
    pub short_id: String,
    /// The nominal time, to the minute.
    pub scheduled_at: String,
    /// The policy.
    pub policy: String,
    /// The configured name of the account.
    pub account_name: String,
    /// The instance.
    pub instance_id: String,
    /// Where the job is.
    pub state: Cell,
    /// How good the image is.
    pub grade: Cell,
    /// The mode: what was done, else what was asked.
    pub mode: Cell,
    /// Why it failed or was skipped, by the word for it, or what it waits for. The whole story is told with the job.
    pub note: Cell,
}

impl From<&Job> for Row {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id.clone(),
            short_id: short_id(&job.id).to_owned(),
            scheduled_at: minute(job.scheduled_at.0),
            policy: job.policy.clone(),
            account_name: job.account_name.clone(),
            instance_id: job.instance_id.clone(),
            state: state(job),
            grade: grade_cell(job.grade),
            mode: mode(job),
            note: note(job),
        }
    }
}

/// A list of jobs.
pub fn table(jobs: &[Job]) -> Table {
    let columns = vec![
        Column::new("SCHEDULED (UTC)", Fit::Whole),
        Column::new("POLICY", Fit::Optional(3)),
        Column::new("ACCOUNT", Fit::Optional(5)),
        Column::new("INSTANCE", Fit::Whole),
        Column::new("STATE", Fit::Whole),
        Column::new("GRADE", Fit::Optional(1)),
        Column::new("MODE", Fit::Optional(4)),
        Column::new("JOB", Fit::Whole),
        Column::new("NOTE", Fit::OptionalWraps(0)),
    ];
    let precision = Precision::of(jobs.iter().map(|job| job.scheduled_at.0));
    let cells = |job: &Job| {
        let row = Row::from(job);
        vec![
            Cell::plain(precision.write(job.scheduled_at.0)),
            Cell::plain(row.policy),
            Cell::plain(row.account_name),
            Cell::plain(row.instance_id),
            row.state,
            row.grade,
            row.mode,
            Cell::plain(row.short_id),
            row.note,
        ]
    };
    Table { columns, rows: jobs.iter().map(cells).collect() }
}

/// What there is to say of one job, the most important first. The error of a failed one is told apart from this.
pub fn facts(job: &Job) -> Vec<Fact> {
    let or_dash = |text: Option<String>| Cell::or_dash(text);
    let time = |time: Option<crate::text::Time>| or_dash(time.map(|it| format!("{} UTC", second(it.0))));
    let mut facts = vec![
        Fact::new("state", state(job)),
        Fact::new("policy", Cell::plain(format!("{}, class {}", job.policy, job.class))),
        Fact::new("instance", Cell::plain(&job.instance_id)),
        Fact::new("account", Cell::plain(format!("{} ({}, {})", job.account_name, job.account, job.region))),
        Fact::new("scheduled", Cell::plain(format!("{} UTC, {}", second(job.scheduled_at.0), job.trigger))),
        Fact::new("started", time(job.started_at)),
        Fact::new("finished", time(job.finished_at)),
        Fact::new("mode", mode(job)),
    ];
    facts.extend(job.mode.reason.as_ref().map(|reason| Fact::new("because", Cell::plain(reason))));
    if matches!(job.state, "queued" | "preparing") {
        let window = format!("{} to {} UTC", second(job.start_at.0), second(job.start_by.0));
        facts.push(Fact::new("may begin", Cell::plain(window)));
    }
    facts.extend(job.waiting_for.as_ref().map(|what| Fact::new("waits for", Cell::plain(what))));
    facts.extend(job.retry_at.map(|at| Fact::new("looked at again", time(Some(at)))));
    facts.extend(job.skip_reason.map(|reason| Fact::new("skipped since", Cell::plain(skip_text(reason)))));
    facts.push(Fact::new("image", or_dash(job.image_id.clone())));
    facts.extend(job.image_name.as_ref().map(|name| Fact::new("image name", Cell::plain(name))));
    if job.grade.is_some() {
        facts.push(Fact::new("captured", time(job.captured_at)));
        facts.push(Fact::new("grade", grade_with_evidence(job)));
    }
    facts.extend(job.volumes.iter().map(|volume| {
        let snapshot = volume.snapshot_id.as_deref().unwrap_or("no snapshot");
        let volume_id = volume.volume_id.as_deref().unwrap_or("instance store");
        let tone = grade_cell(Some(volume.grade)).tone;
        let tone = if volume.grade == "not-captured" { Tone::Warning } else { tone };
        Fact::new("volume", Cell::new(format!("{}, {volume_id}, {snapshot}, {}", volume.device, volume.grade), tone))
    }));
    facts.extend(job.hold.iter().flat_map(crate::job::hold::facts));
    facts
}

/// The events of a job.
pub fn timeline(events: &[Event]) -> Table {
    let columns = vec![
        Column::new("TIME (UTC)", Fit::Whole),
        Column::new("EVENT", Fit::Whole),
        Column::new("DETAIL", Fit::Wraps),
    ];
    let row = |event: &Event| {
        let tone = match event.event.as_str() {
            "failed" | "image-failed" => Tone::Bad,
            "skipped" | "stalled" | "outcome-unknown" | "name-in-use" => Tone::Warning,
            _ => Tone::Plain,
        };
        vec![Cell::plain(second(event.at.0)), Cell::new(&event.event, tone), Cell::plain(detail(event))]
    };
    Table { columns, rows: events.iter().map(row).collect() }
}

/// The ledger writes an intent as `NAME as MODE (CLASS: REASON)`, which reads like something that was done.
fn detail(event: &Event) -> String {
    match event.detail.split_once(" as ") {
        Some((name, mode)) if event.event == "intended" => format!("asks for {name} by {mode}"),
        _ => event.detail.clone(),
    }
}

/// The end of a job id: 32 random bits. Its first parts are the time, which jobs of one fire share.
fn short_id(id: &str) -> &str {
    id.len().checked_sub(8).and_then(|at| id.get(at..)).unwrap_or(id)
}

fn state(job: &Job) -> Cell {
    let tone = match job.state {
        "succeeded" => Tone::Good,
        "failed" => Tone::Bad,
        "skipped" => Tone::Warning,
        _ => Tone::Plain,
    };
    if job.stalled { Cell::new(format!("{}, stalled", job.state), Tone::Warning) } else { Cell::new(job.state, tone) }
}

fn mode(job: &Job) -> Cell {
    match (job.mode.asked, job.mode.done) {
        (Some(asked), Some(done)) if asked != done => Cell::new(format!("{done}, asked {asked}"), Tone::Warning),
        (_, Some(done)) => Cell::plain(done),
        (Some(asked), None) => Cell::new(asked, Tone::Quiet),
        (None, None) => Cell::new("-", Tone::Quiet),
    }
}

fn note(job: &Job) -> Cell {
    if let Some(error) = &job.error {
        return Cell::new(&error.code, Tone::Bad);
    }
    if let Some(reason) = job.skip_reason {
        return Cell::new(reason, Tone::Warning);
    }
    Cell::plain(job.waiting_for.clone().unwrap_or_default())
}

fn skip_text(reason: &str) -> String {
    let text = match reason {
        "terminated" => "the instance is terminated",
        "vanished" => "the instance is not there any more",
        "overlapped" => "an earlier image of the instance was still pending",
        other => other,
    };
    text.to_owned()
}

fn grade_with_evidence(job: &Job) -> Cell {
    let cell = grade_cell(job.grade);
    match job.evidence {
        Some("requested") => Cell::new(format!("{}, since EC2 accepted the reboot", cell.text), cell.tone),
        Some(evidence) => Cell::new(format!("{}, {evidence}", cell.text), cell.tone),
        None => cell,
    }
}
