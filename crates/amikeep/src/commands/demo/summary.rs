//! The end of the week: the last night, what failed and what to do, what is kept and why, and the figures.

use std::collections::BTreeMap;

use amikeep_domain::id::InstanceId;
use amikeep_domain::job::{Job, JobState};
use amikeep_ec2_sim::{Action, World};
use amikeep_ledger::{FireFilter, HistoryFilter, PAGE_ROWS_MAX};
use amikeep_view as view;
use serde::Serialize;

use crate::cli::Format;
use crate::commands::demo::fleet;
use crate::commands::demo::teller::Teller;
use crate::commands::demo::week::Week;

/// More prunes than a week has.
const PRUNES_MAX: u32 = 1_000;

/// The whole week, for programs.
#[derive(Debug, Serialize)]
struct Answer {
    jobs: Vec<view::job::Job>,
    images: Vec<view::image::Image>,
    deleted: Vec<view::prune::Deletion>,
    fires: Vec<view::fire::Fire>,
    totals: Totals,
}

/// The figures of the week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Totals {
    jobs: usize,
    succeeded: usize,
    failed: usize,
    /// Images by grade.
    grades: BTreeMap<&'static str, usize>,
    /// Restarts that EC2 made for images, by its own account.
    reboots: usize,
    /// Images that are in EC2 now, by its own account.
    images_in_ec2: usize,
    /// Images that retention let go.
    deleted: usize,
    /// Calls to EC2 and STS.
    calls: usize,
    /// How many of them asked for an image.
    create_image_calls: usize,
}

/// Tells it.
pub(super) async fn tell(week: &Week, teller: &Teller<'_>) -> anyhow::Result<()> {
    teller.finish();
    let jobs = week.ledger().history(&HistoryFilter::default(), PAGE_ROWS_MAX, None).await?.rows;
    let fires = week.ledger().fires(&FireFilter::default(), PAGE_ROWS_MAX, None).await?.rows;
    let rows = week.ledger().images(None, None).await?;
    let images = view::image::judge(&rows, &week.config.policy_set, &[], week.now());
    let deleted = deleted(week).await?;
    let totals = Totals::new(&jobs, deleted.len(), &week.world);
    if teller.ctx.format == Format::Json {
        let answer = Answer {
            jobs: jobs.iter().map(view::job::Job::from).collect(),
            images,
            deleted,
            fires: fires.iter().map(view::fire::Fire::from).collect(),
            totals,
        };
        return Ok(teller.ctx.output.json(&answer)?);
    }
    last_night(&jobs, teller)?;
    failures(&jobs, teller)?;
    kept(&images, teller)?;
    figures(&totals, teller)
}

fn last_night(jobs: &[Job], teller: &Teller<'_>) -> anyhow::Result<()> {
    let Some(last) = jobs.iter().map(|job| job.key.scheduled_at).max() else { return Ok(()) };
    let is_last = |job: &&Job| last.duration_since(job.key.scheduled_at).as_hours() < 12;
    let last_night: Vec<view::job::Job> = jobs.iter().filter(is_last).map(view::job::Job::from).collect();
    teller.say("\nThe last night, as `amikeep history` shows it:\n")?;
    teller.table(&view::job::table(&last_night))
}

/// Each failure once, however often it came.
fn failures(jobs: &[Job], teller: &Teller<'_>) -> anyhow::Result<()> {
    let mut failures: BTreeMap<(&InstanceId, &str), (usize, &amikeep_domain::decision::JobError)> = BTreeMap::new();
    for job in jobs {
        if let JobState::Failed { error, .. } = &job.state {
            failures.entry((&job.key.instance, &error.code)).or_insert((0, error)).0 += 1;
        }
    }
    teller.say("\nWhat failed in this week, and what to do about it:\n")?;
    for ((instance, code), (nights, error)) in failures {
        let name = teller.name(instance);
        let nights = if nights == 1 { "1 night".to_owned() } else { format!("{nights} nights") };
        teller.say(&format!("    {name}, {nights}: {code}"))?;
        teller.detail(&error.message)?;
        teller.detail(&format!("next step: {}", error.next_step))?;
    }
    Ok(())
}

/// Every image that is left, with the rules that keep it.
fn kept(images: &[view::image::Image], teller: &Teller<'_>) -> anyhow::Result<()> {
    let mut series: BTreeMap<&str, Vec<view::image::Image>> = BTreeMap::new();
    for image in images {
        series.entry(&image.instance_id).or_default().push(image.clone());
    }
    teller.say("\nWhat `keep` keeps, and why:")?;
    for member in fleet::FLEET {
        for shown in series.get(member.id).into_iter().flat_map(|images| view::image::by_series(images)) {
            teller.say(&format!("\n{} is {}", member.name, shown.title))?;
            teller.table(&shown.table)?;
        }
    }
    Ok(())
}

/// What retention deleted during the week, by the daemon's own prunes.
pub(super) async fn deleted(week: &Week) -> anyhow::Result<Vec<view::prune::Deletion>> {
    let mut deletions = Vec::new();
    for prune in week.ledger().prunes(PRUNES_MAX).await? {
        deletions.extend(week.ledger().deletions_of_prune(prune.id).await?);
    }
    let (done, open) = view::prune::split(&deletions);
    Ok(done.into_iter().chain(open).rev().collect())
}

fn figures(totals: &Totals, teller: &Teller<'_>) -> anyhow::Result<()> {
    let grades: Vec<String> = totals.grades.iter().map(|(grade, n)| format!("{n} {grade}")).collect();
    teller.say("\nThe week in figures:\n")?;
    teller.say(&format!("    jobs     {}: {} succeeded, {} failed", totals.jobs, totals.succeeded, totals.failed))?;
    teller.say(&format!("    grades   {}", grades.join(", ")))?;
    teller.say(&format!("    images   {} in EC2, {} let go by retention", totals.images_in_ec2, totals.deleted))?;
    teller.say(&format!("    reboots  {}", totals.reboots))?;
    teller.say(&format!("    calls    {} to EC2, {} of them CreateImage", totals.calls, totals.create_image_calls))
}

impl Totals {
    fn new(jobs: &[Job], deleted: usize, world: &World) -> Self {
        let mut grades = BTreeMap::new();
        for job in jobs {
            if let JobState::Succeeded { image, .. } = &job.state {
                *grades.entry(image.grade.as_str()).or_default() += 1;
            }
        }
        let ids = fleet::names().into_keys();
        Self {
            jobs: jobs.len(),
            succeeded: grades.values().sum(),
            failed: jobs.iter().filter(|job| matches!(job.state, JobState::Failed { .. })).count(),
            grades,
            reboots: ids.map(|id| world.reboots(&id).len()).sum(),
            images_in_ec2: world.images().iter().filter(|image| image.deregistered_at.is_none()).count(),
            deleted,
            calls: world.calls().len(),
            create_image_calls: world.count(Action::CreateImage),
        }
    }
}
