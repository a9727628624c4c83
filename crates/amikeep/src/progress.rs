//! Progress for a person at a terminal, on stderr.
//!
//! Where stderr is no terminal nothing is drawn at all, so logs and pipes stay clean. What is drawn is gone when it is
//! done: results are printed by the command.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a spinner turns. Slower looks stuck, faster is a strobe.
const TICK_EVERY: Duration = Duration::from_millis(120);

/// The progress bars of a command. Clones are the same bars.
#[derive(Debug, Clone)]
pub(crate) struct Bars(MultiProgress);

impl Bars {
    /// On stderr, if it is a terminal.
    pub(crate) fn new() -> Self {
        Self(MultiProgress::with_draw_target(ProgressDrawTarget::stderr()))
    }

    /// Nothing is drawn.
    pub(crate) fn hidden() -> Self {
        Self(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()))
    }

    /// One more line: a spinner, a name, what is going on, and for how long.
    pub(crate) fn spinner(&self, name: impl Into<Cow<'static, str>>) -> ProgressBar {
        let bar = self.add(ProgressBar::new_spinner(), "{spinner} {prefix}  {wide_msg} {elapsed}");
        bar.set_prefix(name);
        bar.enable_steady_tick(TICK_EVERY);
        bar
    }

    /// One more line: how much of `len` is done.
    pub(crate) fn bar(&self, len: u64) -> ProgressBar {
        self.add(ProgressBar::new(len), "{bar:28} {wide_msg}")
    }

    /// Writes something while no bar is in the way.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    fn add(&self, bar: ProgressBar, template: &str) -> ProgressBar {
        // A template with a mistake leaves the default look, which is no reason to stop a backup.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
        self.0.add(bar.with_style(style))
    }
}
