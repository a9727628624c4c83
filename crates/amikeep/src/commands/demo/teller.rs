//! Tells the week while it happens: a line for each job that ended, and a few about what was done to it.
//!
//! Every line about a job is made from the ledger, as a person would find it there. Must never tell what is not there.

mod line;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amikeep_domain::id::{InstanceId, JobId};
use amikeep_domain::job::{Job, JobState};
use amikeep_ledger::{FireFilter, HistoryFilter, Ledger, PAGE_ROWS_MAX};
use amikeep_view::Table;
use amikeep_view::prune::Deletion;
use amikeep_view::table::Tone;
use indicatif::ProgressBar;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::Format;
use crate::commands::demo::calendar::{self, Night};
use crate::commands::demo::fleet;
use crate::commands::demo::scratch::{Files, Scratch};
use crate::commands::demo::week;
use crate::ctx::Ctx;
use crate::exit::{Exit, Told};
use crate::output::{heading, paint};
use crate::progress::Bars;

/// How long the eye needs for a line, and for a new paragraph.
const LINE_FOR: Duration = Duration::from_millis(130);
const PARAGRAPH_FOR: Duration = Duration::from_millis(900);
/// From Monday evening to the noon after the last night.
const HOURS_OF_THE_WEEK: u64 = 7 * 24 - 5;
/// Where the details of a failure begin: below its code.
const DETAIL_INDENT: usize = 19;

/// How fast the story goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As fast as it can be computed.
    Fast,
    /// As fast as it can be read along.
    Watched,
}

