//! What a person sees of an explanation.

use crate::explain::{Answer, Instance, NextFire, Outcome};
use crate::table::{Cell, Column, Fact, Fit, Table, Tone, grade_cell};
use crate::text::minute;

/// What the instance is.
pub fn instance_facts(instance: &Instance) -> Vec<Fact> {
    let tone = if instance.state == "running" { Tone::Good } else { Tone::Warning };
    let place = format!("{} ({}, {})", instance.account_name, instance.account, instance.region);
    let volumes: Vec<_> = instance.volumes.iter().map(|it| format!("{} {}", it.device, it.volume_id)).collect();
    let volumes = if volumes.is_empty() { Cell::new("none", Tone::Warning) } else { Cell::plain(volumes.join(", ")) };
    let mut facts = vec![
        Fact::new("name", Cell::or_dash(instance.name.as_deref())),
        Fact::new("account", Cell::plain(place)),
        Fact::new("state", Cell::new(instance.state, tone)),
        Fact::new("volumes", volumes),
    ];
    if let Some(disks) = instance.instance_store_disks.filter(|disks| 0 < *disks) {
        let text = format!("{disks} instance-store disks, which no image captures");
        facts.push(Fact::new("not captured", Cell::new(text, Tone::Warning)));
    }
    let group = instance.auto_scaling_group.as_ref();
    facts.extend(group.map(|group| Fact::new("auto scaling", Cell::plain(format!("member of {group}")))));
    facts
}

/// How one policy backs it up.
pub fn answer_facts(answer: &Answer) -> Vec<Fact> {
    let outcome = &answer.outcome;
    let class = match (&answer.class, answer.class_from) {
        (Some(class), "tag") => Cell::plain(format!("{class}, by the instance's own tag")),
        (Some(class), _) => Cell::plain(format!("{class}, by the policy")),
        (None, _) => Cell::new("refused, see below", Tone::Bad),
    };
    let mut facts = vec![Fact::new("class", class)];
    if !answer.enabled {
        facts.insert(0, Fact::new("enabled", Cell::new("no: it does not fire", Tone::Bad)));
    }
    let paused = answer.paused.as_ref().map(|pause| Fact::new("paused", Cell::new(pause.note(), Tone::Warning)));
    facts.extend(paused);
    facts.push(Fact::new("mode", Cell::or_dash(outcome.mode.done.or(outcome.mode.asked))));
    facts.push(Fact::new("expected grade", grade_cell(outcome.expected_grade)));
    facts.push(Fact::new("decision", decision_cell(outcome)));
    facts.push(Fact::new("because", Cell::plain(because(answer))));
    let next_step = outcome.error.as_ref().map(|error| Fact::new("next step", Cell::plain(&error.next_step)));
    facts.extend(next_step);
    facts.push(Fact::new("keeps", Cell::plain(&answer.keep)));
    facts.push(Fact::new("last success", last_success(answer)));
    facts
}

/// The next fires of a policy.
pub fn next_fires(fires: &[NextFire]) -> Table {
    let columns = vec![
        Column::new("NEXT FIRES (UTC)", Fit::Whole),
        Column::new("STARTS (UTC)", Fit::Whole),
        Column::new("DECISION", Fit::Whole),
        Column::new("MODE", Fit::Whole),
        Column::new("BECAUSE", Fit::OptionalWraps(1)),
    ];
    let row = |fire: &NextFire| {
        vec![
            Cell::plain(minute(fire.scheduled_at.0)),
            Cell::plain(minute(fire.start_at.0)),
            decision_cell(&fire.outcome),
            Cell::or_dash(fire.outcome.mode.done),
            Cell::plain(&fire.outcome.reason),
        ]
    };
    Table { columns, rows: fires.iter().map(row).collect() }
}

fn decision_cell(outcome: &Outcome) -> Cell {
    let tone = match outcome.decision {
        "capture" => Tone::Good,
        "fail" => Tone::Bad,
        _ => Tone::Warning,
    };
    match outcome.wait_until {
        Some(at) => Cell::new(format!("wait until {}", minute(at.0)), tone),
        None => Cell::new(outcome.decision, tone),
    }
}

/// A class by itself explains little; why it calls for its mode does.
fn because(answer: &Answer) -> String {
    let is_class = answer.class.as_ref().is_some_and(|class| answer.outcome.reason == format!("class {class}"));
    match answer.class_why.as_deref().filter(|why| is_class && !why.is_empty()) {
        Some(why) => format!("{}: {why}", answer.outcome.reason),
        None => answer.outcome.reason.clone(),
    }
}

fn last_success(answer: &Answer) -> Cell {
    let Some(success) = &answer.last_success else { return Cell::new("none in the ledger", Tone::Bad) };
    let at = success.captured_at.map(|at| minute(at.0)).unwrap_or_default();
    let image = success.image_id.as_deref().unwrap_or("-");
    let grade = success.grade.as_deref().unwrap_or("-");
    Cell::plain(format!("{at} UTC, {image}, grade {grade}"))
}
