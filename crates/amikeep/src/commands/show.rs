//! `amikeep show`: one job, told from its error to its first event.

use amikeep_domain::job::Job;
use amikeep_ledger::{HistoryFilter, Ledger, PAGE_ROWS_MAX};
use amikeep_view as view;
use amikeep_view::table::{Cell, Fact, Tone};

use crate::ask::{self, Answer, Block, Question, ShowQuestion, Source};
use crate::cli::ShowArgs;
use crate::ctx::Ctx;
use crate::exit::Exit;

/// Fewer characters name many jobs by chance.
const PART_LEN_MIN: usize = 4;
/// How many of the newest jobs are searched by the end of their ids. The beginnings have an index, the ends do not.
const SEARCHED_MAX: usize = 20_000;

pub(crate) async fn run(args: &ShowArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let records = ctx.load_records()?;
    ask::print(ctx, &records, Question::Show(ShowQuestion { job: args.job.clone() })).await
}

/// Answers it from the ledger.
pub(crate) async fn answer(question: &ShowQuestion, source: &Source<'_>) -> anyhow::Result<Answer> {
    let ledger = source.ledger;
    let jobs = find(ledger, &question.job).await?;
    let [job] = jobs.as_slice() else { return Ok(Answer::failed(not_one(&question.job, &jobs))) };
    let events = ledger.events(job.id).await?.iter().map(view::job::Event::from).collect();
    let holds = ledger.open_holds().await?;
    let left = holds.iter().filter(|(of, _)| *of == job.id).flat_map(|(_, record)| &record.left);
    let may_be_frozen = left.map(view::job::LeftFrozen::from).collect();
    let story = view::job::Story { job: job.into(), events, may_be_frozen };
    Answer::new(source.format, &story, || tell(&story))
}

/// The jobs that `part` names: by the whole id, by its beginning, or by its end.
pub(super) async fn find(ledger: &Ledger, part: &str) -> anyhow::Result<Vec<Job>> {
    if let Ok(id) = part.parse() {
        return Ok(ledger.job(id).await?.into_iter().collect());
    }
    let part = part.to_ascii_lowercase();
    if part.len() < PART_LEN_MIN || !part.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return Ok(Vec::new());
    }
    let found = ledger.find_jobs(&part).await?;
    if found.is_empty() { find_by_end(ledger, &part).await } else { Ok(found) }
}

async fn find_by_end(ledger: &Ledger, end: &str) -> anyhow::Result<Vec<Job>> {
    let filter = HistoryFilter::default();
    let (mut found, mut searched, mut after) = (Vec::new(), 0, None);
    while searched < SEARCHED_MAX {
        let page = ledger.history(&filter, PAGE_ROWS_MAX, after.as_ref()).await?;
        searched += page.rows.len();
        found.extend(page.rows.into_iter().filter(|job| job.id.to_string().ends_with(end)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(found)
}

pub(super) fn not_one(part: &str, jobs: &[Job]) -> String {
    if part.len() < PART_LEN_MIN {
        return format!(
            "error: `{part}` is too short to name a job: give at least {PART_LEN_MIN} characters of the id"
        );
    }
    if jobs.is_empty() {
        return format!("error: there is no job `{part}`; `amikeep history` lists jobs");
    }
    let ids: Vec<_> = jobs.iter().map(|job| format!("  {}", job.id)).collect();
    format!("error: `{part}` names several jobs, give more of the id:\n{}", ids.join("\n"))
}

fn tell(story: &view::job::Story) -> Vec<Block> {
    let job = &story.job;
    let mut blocks = vec![Block::Heading(format!("Job {}", job.id)), Block::Facts(view::job::facts(job))];
    for left in &story.may_be_frozen {
        let facts = vec![
            Fact::new("what", Cell::new(&left.what, Tone::Bad)),
            Fact::new("run", Cell::new(&left.run, Tone::Warning)),
        ];
        blocks.extend([Block::Gap, Block::Heading("Writes may hang".to_owned()), Block::Facts(facts)]);
    }
    if let Some(error) = &job.error {
        let why = vec![
            Fact::new("error", Cell::new(&error.code, Tone::Bad)),
            Fact::new("what", Cell::plain(&error.message)),
            Fact::new("next step", Cell::new(&error.next_step, Tone::Warning)),
        ];
        blocks.extend([Block::Gap, Block::Heading("Why it failed".to_owned()), Block::Facts(why)]);
    }
    let timeline = Block::Table(view::job::timeline(&story.events));
    blocks.extend([Block::Gap, Block::Heading("What happened".to_owned()), timeline]);
    blocks
}
