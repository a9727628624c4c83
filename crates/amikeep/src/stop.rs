//! Being asked to stop: by a key, by whoever runs the command, or by the end of its terminal.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Ends when this process is asked to. The handlers are in place when this returns, and from then on no such signal ends the
/// process by itself.
pub(crate) fn asked() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
