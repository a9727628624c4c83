//! `amikeep images`: what there is, since when, how good, and why it is kept.

use amikeep_view as view;

use crate::ask::{self, Answer, Block, ImagesQuestion, Question, Source};
use crate::cli::{Format, ImagesArgs};
use crate::commands::known;
use crate::ctx::{Ctx, Records};
use crate::exit::{Exit, UsageError};

pub(crate) async fn run(args: &ImagesArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let records = Records::new(ctx.load_config()?.config);
    let question = ImagesQuestion { policy: args.policy.clone(), instance: args.instance.clone() };
    ask::print(ctx, &records, Question::Images(question)).await
}

/// Answers it from the ledger and the configuration.
pub(crate) async fn answer(question: &ImagesQuestion, source: &Source<'_>) -> anyhow::Result<Answer> {
    let (ledger, now) = (source.ledger, source.now);
    let Some(config) = source.config else {
        let text =
            "the daemon cannot read its configuration, without which no image can be judged; see `amikeep check`";
        return Err(UsageError(text.to_owned()).into());
    };
    let set = &config.policy_set;
    known::check_policy(ledger, question.policy.as_ref(), &set.policies).await?;
    let rows = ledger.images(question.policy.as_ref(), question.instance.as_ref()).await?;
    let pauses = ledger.pauses_in_force(now).await?;
    let images = view::image::Images { images: view::image::judge(&rows, set, &pauses, now) };
    let reaches = view::image::reaches(&rows, set, now);
    let mut answer = Answer::new(source.format, &images, || blocks(&images.images, &reaches))?;
    if source.format == Format::Table {
        if images.images.is_empty() {
            answer.notes.push("there is no image; `amikeep history` tells what became of the jobs".to_owned());
        }
        answer.notes.extend(view::pause::notes(&pauses, question.policy.as_ref(), question.instance.as_ref()));
    }
    Ok(answer)
}

fn blocks(images: &[view::image::Image], reaches: &[String]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for series in view::image::by_series(images) {
        if !blocks.is_empty() {
            blocks.push(Block::Gap);
        }
        blocks.extend([Block::Heading(series.title), Block::Table(series.table)]);
    }
    if !reaches.is_empty() {
        let reach = Block::Text(format!("  {}", reaches.join("\n  ")));
        blocks.extend([Block::Gap, Block::Heading("Reach of the rules".to_owned()), reach]);
    }
    if images.iter().any(|image| image.verdict == Some("delete")) {
        let text = "EC2 was not asked here: `amikeep prune --dry-run` also says what is in use.";
        blocks.extend([Block::Gap, Block::Text(text.to_owned())]);
    }
    blocks
}
