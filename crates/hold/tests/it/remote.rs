//! The guard for other machines, on this one: with the shells and tools of Debian, and with `BusyBox` and nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amikeep_hold::apps::{Application, DataHeld, DataHere, DataHost, DataPlace, DataPlaces, Secret};
use amikeep_hold::ssm::{
    BudgetFrom, RemoteError, RemoteHold, RemoteHolder, RemotePlan, Shell, ShellError, ShellOutput, thaw_left,
};
use amikeep_hold::{Cause, Moment};
use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::bench::{BOTH, Bench, Fs, PATIENCE, fsfreeze, is_thawed, said};
use crate::server::free_port;
use crate::server::redis::Redis;
use crate::writer::Writer;

/// No less than what the plan says.
const NO_LESS: Duration = Duration::MAX;

/// Whose tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tools {
    Debian,
    BusyBox,
}

const ALL: [Tools; 2] = [Tools::Debian, Tools::BusyBox];

/// Runs scripts as the agent does: from a file, in a process group of their own.
#[derive(Debug)]
struct Here {
    folder: PathBuf,
    path: String,
    group: Mutex<Option<Pid>>,
}

impl Here {
    fn with(tools: Tools, bench: &Bench) -> Arc<Self> {
        let folder = bench.directory().join(format!("agent-{tools:?}"));
        fs::create_dir_all(&folder).unwrap();
        let path = match tools {
            Tools::Debian => {
                // The shell has to be dash, whatever `sh` is on this machine.
                symlink("/bin/dash", folder.join("sh")).unwrap();
                format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display())
            }
            Tools::BusyBox => {
                for applet in said("busybox --list").lines() {
                    symlink("/bin/busybox", folder.join(applet)).unwrap();
                }
                folder.display().to_string()
            }
        };
        Arc::new(Self { folder, path, group: Mutex::default() })
    }

    fn shell(self: &Arc<Self>) -> Arc<dyn Shell> {
        Arc::clone(self) as Arc<dyn Shell>
    }

    /// Kills the command that runs, as an agent does whose time is over.
    fn kill(&self) {
        let group = *self.group.lock().unwrap();
        kill_process_group(group.unwrap(), Signal::KILL).unwrap();
    }
}

impl Shell for Here {
    fn run(&self, script: &str, _: Duration) -> Result<ShellOutput, ShellError> {
        let file = self.folder.join("_script.sh");
        // Another script may be running from the file of that name.
        let _ = fs::remove_file(&file);
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new(self.folder.join("sh"));
        command.arg("-c").arg(&file).env_clear().env("PATH", &self.path).process_group(0).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        *self.group.lock().unwrap() = Some(Pid::from_child(&child));
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        match output.status.code() {
            Some(exit_code) => Ok(ShellOutput { exit_code, stdout }),
            None => Err(ShellError::Unknown { why: "killed".to_owned() }),
        }
    }
}

fn plan(bench: &Bench, run: &str) -> RemotePlan {
    RemotePlan {
        run: run.to_owned(),
        mounts: bench.mounts.clone(),
        budget: Duration::from_secs(40),
        budget_from: BudgetFrom::Freeze,
        data: Vec::new(),
        link: None,
        pre: Vec::new(),
        post: Vec::new(),
        command_limit: Duration::from_secs(20),
        facts: Vec::new(),
        base: Some(bench.directory().join("base")),
    }
}

#[expect(clippy::disallowed_methods, reason = "the guard compares with the clock of this machine")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn freeze(here: &Arc<Here>, plan: RemotePlan) -> RemoteHold {
    RemoteHolder::prepare(here.shell(), plan, now()).unwrap().freeze(NO_LESS, now()).unwrap()
}

fn refused(here: &Arc<Here>, plan: RemotePlan) -> String {
    match RemoteHolder::prepare(here.shell(), plan, now()).unwrap_err() {
        RemoteError::Refused { why } => why,
        other => panic!("{other}"),
    }
}

