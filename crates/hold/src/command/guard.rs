//! The guard that runs commands: a process that is nothing else, and that outlives whoever started it.
//!
//! It owns that the command that thaws is run when it is told to, when the budget is used up, and when its parent is gone. A
//! command that freezes and is still at work then, an orphan perhaps, may freeze after that thaw. So it is waited for, killed
//! at its limit, and thawed for once more.

use std::env;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::command::thaw::{ThawOutcome, run_thaw};
use crate::hooks::Hook;
use crate::moment::{Moment, to_timespec};
use crate::process::ProcessStamp;

/// The whole life of a guard. Its standard input and output are pipes to its parent.
pub fn guard_main(thaw: &Hook) -> ExitCode {
    // A guard's environment is what its parent tells it.
    let facts: Vec<(String, String)> = env::vars().filter(|(name, _)| name.starts_with("AMIKEEP_")).collect();
    say("ready");
    let mut orders = Orders { buffer: Vec::new(), is_open: true };
    let mut end: Option<Moment> = None;
    let mut freezer = Freezer::Idle;
    let cause = loop {
        match orders.next(end, None) {
            Order::Arm { budget, limit } => {
                let now = Moment::now();
                (end, freezer) = (Some(now + budget), Freezer::AtWork { until: now + limit, process: None });
            }
            Order::Freezing(stamp) => freezer.is(stamp),
            Order::Frozen => freezer = Freezer::Idle,
            Order::Thaw => break "told",
            Order::Late => break "budget",
            // Nothing was ever to be frozen.
            Order::End if end.is_none() => return ExitCode::SUCCESS,
            Order::End => break "parent",
            Order::FreezerEnded => {}
        }
    };
    say(&format!("thawing {cause}"));
    let mut outcome = run_thaw(thaw, &facts);
    if freezer.wait(&mut orders) == Waited::WasAtWork {
        outcome = run_thaw(thaw, &facts);
    }
    say(&match outcome {
        ThawOutcome::Thawed => format!("thawed {cause} ok"),
        ThawOutcome::WasNotFrozen => format!("thawed {cause} not-frozen"),
        ThawOutcome::Failed(words) => format!("thawed {cause} failed {}", words.replace('\n', " ")),
    });
    ExitCode::SUCCESS
}

/// A parent that is gone hears nothing, which must not end the guard.
fn say(line: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The command that freezes, as far as the guard was told.
enum Freezer {
    /// It was not begun, or has ended.
    Idle,
    /// It may be at work until this moment, at which it has to be killed.
    AtWork {
        until: Moment,
        /// Its process, once that is known.
        process: Option<(ProcessStamp, OwnedFd)>,
    },
}

#[derive(PartialEq, Eq)]
enum Waited {
    WasIdle,
    WasAtWork,
}

impl Freezer {
    fn is(&mut self, stamp: ProcessStamp) {
        match (stamp.descriptor(), self) {
            (Some(descriptor), Self::AtWork { process, .. }) => *process = Some((stamp, descriptor)),
            // It has ended already, so there is nothing to be waited for.
            (None, freezer) => *freezer = Self::Idle,
            (Some(_), Self::Idle) => {}
        }
    }

    /// Waits for its end; kills it, if it does not end in time.
    fn wait(mut self, orders: &mut Orders) -> Waited {
        let mut waited = Waited::WasIdle;
        while let Self::AtWork { until, process } = &self {
            waited = Waited::WasAtWork;
            match orders.next(Some(*until), process.as_ref().map(|(_, descriptor)| descriptor)) {
                Order::Freezing(stamp) => self.is(stamp),
                Order::Frozen | Order::FreezerEnded => break,
                Order::Late => {
                    if let Some((stamp, _)) = process {
                        stamp.kill_group();
                    }
                    break;
                }
                // Without a parent there is nobody to say that it has ended; its process does, or its limit.
                Order::Arm { .. } | Order::Thaw | Order::End => {}
            }
        }
        waited
    }
}

enum Order {
    /// Everything is thawed when `budget` has passed; the command that freezes is begun, and may take `limit`.
    Arm {
        budget: Duration,
        limit: Duration,
    },
    /// It is this process.
    Freezing(ProcessStamp),
    /// It has ended, however it did.
    Frozen,
    Thaw,
    /// The moment has come that was waited for.
    Late,
    /// The process that was watched has ended.
    FreezerEnded,
    /// The parent is gone.
    End,
}

struct Orders {
    buffer: Vec<u8>,
    is_open: bool,
}

impl Orders {
    /// The next order; a line that is none is left out. The end of the orders is told once.
    fn next(&mut self, end: Option<Moment>, watched: Option<&OwnedFd>) -> Order {
        loop {
            if let Some(length) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=length).collect();
                match order(&String::from_utf8_lossy(&line)) {
                    Some(order) => return order,
                    None => continue,
                }
            }
            let stdin = io::stdin();
            let left = end.map(|end| to_timespec(end.since(Moment::now())));
            let mut sources = Vec::new();
            sources.extend(watched.map(|process| PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)));
            if self.is_open {
                sources.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
            }
            match poll(&mut sources, left.as_ref()) {
                Ok(0) => return Order::Late,
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return self.end(),
            }
            if watched.is_some() && !sources[0].revents().is_empty() {
                return Order::FreezerEnded;
            }
            let mut chunk = [0; 256];
            // Not through a buffer that `poll` knows nothing of.
            match rustix::io::read(&stdin, &mut chunk) {
                Ok(0) | Err(_) => return self.end(),
                Ok(length) => self.buffer.extend_from_slice(&chunk[..length]),
            }
        }
    }

    fn end(&mut self) -> Order {
        self.is_open = false;
        Order::End
    }
}

fn order(line: &str) -> Option<Order> {
    let mut words = line.split_ascii_whitespace();
    let word = words.next()?;
    let numbers: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    match (word, numbers.as_slice()) {
        ("thaw", []) => Some(Order::Thaw),
        ("frozen", []) => Some(Order::Frozen),
        ("arm", [budget, limit]) => {
            Some(Order::Arm { budget: Duration::from_millis(*budget), limit: Duration::from_millis(*limit) })
        }
        ("freezing", [pid, started]) => {
            Some(Order::Freezing(ProcessStamp { pid: u32::try_from(*pid).ok()?, started: *started }))
        }
        _ => None,
    }
}
