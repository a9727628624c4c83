//! What each policy that matches would do.

use amikeep_domain::class::Class;
use amikeep_domain::decision::{Decision, Facts, Question, decide, resolve_class};
use amikeep_domain::id::AccountName;
use amikeep_domain::instance::CLASS_TAG;
use amikeep_domain::policy::{Enabled, Policy, StartWindow, saturating_add};
use jiff::Timestamp;

use crate::explain::{Answer, Inputs, LastSuccess, NextFire, Outcome};
use crate::job::{Job, Mode};
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
    let now = StartWindow { start_at: inputs.now, start_by: saturating_add(inputs.now, policy.start_within) };
    let next = next_fires.first().map(|fire| fire.outcome.clone());
    let outcome = next.unwrap_or_else(|| outcome(inputs, policy, class, now));
    let last_success = inputs.last_success.get(&(policy.name.clone(), account_name.clone()));
    Answer {
        policy: policy.name.to_string(),
        account_name: account_name.to_string(),
        enabled: policy.enabled == Enabled::Yes,
        class: class.map(|class| class.name.to_string()),
        class_from: if instance.tags.contains_key(CLASS_TAG) { "tag" } else { "policy" },
        class_why: class.map(|class| class.why.clone()),
        outcome,
        keep: policy.keep.to_string(),
        next_fires,
        last_success: last_success.map(|job| LastSuccess::from(&Job::from(job))),
    }
}

fn next_fires(inputs: &Inputs<'_>, policy: &Policy, class: Option<&Class>) -> Vec<NextFire> {
    if policy.enabled == Enabled::No {
        return Vec::new();
    }
    let fires = policy.schedule.between(inputs.now, Timestamp::MAX).take(NEXT_FIRES_MAX);
    let fire = |scheduled_at| {
        let window = policy.start_window(&inputs.found.instance.id, scheduled_at);
        NextFire {
            scheduled_at: Time(scheduled_at),
            start_at: Time(window.start_at),
            start_by: Time(window.start_by),
            outcome: outcome(inputs, policy, class, window),
        }
    };
    fires.map(fire).collect()
}

/// What would be decided at the start of the window, if the instance were then as it is now.
fn outcome(inputs: &Inputs<'_>, policy: &Policy, class: Option<&Class>, window: StartWindow) -> Outcome {
    let decision = decide(&Question {
        policy,
        classes: &inputs.policy_set.classes,
        facts: Facts::Seen(&inputs.found.instance),
        window,
        asked: None,
        now: window.start_at,
    });
    let asked = class.map(|class| class.consistency.as_str());
    let nothing_done = |decision, reason: String| Outcome {
        decision,
        mode: Mode { asked, done: None, reason: Some(reason.clone()) },
        expected_grade: None,
        reason,
        wait_until: None,
        error: None,
    };
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

impl From<&Job> for LastSuccess {
    fn from(job: &Job) -> Self {
        Self { job_id: job.id.clone(), image_id: job.image_id.clone(), captured_at: job.captured_at, grade: job.grade }
    }
}
