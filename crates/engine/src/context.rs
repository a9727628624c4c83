//! What every task needs: the ledger, EC2, the time, and the configuration under which it was planned.
//!
//! A reload makes another context. A task that is under way keeps its own, so an action that was planned for one account
//! never reaches the connection of another.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use amikeep_cloud::{Action, Cloud, CloudError, CloudErrorKind, is_mutation};
use amikeep_domain::id::{AccountName, DeletionId, JobId};
use amikeep_domain::policy::PolicySet;
use amikeep_ledger::Ledger;
use jiff::{SignedDuration, Timestamp};

use crate::clock::{Clock, Random};
use crate::hold::left::Turns;
use crate::host::Host;
use crate::witness::{NoWitness, Witness};

/// The longest that any call may take, whatever the adapter does. The adapter has shorter limits of its own; this one
/// makes sure that a call which hangs ends.
pub(crate) const CALL_MAX: SignedDuration = SignedDuration::from_secs(90);

/// The configuration in force.
pub(crate) struct InForce<C> {
    pub(crate) policy_set: Arc<PolicySet>,
    pub(crate) clouds: BTreeMap<AccountName, Arc<C>>,
}

pub(crate) struct Context<C> {
    pub(crate) ledger: Ledger,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    /// The machine that holds are had from.
    pub(crate) host: Arc<dyn Host>,
    /// Who is told of what has no row.
    pub(crate) witness: Arc<dyn Witness>,
    /// Whose turn it is with an instance that is held still.
    pub(crate) turns: Arc<Turns>,
    /// When this engine was started: whoever held the lock before sent nothing after it.
    pub(crate) started_at: Timestamp,
    /// Counts the configurations since the start.
    pub(crate) epoch: u64,
    in_force: InForce<C>,
}

impl<C: Cloud> Context<C> {
    pub(crate) fn new(
        ledger: Ledger,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        host: Arc<dyn Host>,
        in_force: InForce<C>,
    ) -> Self {
        let started_at = clock.now();
        let witness = Arc::new(NoWitness);
        Self { ledger, clock, random, host, witness, turns: Arc::default(), started_at, epoch: 0, in_force }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn new_deletion_id(&self) -> DeletionId {
        DeletionId::new(self.now(), self.random.bytes())
    }

    /// EC2's time in the last answer of an account.
    pub(crate) fn answered_at(&self, account: &AccountName) -> Option<Timestamp> {
        self.in_force.clouds.get(account).and_then(|cloud| cloud.answered_at())
    }

    pub(crate) fn new_job_id(&self) -> JobId {
        JobId::new(self.now(), self.random.bytes())
    }

    /// The same, with somebody who is told of what has no row.
    pub(crate) fn watched_by(&self, witness: Arc<dyn Witness>) -> Self {
        let InForce { policy_set, clouds } = &self.in_force;
        let in_force = InForce { policy_set: Arc::clone(policy_set), clouds: clouds.clone() };
        Self { witness, epoch: self.epoch, ..self.replaced(in_force) }
    }

    /// The same under another configuration.
    pub(crate) fn replaced(&self, in_force: InForce<C>) -> Self {
        Self {
            ledger: self.ledger.clone(),
            clock: Arc::clone(&self.clock),
            random: Arc::clone(&self.random),
            host: Arc::clone(&self.host),
            witness: Arc::clone(&self.witness),
            turns: Arc::clone(&self.turns),
            started_at: self.started_at,
            epoch: self.epoch + 1,
            in_force,
        }
    }

    /// The connection of an account.
    pub(crate) fn cloud(&self, account: &AccountName) -> Option<Arc<C>> {
        self.in_force.clouds.get(account).cloned()
    }

    pub(crate) fn policy_set(&self) -> &Arc<PolicySet> {
        &self.in_force.policy_set
    }

    pub(crate) fn visibility_lag(&self, account: &AccountName) -> SignedDuration {
        self.policy_set().accounts.get(account).map_or(SignedDuration::from_mins(5), |it| it.visibility_lag)
    }

    /// One call, ended at [`CALL_MAX`]. A mutation that was ended may have been carried out.
    pub(crate) async fn call<T, F>(
        &self,
        account: &AccountName,
        action: Action,
        ask: impl FnOnce(Arc<C>) -> F,
    ) -> Result<T, CloudError>
    where
        F: Future<Output = Result<T, CloudError>>,
    {
        let error = |kind, code: &str, message: String| CloudError {
            action,
            kind,
            code: code.to_owned(),
            message,
            request_id: None,
        };
        let Some(cloud) = self.in_force.clouds.get(account).cloned() else {
            let message = format!("account {account} is not in the configuration");
            return Err(error(CloudErrorKind::Unavailable, "no-account", message));
        };
        match tokio::time::timeout(CALL_MAX.unsigned_abs(), ask(cloud)).await {
            Ok(result) => result,
            Err(_elapsed) => {
                let kind =
                    if is_mutation(action) { CloudErrorKind::OutcomeUnknown } else { CloudErrorKind::Unavailable };
                Err(error(kind, "timeout", format!("no answer within {} s", CALL_MAX.as_secs())))
            }
        }
    }
}
