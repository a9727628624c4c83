//! What holds came to since the start: how many were proved, and how long writes and the application stood still.

use amikeep_domain::freeze::{Application, HoldOutcome, HoldSeen};
use amikeep_domain::id::FreezeName;
use amikeep_domain::policy::PolicySet;
use jiff::SignedDuration;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

/// In seconds. A lock takes milliseconds, a hold with `CreateSnapshots` a round trip to EC2 or two, one with `CreateImage`
/// seconds; the budget is 10 s unless told otherwise, and 45 s through Systems Manager.
const BUCKETS: [f64; 14] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0];

/// Whose hold it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Recipe {
    freeze: String,
    application: &'static str,
}

/// The same, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Ended {
    freeze: String,
    application: &'static str,
    outcome: &'static str,
}

/// The figures of all holds.
#[derive(Debug)]
pub(crate) struct Holds {
    pub(crate) ended: Family<Ended, Counter>,
    pub(crate) stall: Family<Recipe, Histogram, fn() -> Histogram>,
    pub(crate) lock: Family<Recipe, Histogram, fn() -> Histogram>,
}

impl Default for Holds {
    fn default() -> Self {
        let buckets: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            ended: Family::default(),
            stall: Family::new_with_constructor(buckets),
            lock: Family::new_with_constructor(buckets),
        }
    }
}

impl Holds {
    /// What is configured is there before its first hold, so that the first one is an increase.
    pub(crate) fn expect(&self, policy_set: &PolicySet) {
        for freeze in policy_set.freezes.values() {
            let recipe = recipe(&freeze.name, freeze.application);
            drop(self.stall.get_or_create(&recipe));
            if freeze.application != Application::None {
                drop(self.lock.get_or_create(&recipe));
            }
            for outcome in HoldOutcome::ALL {
                drop(self.ended.get_or_create(&ended(&recipe, outcome)));
            }
        }
    }

    pub(crate) fn add(&self, seen: &HoldSeen) {
        let recipe = recipe(&seen.freeze, seen.application);
        self.ended.get_or_create(&ended(&recipe, seen.outcome)).inc();
        if let Some(stall) = seen.stall {
            self.stall.get_or_create(&recipe).observe(seconds(stall));
        }
        if let Some(locked) = seen.locked {
            self.lock.get_or_create(&recipe).observe(seconds(locked));
        }
    }
}

fn recipe(freeze: &FreezeName, application: Application) -> Recipe {
    Recipe { freeze: freeze.to_string(), application: application.as_str() }
}

fn ended(recipe: &Recipe, outcome: HoldOutcome) -> Ended {
    Ended { freeze: recipe.freeze.clone(), application: recipe.application, outcome: outcome.as_str() }
}

fn seconds(duration: SignedDuration) -> f64 {
    duration.as_secs_f64()
}