fn argv(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn until(what: &str, is: impl Fn() -> bool) {
    let end = Moment::now() + PATIENCE;
    while !is() {
        assert!(Moment::now() < end, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn writes_stop_on_both_and_flow_again_and_the_thaw_says_that_it_found_them_frozen() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    for tools in ALL {
        let here = Here::with(tools, &bench);
        let writers: Vec<Writer> = bench.mounts.iter().map(|mount| Writer::on(mount)).collect();
        let hold = freeze(&here, plan(&bench, &format!("both-{tools:?}")));
        let since = Moment::now();
        assert!(writers.iter().all(|writer| writer.is_still(since)), "{tools:?}");
        assert_eq!(hold.ended(), None);
        let report = hold.thaw();
        assert_eq!((report.cause, report.doubt.as_deref()), (Cause::Told, None), "{tools:?}");
        let fs_types: Vec<&str> = report.mounts.iter().map(|mount| mount.fs_type.as_str()).collect();
        assert_eq!((fs_types, report.mounts[1].path.as_path()), (vec!["xfs", "ext4"], bench.mount(1)));
        assert!(Duration::from_millis(300) <= report.stall.unwrap(), "{report:?}");
        assert!(writers.iter().all(Writer::flows_again), "{tools:?}");
        assert!(fs::symlink_metadata(bench.directory().join("base/busy")).is_err());
    }
}

#[test]
fn the_watchdog_thaws_at_the_budget_and_the_thaw_tells_so() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    for tools in ALL {
        let here = Here::with(tools, &bench);
        let writer = Writer::on(bench.mount(0));
        let budget = Duration::from_secs(4);
        let plan = RemotePlan { budget, ..plan(&bench, &format!("budget-{tools:?}")) };
        let hold = freeze(&here, plan);
        assert!(writer.flows_again(), "{tools:?}");
        until("the second is thawed as well", || is_thawed(bench.mount(1)));
        let report = hold.thaw();
        assert_eq!((report.cause, report.is_left_frozen), (Cause::Budget, false), "{report:?}");
        assert!(report.doubt.unwrap().contains("budget") && report.held_from.is_none());
        assert!(report.stall.unwrap() <= budget, "{:?}", report.stall);
    }
}

/// With a database the budget counts from when its users began to wait, which is before the command was sent.
#[test]
fn a_budget_that_counts_from_the_order_ends_that_much_sooner() {
    let Some(bench) = Bench::with(&[Fs::Xfs]) else { return };
    for tools in ALL {
        let here = Here::with(tools, &bench);
        let writer = Writer::on(bench.mount(0));
        let budget = Duration::from_secs(20);
        let budget_from = BudgetFrom::Order;
        let plan = RemotePlan { budget, budget_from, ..plan(&bench, &format!("order-{tools:?}")) };
        let holder = RemoteHolder::prepare(here.shell(), plan, now()).unwrap();
        let hold = holder.freeze(NO_LESS, now().saturating_sub(SignedDuration::from_secs(16)).unwrap()).unwrap();
        assert!(writer.flows_again(), "{tools:?}");
        let report = hold.thaw();
        assert_eq!((report.cause, report.is_left_frozen), (Cause::Budget, false), "{report:?}");
        assert!(report.stall.unwrap() <= Duration::from_secs(5), "{:?}", report.stall);
    }
}

#[test]
fn directories_of_a_database_are_compared_with_what_will_be_frozen() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    for tools in ALL {
        let here = Here::with(tools, &bench);
        let (data, log) = (bench.mount(0).join("it's data"), bench.mount(1).join("log"));
        fs::create_dir_all(data.join("schema")).unwrap();
        fs::create_dir_all(&log).unwrap();
        let held = |n_mounts: usize, paths: &[&Path]| {
            let place = |path: &&Path| DataPlace { what: "the data", path: path.to_path_buf() };
            let (mounts, data) = (bench.mounts[..n_mounts].to_vec(), paths.iter().map(place).collect());
            let plan = RemotePlan { mounts, data, ..plan(&bench, "data") };
            RemoteHolder::prepare(here.shell(), plan, now()).unwrap().data().clone()
        };
        let outside = |held: DataHeld| match held {
            DataHeld::No(outside) => outside.iter().map(|it| (it.path.clone(), it.mount.clone())).collect::<Vec<_>>(),
            other => panic!("{tools:?}: {other:?}"),
        };
        assert_eq!(held(2, &[&data, &log]), DataHeld::Yes, "{tools:?}");
        assert_eq!(outside(held(1, &[&data, &log])), [(log.clone(), bench.mount(1).to_owned())]);
        let missing = held(1, &[&data, Path::new("/of/a/container")]);
        assert!(matches!(&missing, DataHeld::Unknown(why) if why.contains("/of/a/container")), "{missing:?}");
        // A directory on another disk is a link in the data.
        assert_eq!(held(1, &[&data]), DataHeld::Yes);
        symlink(&log, data.join("pg_wal")).unwrap();
        assert_eq!(outside(held(1, &[&data])), [(data.clone(), bench.mount(1).to_owned())]);
        fs::remove_file(data.join("pg_wal")).unwrap();
    }
}

#[test]
fn a_freeze_that_is_killed_is_thawed_by_the_watchdog_at_once() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    for tools in ALL {
        let here = Here::with(tools, &bench);
        let flag = bench.directory().join(format!("pre-{tools:?}"));
        let after = bench.directory().join(format!("post-{tools:?}"));
        let mut plan = plan(&bench, &format!("killed-{tools:?}"));
        plan.pre = vec![argv(&["sh", "-c", &format!("echo > {}; sleep 15", flag.display())])];
        plan.post = vec![argv(&["touch", after.to_str().unwrap()])];
        let holder = RemoteHolder::prepare(here.shell(), plan, now()).unwrap();
        let freezing = std::thread::spawn(move || holder.freeze(NO_LESS, now()));
        until("the command before runs", || flag.exists());
        here.kill();
        let report = freezing.join().unwrap().unwrap_err();
        assert!(!report.is_left_frozen, "{report:?}");
        until("the command after was run", || after.exists());
        assert!(bench.mounts.iter().all(|mount| is_thawed(mount)));
    }
}