/// Tells the story, or is silent where only its result is wanted.
pub(super) struct Teller<'a> {
    pub(super) ctx: &'a Ctx,
    bars: Bars,
    bar: ProgressBar,
    pace: Pace,
    zone: TimeZone,
    names: BTreeMap<InstanceId, &'static str>,
    told: BTreeSet<JobId>,
    /// Images that were told to be gone.
    gone: BTreeSet<String>,
    /// Failures that were told with all that is to say about them.
    known: BTreeSet<(InstanceId, String)>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(ctx: &'a Ctx, bars: Bars, pace: Pace) -> anyhow::Result<Self> {
        let bar = bars.bar(HOURS_OF_THE_WEEK);
        let (zone, names) = (calendar::zone()?, fleet::names());
        Ok(Self {
            ctx,
            bars,
            bar,
            pace,
            zone,
            names,
            told: BTreeSet::new(),
            gone: BTreeSet::new(),
            known: BTreeSet::new(),
        })
    }

    /// What this is, and what is going to be backed up, and how.
    pub(super) async fn introduce(&self) -> anyhow::Result<()> {
        self.say("A week of backup nights. EC2 and the clock are simulated; the rest is the daemon")?;
        self.say("as it is: its engine, its ledger, its requests to EC2 over HTTP.\n")?;
        self.say("Its configuration:\n")?;
        for line in fleet::config_text(".../amikeep.db".as_ref(), "http://127.0.0.1:...").lines() {
            self.say(format!("    {line}").trim_end())?;
        }
        self.pause(PARAGRAPH_FOR * 2).await;
        self.say("\nThe fleet:\n")?;
        for member in fleet::FLEET {
            self.say(&line::member(&member))?;
            self.pause(LINE_FOR).await;
        }
        self.say("\nA grade says how consistent an image really is. From the best: offline (the")?;
        self.say("instance was stopped), clean (it was rebooted for the image), filesystem (its file")?;
        self.say("systems were held still, which was proved), crash (imaged while it ran: what a")?;
        self.say("power cut would leave).")?;
        self.pause(PARAGRAPH_FOR * 2).await;
        Ok(())
    }

    pub(super) async fn begin_night(&self, night: &Night) -> anyhow::Result<()> {
        self.pause(PARAGRAPH_FOR).await;
        let note = if night.number == calendar::CLOCK_CHANGE { ": the clocks go back, 02:30 comes twice" } else { "" };
        let title = format!("Night {}, {}{note}", night.number, night.date.strftime("%A %-d %B"));
        self.say(&format!("\n{}", heading(&title, self.ctx.color)))
    }

    /// Tells of the jobs that have ended since the last time.
    pub(super) async fn tell_ended(&mut self, ledger: &Ledger, night: &Night, now: Timestamp) -> anyhow::Result<()> {
        self.show_time(now);
        let filter =
            HistoryFilter { since: Some(night.begins_at), until: Some(night.ends_at), ..HistoryFilter::default() };
        let mut ended = ledger.history(&filter, PAGE_ROWS_MAX, None).await?.rows;
        ended.retain(|job| job.state.name().is_terminal() && !self.told.contains(&job.id));
        ended.sort_by_key(|job| (job.finished_at(), job.id));
        for job in ended {
            self.tell_job(&job)?;
            self.told.insert(job.id);
            self.pause(LINE_FOR).await;
        }
        Ok(())
    }

    /// Tells of the images that retention has let go since the last time, with the reason that was written down before.
    pub(super) async fn tell_let_go(&mut self, deleted: &[Deletion]) -> anyhow::Result<()> {
        for gone in deleted.iter().filter(|it| !self.gone.contains(&it.what())) {
            let instance = gone.instance_id.parse()?;
            let name = self.name(&instance);
            self.say(&format!("  pruned {name:<8}  {:<9} {:<10} {}  {}", "", "", gone.what(), gone.reason))?;
            self.pause(LINE_FOR).await;
        }
        self.gone.extend(deleted.iter().map(Deletion::what));
        Ok(())
    }

    fn tell_job(&mut self, job: &Job) -> anyhow::Result<()> {
        let at = job.finished_at().unwrap_or(job.created_at);
        let (clock, name) = (self.clock(at, "%H:%M"), self.name(&job.key.instance));
        match &job.state {
            JobState::Succeeded { image, .. } => {
                let (grade, tone) = line::grade(image.grade);
                let grade = self.paint(&format!("{grade:<10}"), tone);
                self.say(&format!(
                    "  {clock}  {name:<8}  {:<9} {grade} {}  {}",
                    line::mode(job),
                    image.image,
                    line::took(job)
                ))
            }
            JobState::Failed { error, .. } => {
                let failed = self.paint("FAILED", Tone::Bad);
                if !self.known.insert((job.key.instance.clone(), error.code.clone())) {
                    return self.say(&format!("  {clock}  {name:<8}  {failed}    {}, as before", error.code));
                }
                self.say(&format!("  {clock}  {name:<8}  {failed}    {}", error.code))?;
                self.say(&line::wrapped(&error.message, DETAIL_INDENT, self.ctx.width))?;
                self.say(&line::wrapped(&format!("next step: {}", error.next_step), DETAIL_INDENT, self.ctx.width))
            }
            _ => self.say(&format!("  {clock}  {name:<8}  {}", job.state.name())),
        }
    }

    /// Before the third night.
    pub(super) async fn tag_was_removed(&self) -> anyhow::Result<()> {
        self.say("  Somebody took the next step of yesterday and removed the tag of reports.")?;
        self.pause(PARAGRAPH_FOR).await;
        Ok(())
    }

    /// The answer of EC2 did not come, and then the daemon dies.
    pub(super) async fn reply_was_lost(&self, job: &Job, now: Timestamp) -> anyhow::Result<()> {
        let (clock, name) = (self.clock(now, "%H:%M:%S"), self.name(&job.key.instance));
        self.say(&format!("  {clock}  CreateImage for {name} was sent; the connection broke, no answer came."))?;
        self.say("            Is there an image or not? Right then the daemon is killed.")?;
        self.pause(PARAGRAPH_FOR).await;
        Ok(())
    }

    /// Another daemon goes on.
    pub(super) async fn was_restarted(&self, now: Timestamp) -> anyhow::Result<()> {
        let clock = self.clock(now, "%H:%M:%S");
        self.say(&format!("  {clock}  It is started again, finds the open job in its ledger, and looks for"))?;
        self.say("            the image by its name before it asks EC2 for anything.")?;
        self.pause(PARAGRAPH_FOR).await;
        Ok(())
    }

    /// How often EC2 was asked for the image of the lost answer, and how many it made.
    pub(super) async fn nothing_was_taken_twice(&self, asked: usize, made: usize) -> anyhow::Result<()> {
        let instance = fleet::KILLED_AT.parse()?;
        let name = self.name(&instance);
        self.say(&format!("  For {name} EC2 was asked {}, and made {}.", line::times(asked), line::images(made)))?;
        self.pause(PARAGRAPH_FOR).await;
        Ok(())
    }

    /// After the night in which 02:30 comes twice.
    pub(super) async fn clock_changed(&self, ledger: &Ledger, night: &Night) -> anyhow::Result<()> {
        let policy = Some(fleet::DATABASES.parse()?);
        let filter = FireFilter { policy, since: Some(night.begins_at), until: Some(night.ends_at) };
        let fires = ledger.fires(&filter, PAGE_ROWS_MAX, None).await?.rows;
        let at: Vec<String> = fires.iter().map(|fire| self.clock(fire.scheduled_at, "%H:%M %Z (UTC%:z)")).collect();
        self.say(&format!("  Fires of {} that night: {}, at {}.", fleet::DATABASES, fires.len(), at.join(" and ")))?;
        self.pause(PARAGRAPH_FOR).await;
        Ok(())
    }

    /// What to do next.
    pub(super) fn part(&self, scratch: &Scratch) -> anyhow::Result<()> {
        self.say("\nTo go on with a file of your own (config/minimal.toml is the smallest):\n")?;
        self.say("    amikeep --config FILE check            what is wrong with it, offline")?;
        self.say("    amikeep --config FILE plan             what it would do in the next 24 hours")?;
        self.say("    amikeep --config FILE check --online   what AWS lets it do")?;
        if scratch.files() == Files::Keep {
            let config = week::config_path(scratch.path());
            self.say(&format!(
                "\nThe files of this week are kept. The simulated EC2 is gone, so what only reads them works:\n\n    \
                 export AMIKEEP_CONFIG={}\n    amikeep history, amikeep show JOB, amikeep images, amikeep plan",
                config.display()
            ))?;
        }
        Ok(())
    }

    /// Writes a line of the story.
    pub(super) fn say(&self, text: &str) -> anyhow::Result<()> {
        if self.ctx.format == Format::Json {
            return Ok(());
        }
        self.bars.suspend(|| self.ctx.output.line(text))?;
        // Nobody listens any more, so there is nothing to go on for.
        if self.ctx.output.is_closed() { Err(Told(Exit::Done).into()) } else { Ok(()) }
    }

    /// The bar is not in the way of what is printed last.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Writes a detail of what was said before.
    pub(super) fn detail(&self, text: &str) -> anyhow::Result<()> {
        self.say(&line::wrapped(text, 8, self.ctx.width))
    }

    /// Prints a table as any command does.
    pub(super) fn table(&self, table: &Table) -> anyhow::Result<()> {
        self.ctx.output.table(self.ctx, table)
    }

    /// The name of an instance.
    pub(super) fn name<'i>(&self, instance: &'i InstanceId) -> &'i str {
        self.names.get(instance).copied().unwrap_or_else(|| instance.as_str())
    }

    fn paint(&self, text: &str, tone: Tone) -> String {
        paint(text, tone, self.ctx.color)
    }

    fn clock(&self, at: Timestamp, format: &str) -> String {
        at.to_zoned(self.zone.clone()).strftime(format).to_string()
    }

    fn show_time(&self, now: Timestamp) {
        let since = calendar::begins_at().map_or(0, |begin| now.duration_since(begin).as_hours());
        self.bar.set_position(u64::try_from(since).unwrap_or(0));
        self.bar.set_message(self.clock(now, "%a %-d %b %H:%M:%S"));
    }

    async fn pause(&self, length: Duration) {
        if self.pace == Pace::Watched {
            tokio::time::sleep(length).await;
        }
    }
}
