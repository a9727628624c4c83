//! Requests of operators: written to the ledger by a command, carried out by whoever holds the engine's lock.

mod backup;
mod operator;

use amikeep_cloud::Cloud;
use amikeep_domain::decision::JobError;
use amikeep_domain::id::RequestId;
use amikeep_domain::plan::Scope;
use amikeep_ledger::{Request, RequestKind};
use tracing::warn;

use crate::engine::Engine;
use crate::error::{EngineError, Told};
use crate::requests::backup::Backup;

fn unreadable() -> JobError {
    JobError::new(
        "unreadable",
        "a command of another release wrote it, and the amikeep that runs cannot read it",
        "restart the daemon after an upgrade, and ask again",
    )
}

impl<C: Cloud> Engine<C> {
    /// Takes up what is open, oldest first. One that cannot be carried out must not stop the others.
    pub(crate) async fn take_requests(&mut self) -> Result<(), EngineError> {
        let unreadable = unreadable();
        let refused = self.ctx.ledger.refuse_unreadable_requests(&unreadable, self.ctx.now()).await?;
        if 0 < refused {
            warn!("{refused} request(s) of an operator are refused: {}; {}", unreadable.message, unreadable.next_step);
        }
        for request in self.ctx.ledger.open_requests().await? {
            let in_scope = match self.scope() {
                Scope::Everything => true,
                Scope::Requests(requests) => requests.contains(&request.id),
            };
            if in_scope && !self.state.busy_requests.contains(&request.id) {
                let id = request.id;
                match self.take_request(request).await {
                    Err(EngineError::Ledger(error)) if error.file_error().is_none() => {
                        warn!(request_id = %id, "a request of an operator cannot be carried out: {}", Told(&error));
                    }
                    result => result?,
                }
            }
        }
        Ok(())
    }

    async fn take_request(&mut self, request: Request) -> Result<(), EngineError> {
        match &request.kind {
            RequestKind::Backup { instance, policy, account, consistency } => {
                let backup = Backup { instance, policy, account: account.as_ref(), consistency: *consistency };
                self.take_backup(&request, &backup).await
            }
            RequestKind::Prune { policy, released } => {
                self.take_prune(request.id, policy.as_ref(), released.clone()).await
            }
            RequestKind::Pause { scope, until, reason } => {
                self.take_pause(&request, scope.clone(), *until, reason.clone()).await
            }
            RequestKind::Resume { scope } => self.take_resume(request.id, scope).await,
            RequestKind::Cancel { job } => self.take_cancel(request.id, *job).await,
            RequestKind::Pin { image, account } => self.take_pin(&request, image, account.as_ref(), true).await,
            RequestKind::Unpin { image, account } => self.take_pin(&request, image, account.as_ref(), false).await,
        }
    }

    pub(crate) async fn refuse_after_panic(&mut self, request: RequestId) -> Result<(), EngineError> {
        self.state.busy_requests.remove(&request);
        let error = JobError::new("internal_error", "amikeep failed on this request", "report it with the log");
        Ok(self.ctx.ledger.record_request_refused(request, &error, self.ctx.now()).await?)
    }

    /// Somebody waits at a terminal, and no daemon would try again later.
    pub(super) fn is_manual(&self) -> bool {
        *self.scope() != Scope::Everything
    }
}