#[test]
fn whenever_the_freeze_is_killed_writes_flow_again_within_the_budget() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let here = Here::with(Tools::Debian, &bench);
    let writer = Writer::on(bench.mount(0));
    for run in 0..20_u64 {
        let plan = RemotePlan { budget: Duration::from_secs(4), ..plan(&bench, &format!("random-{run}")) };
        let holder = RemoteHolder::prepare(here.shell(), plan.clone(), now()).unwrap();
        let killer = Arc::clone(&here);
        *here.group.lock().unwrap() = None;
        let freezing = std::thread::spawn(move || holder.freeze(NO_LESS, now()).map(RemoteHold::thaw));
        until("the command runs", || killer.group.lock().unwrap().is_some());
        // From before its first file to after the last freeze; the sleep is the dice, not a wait for anything.
        std::thread::park_timeout(Duration::from_millis(run * 15));
        let group = killer.group.lock().unwrap().unwrap();
        let _ = kill_process_group(group, Signal::KILL);
        let _ = freezing.join().unwrap();
        assert!(writer.flows_again(), "run {run}");
        // Killed in its first moments it leaves nothing but a directory, which nobody else may take for a hold.
        thaw_left(&here.shell(), &plan).unwrap();
        until("the place is free", || fs::symlink_metadata(bench.directory().join("base/busy")).is_err());
        assert!(bench.mounts.iter().all(|mount| is_thawed(mount)), "run {run}");
    }
}

#[test]
fn a_mount_that_somebody_else_froze_stays_frozen_and_ours_is_thawed() {
    let Some(bench) = Bench::with(&BOTH) else { return };
    let here = Here::with(Tools::Debian, &bench);
    fsfreeze("--freeze", bench.mount(1));
    let report = RemoteHolder::prepare(here.shell(), plan(&bench, "foreign"), now())
        .unwrap()
        .freeze(NO_LESS, now())
        .unwrap_err();
    assert!(report.doubt.as_ref().unwrap().contains(bench.mount(1).to_str().unwrap()), "{report:?}");
    assert!(is_thawed(bench.mount(0)) && !is_thawed(bench.mount(1)));
    fsfreeze("--unfreeze", bench.mount(1));
}

#[test]
fn a_freeze_that_is_delivered_late_refuses() {
    let Some(bench) = Bench::with(&[Fs::Xfs]) else { return };
    for tools in ALL {
        let here = Here::with(tools, &bench);
        let holder = RemoteHolder::prepare(here.shell(), plan(&bench, &format!("late-{tools:?}")), now()).unwrap();
        let an_hour_ago = now().saturating_sub(SignedDuration::from_hours(1)).unwrap();
        let report = holder.freeze(NO_LESS, an_hour_ago).unwrap_err();
        assert!(report.doubt.unwrap().contains("was to be begun until"), "{tools:?}");
        // Nobody waits for it any more: the thaw has been there.
        let given_up = plan(&bench, &format!("given-up-{tools:?}"));
        let holder = RemoteHolder::prepare(here.shell(), given_up.clone(), now()).unwrap();
        thaw_left(&here.shell(), &given_up).unwrap();
        let report = holder.freeze(NO_LESS, now()).unwrap_err();
        assert!(report.doubt.unwrap().contains("given up"), "{tools:?}");
        assert!(is_thawed(bench.mount(0)));
    }
}

