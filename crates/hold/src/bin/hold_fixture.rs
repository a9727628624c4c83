//! The other processes of this crate's tests: a guard, a holder, a writer and a janitor in one program.
//!
//! It is no part of the product. Its allocator aborts when anything is allocated while a guard holds, so that every
//! test with a real guard also proves that a guard does not.
#![expect(unsafe_code, reason = "an allocator that watches the guard can only be written in unsafe code")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use amikeep_hold::apps::{Application, LockLimits, MysqlLock, Secret};
use amikeep_hold::command::CommandGuard;
use amikeep_hold::{
    FrozenRecord, Guard, GuardProgram, Hook, Moment, OpenMount, ProcessStamp, boot_id, check, observe, thaw_leftovers,
};
use jiff::Timestamp;

struct Watched;

// SAFETY: every call is passed on to the system's allocator as it came; the only thing added is an abort.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if amikeep_hold::guard::HOLDING.load(Ordering::SeqCst) {
            std::process::abort();
        }
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and `pointer` came from `System.alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let role = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let result = match role.as_str() {
        "guard" => return amikeep_hold::guard::main(),
        "command-guard" => return amikeep_hold::command::main(rest.into_iter().map(Into::into)),
        "allocating-guard" => {
            // A guard that breaks the rule, to prove that the allocator would notice.
            amikeep_hold::guard::HOLDING.store(true, Ordering::SeqCst);
            let _ = std::hint::black_box(vec![1_u8; 100]);
            Ok(())
        }
        "hold" => hold(&rest),
        "hold-by-commands" => hold_by_commands(&rest),
        "lock" => lock(&rest),
        "write" => write(&rest),
        "janitor" => janitor(&rest),
        _ => Err(io::Error::other(format!("no such role: {role}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{role}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A daemon as far as freezing goes: `hold BUDGET_MS MOUNT…` says `guard PID START` and `held`, and thaws when its input says
/// so. Its input's end alone does nothing: a test that kills it must see what its death does.
fn hold(args: &[String]) -> io::Result<()> {
    let (budget, paths) = args.split_first().ok_or_else(|| io::Error::other("no budget"))?;
    let budget = Duration::from_millis(budget.parse().map_err(io::Error::other)?);
    let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    let facts = observe(&paths, amikeep_hold::always_protected())?;
    let checked = check(&facts).map_err(|refusals| io::Error::other(format!("{refusals:?}")))?;
    let mounts = checked.iter().map(OpenMount::open).collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    let program = GuardProgram { program: "/proc/self/exe".into(), args: vec!["guard".into()] };
    let mut guard = Guard::start(&program, mounts).map_err(io::Error::other)?;
    guard.prepare(Duration::from_secs(20)).map_err(io::Error::other)?;
    let mut out = io::stdout();
    for record in guard.records("this boot").iter().take(1) {
        writeln!(out, "guard {} {}", record.guard.pid, record.guard.started)?;
    }
    out.flush()?;
    let hold = guard.freeze(budget, "2026-11-01T00:00:00Z".parse::<Timestamp>().map_err(io::Error::other)?);
    let hold = hold.map_err(io::Error::other)?;
    writeln!(out, "held")?;
    out.flush()?;
    io::stdin().lock().lines().next().transpose()?;
    let report = hold.thaw();
    writeln!(out, "{} {}", report.cause.as_str(), report.is_unbroken())
}

/// The same by commands: `hold-by-commands FREEZE THAW`, two lines of a shell, each with a limit of five seconds.
fn hold_by_commands(args: &[String]) -> io::Result<()> {
    let [freeze, thaw] = args else { return Err(io::Error::other("no commands")) };
    let hook = |line: &String| Hook {
        argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        limit: Duration::from_secs(5),
    };
    let program = GuardProgram { program: "/proc/self/exe".into(), args: vec!["command-guard".into()] };
    let guard = CommandGuard::start(&program, hook(thaw), &[]).map_err(io::Error::other)?;
    let now = "2026-11-01T00:00:00Z".parse::<Timestamp>().map_err(io::Error::other)?;
    let hold = guard.freeze(&hook(freeze), &[], Duration::from_mins(1), now);
    let hold = hold.map_err(|report| io::Error::other(format!("{report:?}")))?;
    io::stdin().lock().lines().next().transpose()?;
    writeln!(io::stdout(), "{:?}", hold.thaw())
}

/// Locks a MySQL at `lock ADDRESS`, for a second, says `locked`, and does nothing more until its input ends.
fn lock(args: &[String]) -> io::Result<()> {
    let address = Secret::new(args.first().cloned().unwrap_or_default());
    let second = Duration::from_secs(1);
    let prepared = Application::Mysql(MysqlLock::EveryEngine).prepare(Some(&address), Duration::from_secs(20));
    let locked = prepared.and_then(|prepared| prepared.lock(LockLimits { wait: second, hold: second }));
    let _locked = locked.map_err(io::Error::other)?;
    let mut out = io::stdout();
    writeln!(out, "locked")?;
    out.flush()?;
    io::copy(&mut io::stdin(), &mut io::sink()).map(|_| ())
}

/// Writes numbers and flushes at full speed, and says of each when it was acknowledged: `write FILE`.
fn write(args: &[String]) -> io::Result<()> {
    let path = args.first().ok_or_else(|| io::Error::other("no file"))?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    let mut out = io::stdout();
    for number in 0_u64.. {
        file.write_all_at(&number.to_le_bytes(), number % 512 * 4096)?;
        file.sync_all()?;
        writeln!(out, "{number} {}", Moment::now().as_nanos())?;
        out.flush()?;
    }
    Ok(())
}

/// Puts away everything of a test when its input ends, whatever ended the test: `janitor DIRECTORY`.
///
/// In the directory is a folder per file system: a link `loop` to its loop device, and `mnt`. The one called `host` holds
/// the files of all others.
fn janitor(args: &[String]) -> io::Result<()> {
    let directory = PathBuf::from(args.first().ok_or_else(|| io::Error::other("no directory"))?);
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let mut folders = fs::read_dir(&directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    folders.sort_by_key(|folder| folder.ends_with("host"));
    for folder in folders.iter().filter(|folder| folder.join("loop").is_symlink()) {
        put_away(folder)?;
    }
    fs::remove_dir_all(&directory)
}

fn put_away(folder: &Path) -> io::Result<()> {
    let mount = folder.join("mnt");
    let boot_id = boot_id()?;
    // Thawed only if it is a loop mount: its device has the major number 7.
    for line in amikeep_hold::parse_mountinfo(&fs::read_to_string("/proc/self/mountinfo")?) {
        if line.mount_point == mount && line.device.major == 7 {
            let nobody = ProcessStamp { pid: 0, started: 0 };
            let record =
                FrozenRecord { mount: mount.clone(), device: line.device, boot_id: boot_id.clone(), guard: nobody };
            thaw_leftovers(&[record], &boot_id);
            // A writer that was killed while it waited needs a moment to be gone; a lazy unmount does not.
            quietly(Command::new("umount").arg("--lazy").arg(&mount));
        }
    }
    quietly(Command::new("losetup").arg("--detach").arg(fs::read_link(folder.join("loop"))?));
    Ok(())
}

fn quietly(command: &mut Command) {
    let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}
