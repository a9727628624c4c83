//! What the daemon shows over HTTP: it tells the board, and sees to it that somebody answers at `listen`.
//!
//! It must never keep the engine waiting, nor decide anything: what is shown is what the engine, the pacers and the
//! connections say of themselves.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use amikeep_cloud_aws::CallEnd;
use amikeep_config::Listen;
use amikeep_domain::freeze::HoldSeen;
use amikeep_domain::id::Owner;
use amikeep_domain::policy::PolicySet;
use amikeep_engine::{Beat, Clock, PruneSeen, SystemClock, Witness};
use amikeep_ledger::Ledger;
use amikeep_web::{About, Board, CallFigure, HeldBack, Serving, SkewFigure, Sources, Stand, Trouble, WaitFigure};
use tracing::error;

use crate::wiring::{Aws, Clouds};

/// The board, and who answers from it.
#[derive(Debug)]
pub(super) struct Web {
    board: Arc<Board>,
    process: Arc<Process>,
    database: PathBuf,
    /// Nobody where `listen` is off, or where the ledger could not be opened a second time.
    answering: Option<Answering>,
    listen: Listen,
    silence: Arc<Silence>,
}

/// Who answers, and the handle on the ledger that it reads.
#[derive(Debug)]
struct Answering {
    serving: Serving,
    ledger: Ledger,
}

/// Why nobody answers, whoever is to answer at the moment, for the line of status.
#[derive(Debug, Default)]
pub(super) struct Silence(Mutex<Option<Trouble>>);

impl Silence {
    /// `None` if somebody does, or nobody should.
    pub(super) fn why(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.now()
    }

    fn follow(&self, trouble: Option<Trouble>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

impl Web {
    /// Of a daemon that has started its engine with these policies.
    pub(super) fn new(
        owner: Owner,
        policy_set: Arc<PolicySet>,
        aws: Arc<Aws>,
        clouds: Clouds,
        database: &Path,
    ) -> Self {
        let process = Arc::new(Process { aws, clouds: Mutex::new(clouds) });
        let about = About { version: env!("CARGO_PKG_VERSION"), owner, started_at: SystemClock.now() };
        let board = Arc::new(Board::new(about, policy_set, Box::new(Shared(Arc::clone(&process)))));
        let (answering, silence) = (None, Arc::default());
        Self { board, process, database: database.to_owned(), answering, listen: Listen::Off, silence }
    }

    /// Who is to be told of holds and prunes.
    pub(super) fn witness(&self) -> Arc<dyn Witness> {
        Arc::new(Told(Arc::clone(&self.board)))
    }

    /// Where the loop tells that it lives.
    pub(super) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Why nobody answers.
    pub(super) fn silence(&self) -> Arc<Silence> {
        Arc::clone(&self.silence)
    }

    /// Another configuration is in force.
    pub(super) async fn reloaded(&mut self, policy_set: Arc<PolicySet>, clouds: Clouds, listen: Listen) {
        *self.process.clouds() = clouds;
        self.board.reloaded(policy_set);
        self.listen(listen).await;
    }

    /// A configuration was refused.
    pub(super) fn reload_failed(&self) {
        self.board.reload_failed();
    }

    /// Answers there from now on, and nowhere else.
    pub(super) async fn listen(&mut self, listen: Listen) {
        if self.listen == listen && (self.answering.is_some() || listen == Listen::Off) {
            return;
        }
        self.stop().await;
        self.listen = listen;
        let Listen::On(address) = listen else { return };
        match Ledger::open_read_only(&self.database).await {
            Ok(ledger) => {
                let serving = Serving::start(address, Arc::clone(&self.board), ledger.clone()).await;
                self.silence.follow(Some(serving.trouble()));
                self.answering = Some(Answering { serving, ledger });
            }
            Err(error) => error!("there are no metrics, since the ledger cannot be read for them: {error}"),
        }
    }

    /// Ends it, whoever still waits for an answer, and closes its handle on the ledger: a reader that is left keeps the
    /// last writer from putting everything into the one file that is copied as a backup.
    pub(super) async fn stop(&mut self) {
        self.silence.follow(None);
        if let Some(Answering { serving, ledger }) = self.answering.take() {
            serving.end().await;
            ledger.close().await;
        }
    }
}

/// How the loop stands, for the board.
pub(super) fn stand(beat: &Beat) -> Stand {
    Stand {
        paused: beat.paused,
        trouble: beat.trouble.clone(),
        ledger_backup_failed: beat.ledger_backup.is_some(),
        left_frozen: beat.left_frozen.clone(),
        ticked_at: beat.ticked_at,
    }
}

/// Hands on what the engine tells.
#[derive(Debug)]
struct Told(Arc<Board>);

impl Witness for Told {
    fn held(&self, seen: &HoldSeen) {
        self.0.held(seen);
    }

    fn pruned(&self, seen: PruneSeen) {
        let PruneSeen { accounts, policies, by_guard, over_limit } = seen;
        self.0.pruned(HeldBack { accounts, policies, by_guard, over_limit });
    }
}

/// What this process knows of its calls.
#[derive(Debug)]
struct Process {
    aws: Arc<Aws>,
    clouds: Mutex<Clouds>,
}

impl Process {
    fn clouds(&self) -> std::sync::MutexGuard<'_, Clouds> {
        self.clouds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Shared(Arc<Process>);

impl Sources for Shared {
    fn now(&self) -> jiff::Timestamp {
        SystemClock.now()
    }

    fn calls(&self) -> Vec<CallFigure> {
        let figure = |account_name, ((action, end), count): ((String, CallEnd), u64)| CallFigure {
            account_name,
            action,
            outcome: end.as_str(),
            count,
        };
        let accounts = self.0.aws.calls().into_iter();
        accounts.flat_map(|(name, calls)| calls.counts().into_iter().map(move |it| figure(name.clone(), it))).collect()
    }

    fn waits(&self) -> Vec<WaitFigure> {
        let waited = self.0.aws.pacers.waited().into_iter();
        let figure = |(account, region, action, waited): (_, _, amikeep_cloud::Action, _)| WaitFigure {
            account,
            region,
            action: action.as_str().to_owned(),
            waited,
        };
        waited.map(figure).collect()
    }

    fn skews(&self) -> Vec<SkewFigure> {
        let clouds = self.0.clouds();
        let skew = |(name, cloud): (&amikeep_domain::id::AccountName, &Arc<crate::wiring::Connection>)| {
            Some(SkewFigure { account_name: name.clone(), ahead: cloud.inner().clock_ahead()? })
        };
        clouds.iter().filter_map(skew).collect()
    }
}