#[test]
fn what_must_not_stand_still_is_refused_by_device() {
    let Some(bench) = Bench::with(&[Fs::Xfs]) else { return };
    for tools in ALL {
        let here = Here::with(tools, &bench);
        let why = |path: &Path| refused(&here, RemotePlan { mounts: vec![path.to_owned()], ..plan(&bench, "refused") });
        for path in ["/", "/proc", "/nowhere"] {
            assert!(why(Path::new(path)).contains(path), "{tools:?}: {path}");
        }
        for path in ["/var", "/tmp", "/run", "/etc"] {
            let why = why(Path::new(path));
            assert!(why.contains("protected") || why.contains("not-a-mount-point"), "{tools:?}: {why}");
        }
        let folder = bench.mount(0).join("folder");
        fs::create_dir_all(&folder).unwrap();
        assert!(why(&folder).contains("not-a-mount-point"), "{tools:?}");
        let link = bench.directory().join(format!("link-{tools:?}"));
        symlink(bench.mount(0), &link).unwrap();
        let twice = vec![bench.mount(0).to_owned(), link];
        assert!(refused(&here, RemotePlan { mounts: twice, ..plan(&bench, "twice") }).contains("same-file-system"));
        let its_own = RemotePlan { base: Some(bench.mount(0).join("base")), ..plan(&bench, "own") };
        assert!(refused(&here, its_own).contains("protected"), "{tools:?}: the guard's own files");
    }
}

#[test]
fn a_mount_that_holds_a_tool_of_the_guard_is_refused() {
    let Some(bench) = Bench::with(&[Fs::Xfs]) else { return };
    let here = Here::with(Tools::Debian, &bench);
    for tool in ["mkdir", "mv", "rm", "readlink", "timeout"] {
        let (own, link) = (bench.mount(0).join(tool), here.folder.join(tool));
        fs::copy(Path::new("/usr/bin").join(tool), &own).unwrap();
        symlink(&own, &link).unwrap();
        let why = refused(&here, plan(&bench, tool));
        assert!(why.contains("protected") && why.contains(tool), "{why}");
        fs::remove_file(&link).unwrap();
    }
    assert!(RemoteHolder::prepare(here.shell(), plan(&bench, "none"), now()).is_ok());
}

#[test]
fn a_freeze_that_ends_after_the_death_of_whoever_asked_for_it_is_waited_for_and_thawed() {
    let Some(bench) = Bench::with(&[Fs::Xfs]) else { return };
    let here = Here::with(Tools::Debian, &bench);
    let writer = Writer::on(bench.mount(0));
    // The kernel takes its time over a freeze, and nothing calls that back.
    let slow = format!(
        "#!/bin/sh\n[ \"$1\" != --freeze ] || {{ : >{}; sleep 3; }}\nexec /usr/sbin/fsfreeze \"$@\"\n",
        bench.directory().join("freezing").display()
    );
    let program = here.folder.join("fsfreeze");
    fs::write(&program, slow).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let plan = plan(&bench, "slow");
    let holder = RemoteHolder::prepare(here.shell(), plan.clone(), now()).unwrap();
    let run = bench.directory().join("base/slow");
    let pid = |name: &str| {
        let number = fs::read_to_string(run.join(name)).unwrap().trim().parse().unwrap();
        Pid::from_raw(number).unwrap()
    };
    let freezing = std::thread::spawn(move || holder.freeze(NO_LESS, now()).map(RemoteHold::thaw));
    until("the freeze is under way", || bench.directory().join("freezing").exists());
    let program = pid("freezing");
    kill_process(pid("freezer"), Signal::KILL).unwrap();
    until("the freeze is over", || !Path::new(&format!("/proc/{}", program.as_raw_nonzero())).exists());
    assert!(writer.flows_again());
    let _ = freezing.join().unwrap();
    until("the watchdog is done", || fs::symlink_metadata(bench.directory().join("base/busy")).is_err());
    assert!(is_thawed(bench.mount(0)));
}

#[test]
fn there_is_one_hold_at_a_time() {
    let Some(bench) = Bench::with(&[Fs::Xfs]) else { return };
    let here = Here::with(Tools::Debian, &bench);
    let second = RemoteHolder::prepare(here.shell(), plan(&bench, "second"), now()).unwrap();
    let hold = freeze(&here, plan(&bench, "first"));
    let why = refused(&here, plan(&bench, "third"));
    assert!(why.contains("first"), "{why}");
    assert!(second.freeze(NO_LESS, now()).unwrap_err().doubt.unwrap().contains("first"));
    assert_eq!(hold.thaw().doubt, None, "the others did not thaw it");
}

