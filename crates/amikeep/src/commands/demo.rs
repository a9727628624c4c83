//! `amikeep demo`: a week of backup nights without an AWS account.
//!
//! The engine, the ledger, the adapter to AWS and the configuration are those of the daemon; only the clock and EC2 are
//! simulated. It must never touch anything outside its own temporary directory and a loopback port of its own.

mod calendar;
mod fleet;
mod scratch;
mod summary;
mod teller;
mod week;

use std::io::IsTerminal;

use amikeep_ledger::LastStop;

use crate::cli::{DemoArgs, Format};
use crate::commands::demo::calendar::Night;
use crate::commands::demo::scratch::{Files, Scratch};
use crate::commands::demo::teller::{Pace, Teller};
use crate::commands::demo::week::{Step, Week};
use crate::ctx::Ctx;
use crate::exit::{Exit, Told};
use crate::logging::{self, Purpose};
use crate::progress::Bars;
use crate::stop;

/// Shows the week.
pub(crate) async fn run(args: &DemoArgs, ctx: &Ctx) -> anyhow::Result<Exit> {
    let is_watched = ctx.format == Format::Table && std::io::stdout().is_terminal();
    let bars = if is_watched { Bars::new() } else { Bars::hidden() };
    logging::start(Purpose::Story, ctx, &bars);
    let pace = if is_watched && !args.fast { Pace::Watched } else { Pace::Fast };
    let files = if args.keep_files { Files::Keep } else { Files::Remove };
    let stopped = stop::asked()?;
    let scratch = Scratch::new(files)?;
    let mut teller = Teller::new(ctx, bars, pace)?;
    tokio::select! {
        shown = show(&scratch, &mut teller) => shown,
        // The directory goes with `scratch`.
        () = stopped => Err(Told(Exit::Failed).into()),
    }
}

async fn show(scratch: &Scratch, teller: &mut Teller<'_>) -> anyhow::Result<Exit> {
    let mut week = Week::begin(scratch.path(), calendar::begins_at()?).await?;
    teller.introduce().await?;
    for night in calendar::nights()? {
        week = show_night(week, &night, teller).await?;
    }
    summary::tell(&week, teller).await?;
    week.end().await?;
    teller.part(scratch)?;
    Ok(Exit::Done)
}

async fn show_night(mut week: Week, night: &Night, teller: &mut Teller<'_>) -> anyhow::Result<Week> {
    teller.begin_night(night).await?;
    match night.number {
        2 => week.lose_next_reply(fleet::KILLED_AT),
        3 => {
            week.answer_promptly();
            week.remove_tag(fleet::MISTAGGED, fleet::CLASS_TAG)?;
            teller.tag_was_removed().await?;
        }
        _ => {}
    }
    loop {
        let step = week.step(night.ends_at).await?;
        teller.tell_ended(week.ledger(), night, week.now()).await?;
        match step {
            Step::Moved => {}
            Step::Reached => break,
            Step::ReplyLost(job) => {
                teller.reply_was_lost(&job, week.now()).await?;
                let (restarted, last_stop) = week.kill_and_restart().await?;
                week = restarted;
                if let LastStop::Unclean { .. } = last_stop {
                    teller.was_restarted(week.now()).await?;
                }
            }
        }
    }
    teller.tell_let_go(&summary::deleted(&week).await?).await?;
    match night.number {
        2 => {
            let (asked, made) = week.asked_and_made(fleet::KILLED_AT, night);
            teller.nothing_was_taken_twice(asked, made).await?;
        }
        calendar::CLOCK_CHANGE => teller.clock_changed(week.ledger(), night).await?,
        _ => {}
    }
    Ok(week)
}
