//! `amikeep images`: what there is, since when, how good, and why it is kept.

use amikeep_view as view;

use crate::cli::{Format, ImagesArgs};
use crate::commands::known;
use crate::ctx::{Ctx, open_ledger};
use crate::exit::Exit;
use crate::output::heading;

pub(crate) async fn run(args: &ImagesArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let config = ctx.load_config()?.config;
    let ledger = open_ledger(&config.daemon.database).await?;
    let configured = config.policy_set.policies.keys().cloned().collect();
    known::check_policy(&ledger, args.policy.as_ref(), &configured).await?;
    let rows = ledger.images(args.policy.as_ref(), args.instance.as_ref()).await?;
    let images = view::image::judge(&rows, &config.policy_set, ctx.now());
    if ctx.format == Format::Json {
        ctx.output.json(&view::image::Images { images })?;
        return Ok(Exit::Done);
    }
    if images.is_empty() {
        ctx.tell("there is no image; `amikeep history` tells what became of the jobs");
    }
    for (n, series) in view::image::by_series(&images).iter().enumerate() {
        let gap = if n == 0 { "" } else { "\n" };
        ctx.output.line(&format!("{gap}{}", heading(&series.title, ctx.color)))?;
        ctx.output.table(ctx, &series.table)?;
    }
    let reaches = view::image::reaches(&rows, &config.policy_set, ctx.now());
    if !reaches.is_empty() {
        ctx.output.line(&format!("\n{}\n  {}", heading("Reach of the rules", ctx.color), reaches.join("\n  ")))?;
    }
    if images.iter().any(|image| image.verdict == Some("delete")) {
        ctx.output.line("\nEC2 was not asked here: `amikeep prune --dry-run` also says what is in use.")?;
    }
    Ok(Exit::Done)
}
