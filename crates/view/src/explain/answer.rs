//! What each policy that matches would do.

use std::borrow::Cow;

use amikeep_domain::class::Class;
use amikeep_domain::decision::{Decision, Facts, Question, decide, resolve_class};
use amikeep_domain::id::AccountName;
use amikeep_domain::instance::CLASS_TAG;
use amikeep_domain::job::Job as DomainJob;
use amikeep_domain::pause::pause_at;
use amikeep_domain::policy::{Enabled, Policy, StartWindow, saturating_add};
use jiff::Timestamp;

use crate::explain::{Answer, Inputs, LastSuccess, NextFire, Outcome};
use crate::job::{Job, Mode};
use crate::pause::Pause;
use crate::text::Time;

/// Enough to see a reboot window pass, and few enough to read.
const NEXT_FIRES_MAX: usize = 3;

/// One answer for each policy that matches and each account name under which it finds the instance.
pub(super) fn answers(inputs: &Inputs<'_>) -> Vec<Answer> {
    let found = inputs.found;
    let mut answers = Vec::new();
    for policy in inputs.policy_set.policies.values().filter(|policy| policy.select.matches(&found.instance)) {
        let names = found.account_names.iter().filter(|name| policy.accounts.contains(name));
        answers.extend(names.map(|name| answer(inputs, policy, name)));
    }
    answers
}

fn answer(inputs: &Inputs<'_>, policy: &Policy, account_name: &AccountName) -> Answer {
    let instance = &inputs.found.instance;
    let class = resolve_class(policy, &inputs.policy_set.classes, instance).ok();
    let next_fires = next_fires(inputs, policy, class);
    let paused = pause_at(inputs.pauses, &policy.name, Some(&instance.id), inputs.now);
    let now = StartWindow { start_at: inputs.now, start_by: saturating_add(inputs.now, policy.start_within) };
    let next = upcoming(inputs, policy).next();
    let next = next.map_or(now, |scheduled_at| policy.start_window(&instance.id, scheduled_at));
    let outcome = outcome(inputs, policy, class, next);
    let last_success = inputs.last_success.get(&(policy.name.clone(), account_name.clone()));
    Answer {
        policy: policy.name.to_string(),
        account_name: account_name.to_string(),
        enabled: policy.enabled == Enabled::Yes,
        class: class.map(|class| class.name.to_string()),
        class_from: if instance.tags.contains_key(CLASS_TAG) { "tag" } else { "policy" },
        class_why: class.map(|class| class.why.clone()),
        paused: paused.map(Pause::from),
        outcome,
        keep: policy.keep.to_string(),
        next_fires,
        last_success: last_success.cloned(),
    }
}

fn next_fires(inputs: &Inputs<'_>, policy: &Policy, class: Option<&Class>) -> Vec<NextFire> {
    let instance = &inputs.found.instance.id;
    let fire = |scheduled_at| {
        let window = policy.start_window(instance, scheduled_at);
        // As the daemon judges it: by the nominal time, or because it would start in a pause.
        let pause = |at| pause_at(inputs.pauses, &policy.name, Some(instance), at);
        let pause = pause(scheduled_at).or_else(|| pause(window.start_at));
        NextFire {
            scheduled_at: Time(scheduled_at),
            start_at: Time(window.start_at),
            start_by: Time(window.start_by),
            paused: pause.map(Pause::from),
            outcome: match pause {
                Some(pause) => nothing_done(class, "skip", pause.to_string()),
                None => outcome(inputs, policy, class, window),
            },
        }
    };
    upcoming(inputs, policy).take(NEXT_FIRES_MAX).map(fire).collect()
}

/// The nominal times to come. A policy that is switched off has none.
fn upcoming<'a>(inputs: &Inputs<'_>, policy: &'a Policy) -> impl Iterator<Item = Timestamp> + use<'a> {
    let until = if policy.enabled == Enabled::No { inputs.now } else { Timestamp::MAX };
    policy.schedule.between(inputs.now, until)
}

fn nothing_done(class: Option<&Class>, decision: &'static str, reason: String) -> Outcome {
    Outcome {
        decision,
        mode: Mode { asked: class.map(|class| class.consistency.as_str()), done: None, reason: Some(reason.clone()) },
        expected_grade: None,
        reason,
        wait_until: None,
        error: None,
    }
}

/// What would be decided at the start of the window, if the instance were then as it is now.
fn outcome(inputs: &Inputs<'_>, policy: &Policy, class: Option<&Class>, window: StartWindow) -> Outcome {
    let decision = decide(&Question {
        policy,
        classes: &inputs.policy_set.classes,
        freezes: &inputs.policy_set.freezes,
        facts: Facts::Seen(&inputs.found.instance),
        window,
        asked: None,
        now: window.start_at,
    });
    let nothing_done = |decision, reason| nothing_done(class, decision, reason);
    match decision {
        Decision::Capture(capture) => {
            let reason = capture.reason.to_string();
            Outcome {
                decision: "capture",
                mode: Mode {
                    asked: Some(capture.asked.as_str()),
                    done: Some(capture.mode.as_str()),
                    reason: Some(reason.clone()),
                },
                expected_grade: Some(capture.expected.as_str()),
                reason,
                wait_until: None,
                error: None,
            }
        }
        Decision::Wait { until, reason } => {
            Outcome { wait_until: until.map(Time), ..nothing_done("wait", reason.to_string()) }
        }
        Decision::Skip(reason) => nothing_done("skip", format!("the instance is {}", reason.as_str())),
        Decision::Fail(error) => {
            Outcome { error: Some((&error).into()), ..nothing_done("fail", error.message.clone()) }
        }
    }
}

impl From<&DomainJob> for LastSuccess {
    fn from(job: &DomainJob) -> Self {
        let Job { id, image_id, captured_at, grade, .. } = Job::from(job);
        Self { job_id: id, image_id, captured_at, grade: grade.map(Cow::Borrowed) }
    }
}
