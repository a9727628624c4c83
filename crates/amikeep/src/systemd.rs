//! What systemd is told: ready, reloading, stopping, alive, and a line of status.
//!
//! Without systemd there is no socket and every call does nothing. A message that cannot be sent must never stop the
//! daemon: systemd notices a silent service by itself.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

/// The service as systemd sees it.
#[derive(Debug)]
pub(crate) struct Systemd {
    /// Whether systemd waits for a sign of life.
    watchdog: bool,
    is_ready: AtomicBool,
    /// The status that was last sent; the same one is not sent twice.
    status: Mutex<String>,
}

impl Systemd {
    /// Reads from the environment what systemd expects.
    pub(crate) fn new() -> Self {
        Self {
            watchdog: sd_notify::watchdog_enabled().is_some(),
            is_ready: AtomicBool::new(false),
            status: Mutex::new(String::new()),
        }
    }

    /// The engine's loop is alive. The first sign of life is what makes the service ready: the ledger is open, the lock
    /// is held, and the first tick is done.
    pub(crate) fn beat(&self, status: &str) {
        if !self.is_ready.swap(true, Ordering::SeqCst) {
            notify(&[NotifyState::Ready]);
        }
        if self.watchdog {
            notify(&[NotifyState::Watchdog]);
        }
        self.tell(status);
    }

    /// The configuration is read again.
    pub(crate) fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(error) => debug!("the monotonic clock cannot be read: {error}"),
        }
    }

    /// The configuration was read, whatever came of it.
    pub(crate) fn reloaded(&self, status: &str) {
        notify(&[NotifyState::Ready]);
        self.tell(status);
    }

    /// The daemon is about to end.
    pub(crate) fn stopping(&self, status: &str) {
        notify(&[NotifyState::Stopping]);
        self.tell(status);
    }

    /// The start takes longer, for a reason; systemd should give it this much more time.
    pub(crate) fn waiting(&self, status: &str, extension: Duration) {
        let usec = u32::try_from(extension.as_micros()).unwrap_or(u32::MAX);
        notify(&[NotifyState::ExtendTimeoutUsec(usec)]);
        self.tell(status);
    }

    fn tell(&self, status: &str) {
        let mut last = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != status {
            notify(&[NotifyState::Status(status)]);
            status.clone_into(&mut last);
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!("systemd cannot be told {states:?}: {error}");
    }
}
