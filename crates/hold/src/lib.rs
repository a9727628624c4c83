//! Holding a machine still: freezing file systems for as long as an image needs, and thawing them whatever happens.
//!
//! This crate owns FIFREEZE and FITHAW and everything that keeps a freeze from outliving its purpose. It never decides
//! when to hold and what an image is worth: it tells what was held for how long, and whether that was unbroken. Nothing
//! here logs, and nothing here needs a runtime of the caller.
//!
//! In the order of a hold:
//! 1. [`observe()`] and [`check()`] say which paths may be frozen, or every reason why not.
//! 2. [`OpenMount::open`] opens them, and [`Guard::start`] starts the process that will see to their thaw.
//! 3. [`apps::Application::prepare`] connects to the application; [`Guard::prepare`] finds out whether the mounts take
//!    writes, and flushes them; [`Hooks::enter`] runs what comes before.
//! 4. [`Guard::records`] go into the ledger.
//! 5. [`apps::Prepared::lock`] stops the application's writes, and gives an [`apps::Locked`].
//! 6. [`Guard::freeze`] gives a [`Hold`]; [`apps::Locked::ping`] proves the lock right before the capture.
//! 7. [`Hold::thaw`] ends the hold and gives a [`HoldReport`]; [`apps::Locked::release`] lets the application go on.
//! 8. [`Entered::leave`] runs what comes after, on every path out.
//!
//! Who thaws, when one after another is gone:
//!
//! | what dies | who thaws | when |
//! |---|---|---|
//! | nobody | the guard | when told, at the latest at the budget |
//! | the daemon | the guard | at once: its socket ends |
//! | the guard | the daemon's listening thread | at once: its socket ends |
//! | the guard hangs or is stopped | the same, which kills it first | half a second after the budget |
//! | both | [`thaw_leftovers`] | `ExecStopPost`, or the next start |
//!
//! Linux 5.3 or later is needed, for process descriptors.

pub mod apps;
mod check;
pub mod command;
mod device;
mod disk;
mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod guard;
mod hooks;
mod ioctl;
mod memory;
mod moment;
mod mount;
mod mountinfo;
mod observe;
mod parent;
mod process;
mod recovery;
mod report;
pub mod ssm;
mod tally;
mod wire;

pub use crate::check::{CheckedMount, Facts, Found, PathFacts, Protected, Reason, Refusal, always_protected, check};
pub use crate::device::{DeviceNumber, NoDeviceNumber};
pub use crate::disk::{Disk, SYS, disks_of, instance_of_firmware};
pub use crate::error::{FreezeError, HoldError};
pub use crate::hooks::{Entered, Hook, HookError, HookOutcome, HookRun, Hooks, run_hook};
pub use crate::memory::{give_back_free_memory, settle_allocator};
pub use crate::moment::Moment;
pub use crate::mount::OpenMount;
pub use crate::mountinfo::{MountLine, parse as parse_mountinfo};
pub use crate::observe::observe;
pub use crate::parent::{Guard, GuardProgram, Hold};
pub use crate::process::ProcessStamp;
pub use crate::recovery::{FrozenRecord, Leftover, LeftoverOutcome, boot_id, thaw_leftovers};
pub use crate::report::{HoldReport, MountEnd, MountReport};
pub use crate::wire::{Cause, Step};