#[test]
fn commands_around_a_hold_run_there_and_a_failure_ends_in_no_freeze() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    for tools in ALL {
        let here = Here::with(tools, &bench);
        let log = bench.directory().join(format!("log-{tools:?}"));
        let tell = |word: &str| argv(&["sh", "-c", &format!("echo {word} $WHO >> {}", log.display())]);
        let mut plan = plan(&bench, &format!("hooks-{tools:?}"));
        plan.facts = vec![("WHO".to_owned(), "it's $HOME".to_owned())];
        (plan.pre, plan.post) = (vec![tell("drain"), tell("close")], vec![tell("open"), tell("resume")]);
        assert_eq!(freeze(&here, plan.clone()).thaw().doubt, None);
        let told = fs::read_to_string(&log).unwrap();
        let said: Vec<&str> = told.lines().map(|line| line.strip_suffix(" it's $HOME").unwrap()).collect();
        assert_eq!(said, ["drain", "close", "resume", "open"], "{tools:?}");
        fs::remove_file(&log).unwrap();
        plan.run.push_str("-2");
        plan.pre[1] = argv(&["false"]);
        let report = RemoteHolder::prepare(here.shell(), plan, now()).unwrap().freeze(NO_LESS, now()).unwrap_err();
        assert!(report.doubt.unwrap().contains("command 2 before"), "{tools:?}");
        assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 3, "both commands after ran");
        assert!(is_thawed(bench.mount(0)));
    }
}

#[test]
fn the_server_that_works_in_its_directory_is_told_from_one_that_names_the_same() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let start = |name: &str| {
        let (data, port) = (bench.mount(0).join(name), free_port());
        fs::create_dir(&data).unwrap();
        let options = format!("--appendonly yes --bind 127.0.0.1 --port {port}");
        let server = Redis::on(&data, bench.directory(), name, &options).unwrap();
        let address = Secret::new(format!("redis://127.0.0.1:{port}"));
        (server, Application::Redis.prepare(Some(&address), PATIENCE).unwrap())
    };
    let servers = [start("one"), start("other")];
    let [one, other] = servers.each_ref().map(|(_, prepared)| match prepared.data(DataHost::Another).unwrap() {
        Some(DataPlaces::Here(here)) => here,
        unknown => panic!("{unknown:?}"),
    });
    for tools in ALL {
        let here = Here::with(tools, &bench);
        let held = |here_is: DataHere| {
            let plan = RemotePlan { data: here_is.places, link: Some(here_is.link), ..plan(&bench, "look") };
            RemoteHolder::prepare(here.shell(), plan, now()).unwrap().data().clone()
        };
        assert_eq!(held(one.clone()), DataHeld::Yes, "{tools:?}");
        let lie = DataHere { places: one.places.clone(), link: other.link.clone() };
        assert_eq!(held(lie), DataHeld::OfAnother(one.places[0].path.clone()), "{tools:?}");
        // The data of a server that is in a container or was stopped, say.
        let place = DataPlace { what: "the data", path: bench.mount(0).to_owned() };
        let nobody = held(DataHere { places: vec![place], link: one.link.clone() });
        assert!(matches!(&nobody, DataHeld::Unknown(why) if why.contains("no process works in")), "{nobody:?}");
    }
}

#[test]
fn a_thaw_that_dies_among_the_commands_after_it_leaves_the_rest_to_the_watchdog() {
    let Some(bench) = Bench::with(&[Fs::Ext4]) else { return };
    let here = Here::with(Tools::Debian, &bench);
    let log = bench.directory().join("log");
    let tell = |word: &str, then: &str| argv(&["sh", "-c", &format!("echo {word} >> {}; {then}", log.display())]);
    let mut plan = plan(&bench, "dies");
    (plan.budget, plan.post) = (Duration::from_secs(5), vec![tell("last", ":"), tell("first", "sleep 2")]);
    let hold = freeze(&here, plan);
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let report = std::thread::scope(|scope| {
        let thawing = scope.spawn(|| hold.thaw());
        until("the first command runs", || said() == "first\n");
        here.kill();
        thawing.join().unwrap()
    });
    assert!(report.doubt.is_some() && !report.is_left_frozen, "{report:?}");
    assert_eq!(said(), "first\nlast\n", "each once");
    assert!(is_thawed(bench.mount(0)));
}
