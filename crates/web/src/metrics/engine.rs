//! Figures of the process: its loop, its configuration, its calls to AWS, and holds.

use std::fmt;

use crate::metrics::sheet::{Family, Sheet};
use crate::metrics::{Scrape, flag, number, seconds};

pub(super) fn write(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    write_process(scrape, sheet)?;
    write_loop(scrape, sheet)?;
    write_configuration(scrape, sheet)?;
    write_calls(scrape, sheet)?;
    write_holds(scrape, sheet)
}

fn write_process(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    let about = &scrape.board.about;
    let build = Family::new("build_info", "The version that runs, and whose images it makes; always 1.");
    sheet.gauges(&build, [([("version", about.version), ("owner", about.owner.as_str())], 1.0)])?;
    let started = Family::seconds("start_time", "When the daemon was started, since 1970.");
    sheet.gauge(&started, seconds(about.started_at))
}

fn write_loop(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    let stand = scrape.heard.as_ref().map(|(_, stand)| stand);
    let silent =
        Family::seconds("loop_silent", "How long ago the engine's loop last answered; it does so every second.");
    sheet.gauge(&silent, scrape.heard.as_ref().map(|(ago, _)| ago.as_secs_f64()))?;
    let tick = Family::seconds(
        "last_tick_timestamp",
        "When the engine last looked whether anything is to be done, since 1970; every 30 s at least, unless it is stopped.",
    );
    sheet.gauge(&tick, stand.and_then(|it| scrape.seen_at(it.ticked_at?)))?;
    let stopped = Family::new("engine_stopped", "Whether nothing is done since the ledger cannot be written.");
    sheet.gauge(&stopped, stand.map(|it| flag(it.trouble.is_some())))?;
    let paused = Family::new("pauses", "How many pauses of an operator are in force.");
    sheet.gauge(&paused, stand.map(|it| number(it.paused as u64)))
}

fn write_configuration(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    let reloads = &scrape.reloads;
    let policies = Family::new("policies", "How many policies are in force.");
    sheet.gauge(&policies, number(scrape.policy_set.policies.len() as u64))?;
    let good =
        Family::new("config_last_reload_successful", "Whether the configuration was accepted when it was last read.");
    sheet.gauge(&good, flag(!reloads.last_failed))?;
    let at = Family::seconds("config_last_reload_success_timestamp", "When what is in force was read, since 1970.");
    sheet.gauge(&at, scrape.seen_at(reloads.last_success_at))?;
    let failed = Family::new("config_reloads_failed", "Configurations that were refused by a reload.");
    sheet.counters(&failed, [(crate::metrics::sheet::ALONE, reloads.failed)])
}

fn write_calls(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    let calls =
        Family::new("aws_calls", "Requests to AWS, each page and each repeated read counted, by how they ended.");
    sheet.counters(
        &calls,
        scrape.calls.iter().map(|it| {
            let account = ("account_name", it.account_name.as_str());
            ([account, ("action", it.action.as_str()), ("outcome", it.outcome)], it.count)
        }),
    )?;
    let waits = Family::seconds("aws_paced_wait", "How long calls waited for room in a request limit, all together.");
    sheet.counters(
        &waits,
        scrape.waits.iter().map(|it| {
            let place = [("account", it.account.as_str()), ("region", it.region.as_str())];
            ((place, [("action", it.action.as_str())]), it.waited.as_secs_f64())
        }),
    )?;
    let skews = Family::seconds(
        "clock_skew",
        "How far the host's clock is ahead of that of AWS, to a second, as of the last answer.",
    );
    let skew = |it: &crate::board::SkewFigure| it.ahead.as_secs_f64();
    sheet.gauges(&skews, scrape.skews.iter().map(|it| ([("account_name", it.account_name.as_str())], skew(it))))
}

fn write_holds(scrape: &Scrape, sheet: &mut Sheet<'_>) -> fmt::Result {
    let holds = &scrape.board.holds;
    let ended =
        Family::new("holds", "Tries to hold an instance still, by whether it is proved that everything stood still.");
    sheet.kept(&ended, &holds.ended)?;
    let stall = Family::seconds("hold_stall", "The longest for which writes can have stood still in a hold.");
    sheet.kept(&stall, &holds.stall)?;
    let lock = Family::seconds("hold_lock", "How long the application was locked in a hold.");
    sheet.kept(&lock, &holds.lock)
}
