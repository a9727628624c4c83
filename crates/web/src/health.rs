//! Whether the daemon does what it is there for, in one line.
//!
//! It says no for what a person has to do something about and that concerns everything: the loop does not answer, nothing
//! can be written down, or something was left frozen and users wait for writes. A policy or an account that fails is no
//! reason: the others go on, and metrics tell of it.

use std::time::Duration;

use crate::board::Stand;

/// The loop tells that it lives every second, the same sign for which systemd's watchdog waits a minute. A tick over ten
/// thousand policies on a busy host may take some seconds of that.
const SILENT_FOR_MAX: Duration = Duration::from_secs(15);

/// The line, and whether all is well.
pub(crate) fn judge(heard: Option<&(Duration, Stand)>) -> Result<String, String> {
    let Some((ago, stand)) = heard else { return Err("the engine has not begun yet".to_owned()) };
    if SILENT_FOR_MAX < *ago {
        return Err(format!("the engine's loop has not answered for {} s", ago.as_secs()));
    }
    if !stand.left_frozen.is_empty() {
        let n = stand.left_frozen.len();
        return Err(format!(
            "writes may hang: {n} hold(s) left something frozen; the service's status and log say what"
        ));
    }
    if let Some(trouble) = &stand.trouble {
        return Err(format!("nothing is backed up: {trouble}"));
    }
    Ok("ok".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(ago_s: u64, stand: Stand) -> Result<String, String> {
        judge(Some(&(Duration::from_secs(ago_s), stand)))
    }

    #[test]
    fn it_is_well_only_when_the_loop_answers_and_nothing_is_wrong_with_everything() {
        let trouble = || Stand { trouble: Some("the disk is full".to_owned()), ..Stand::default() };
        let frozen = || Stand { left_frozen: vec!["job 1: /data".to_owned(), "job 2: /x".to_owned()], ..trouble() };
        let hang = "writes may hang: 2 hold(s) left something frozen; the service's status and log say what".to_owned();
        assert_eq!(judge(None), Err("the engine has not begun yet".to_owned()));
        assert_eq!(judged(15, Stand { paused: 1, ledger_backup_failed: true, ..Stand::default() }), Ok("ok".into()));
        assert_eq!(judged(16, Stand::default()), Err("the engine's loop has not answered for 16 s".to_owned()));
        assert_eq!(judged(0, trouble()), Err("nothing is backed up: the disk is full".to_owned()));
        assert_eq!(judged(0, frozen()), Err(hang));
    }
}
