//! What the guard says, line by line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::apps::owner::Owner;
use crate::disk::{Disk, disk};
use crate::ssm::ShellOutput;

/// The first line of every answer.
const GREETING: &str = "amikeep-guard 1";

/// What the exit code of the guard means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 0.
    Done,
    /// 40 to 43 and 47: nothing was done, or there was nothing to do.
    Nothing,
    /// 44 and 48: it was not frozen, and everything is thawed.
    NotFrozen,
    /// 46.
    ThawedBefore,
    /// 45 and 49: something is still frozen.
    Stuck,
}

impl Verdict {
    fn of(exit_code: i32) -> Option<Self> {
        match exit_code {
            0 => Some(Self::Done),
            40..=43 | 47 => Some(Self::Nothing),
            44 | 48 => Some(Self::NotFrozen),
            46 => Some(Self::ThawedBefore),
            45 | 49 => Some(Self::Stuck),
            _ => None,
        }
    }

    /// Whether nothing of the hold is frozen any more. Of a freeze that succeeded this is not asked.
    pub(super) fn is_over(self) -> bool {
        self != Self::Stuck
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    /// The guard's reason, or what the verdict is without one.
    pub(super) why: String,
    pub(super) mounts: Vec<RemoteMount>,
    /// What was found of each directory of a database, by its number.
    pub(super) data: BTreeMap<usize, Found>,
    /// Whose data it is.
    pub(super) owner: Option<Owner>,
    /// Seconds since 1970 there.
    pub(super) clock: Option<i64>,
    pub(super) stalled: Option<Stalled>,
    /// From the start of the command to that of the freeze, there.
    pub(super) before_freeze: Option<Duration>,
}

/// Where a directory of a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// On what will be frozen.
    Held,
    /// On this mount, as the kernel writes it, or something in it is.
    Outside(PathBuf),
}

/// A mount there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteMount {
    /// Where it is mounted; the guard tells its number, and whoever sent it knows the path.
    pub path: PathBuf,
    /// Its number, from 1.
    pub number: usize,
    /// `xfs`, `ext4` and so on.
    pub fs_type: String,
    /// The options of the mount and the file system.
    pub options: String,
    /// The disks that it is on; none if one of them cannot be told.
    pub disks: Option<Vec<Disk>>,
}

/// Moments of the machine, in hundredths of a second since its boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalled {
    /// Before the first mount was frozen.
    pub began: Option<u64>,
    /// After the last one was.
    pub held: Option<u64>,
    /// After the last one was thawed.
    pub thawed: Option<u64>,
}

impl Stalled {
    /// The longest for which writes can have stood still. The hundredth that is under way counts as a whole one.
    pub fn stall(&self) -> Option<Duration> {
        let hundredths = self.thawed?.checked_sub(self.began?)?.checked_add(1)?;
        Some(Duration::from_millis(hundredths.checked_mul(10)?))
    }
}

impl Answer {
    /// None for what no guard says.
    pub(super) fn read(output: &ShellOutput) -> Option<Self> {
        let mut lines = output.stdout.lines();
        if lines.next() != Some(GREETING) {
            return None;
        }
        let verdict = Verdict::of(output.exit_code)?;
        let why = format!("exit code {}", output.exit_code);
        let (mounts, data) = (Vec::new(), BTreeMap::new());
        let mut answer =
            Self { verdict, why, mounts, data, owner: None, clock: None, stalled: None, before_freeze: None };
        for line in lines {
            match line.split_once(' ') {
                Some(("why", why)) => why.clone_into(&mut answer.why),
                Some(("clock", seconds)) => answer.clock = seconds.parse().ok(),
                Some(("mount", rest)) => answer.mounts.extend(mount(rest)),
                Some(("disk", rest)) => add_disk(&mut answer.mounts, rest),
                Some(("data", rest)) => answer.data.extend(found(rest)),
                Some(("server", rest)) => answer.owner = owner(rest),
                Some(("frozen", rest)) => answer.before_freeze = before_freeze(rest),
                Some(("thawed", rest)) => answer.stalled = stalled(rest),
                _ => {}
            }
        }
        for mount in &mut answer.mounts {
            mount.disks = mount.disks.take().filter(|disks| !disks.is_empty());
        }
        Some(answer)
    }
}

/// `1 nvme1n1 vol0123456789abcdef0`, after the mount of that number; `-` for a disk that says nothing of itself.
fn add_disk(mounts: &mut [RemoteMount], line: &str) {
    let mut words = line.split(' ');
    let (Some(number), Some(name), Some(serial)) = (words.next(), words.next(), words.next()) else { return };
    let Some(mount) = mounts.iter_mut().find(|mount| mount.number.to_string() == number) else { return };
    mount.disks = match (mount.disks.take(), disk(name, Some(serial))) {
        (Some(mut disks), Some(disk)) => {
            disks.push(disk);
            Some(disks)
        }
        _ => None,
    };
}

/// `1 8:16 xfs rw,noatime`.
fn mount(line: &str) -> Option<RemoteMount> {
    let mut words = line.splitn(4, ' ');
    let number = words.next()?.parse().ok()?;
    let _device = words.next()?;
    let (fs_type, options) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(RemoteMount { path: PathBuf::new(), number, fs_type, options, disks: Some(Vec::new()) })
}

/// `1 held` or `1 outside /log`; of one that is missing, or that nobody can look at, nothing is known.
fn found(line: &str) -> Option<(usize, Found)> {
    let (number, word) = line.split_once(' ')?;
    let found = match word.split_once(' ') {
        None if word == "held" => Found::Held,
        Some(("outside", mount)) => Found::Outside(mount.into()),
        _ => return None,
    };
    Some((number.parse().ok()?, found))
}

/// `ours`, `another`, or `unknown` and why.
fn owner(line: &str) -> Option<Owner> {
    match line.split_once(' ') {
        None if line == "ours" => Some(Owner::Ours),
        None if line == "another" => Some(Owner::Another),
        Some(("unknown", why)) => Some(Owner::Unknown(why.to_owned())),
        _ => None,
    }
}

/// `90 100 103`: when the command was started, the first mount about to be frozen, and the last one frozen.
fn before_freeze(line: &str) -> Option<Duration> {
    let mut words = line.split(' ').map(|word| word.parse::<u64>().ok());
    let (started, began) = (words.next()??, words.next()??);
    Some(Duration::from_millis(began.checked_sub(started)?.checked_mul(10)?))
}

/// `100 103 900`, with `-` for what did not happen.
fn stalled(line: &str) -> Option<Stalled> {
    let mut words = line.split(' ').map(|word| word.parse().ok());
    Some(Stalled { began: words.next()?, held: words.next()?, thawed: words.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(exit_code: i32, stdout: &str) -> Option<Answer> {
        Answer::read(&ShellOutput { exit_code, stdout: stdout.to_owned() })
    }

    #[test]
    fn only_a_guard_is_believed() {
        assert_eq!(read(0, ""), None);
        assert_eq!(read(0, "Success"), None);
        assert_eq!(read(127, "amikeep-guard 1\n"), None);
        assert_eq!(read(194, "amikeep-guard 1\n"), None);
        assert_eq!(read(0, "amikeep-guard 1\n").unwrap().verdict, Verdict::Done);
    }

    #[test]
    fn an_answer_is_read_line_by_line() {
        let answer = read(0, "amikeep-guard 1\nmount 1 7:3 xfs rw,noatime,attr2\nclock 1795309200\n").unwrap();
        assert_eq!((answer.mounts[0].number, answer.mounts[0].fs_type.as_str()), (1, "xfs"));
        assert_eq!((answer.mounts[0].options.as_str(), answer.clock), ("rw,noatime,attr2", Some(1_795_309_200)));
        let refused = read(41, "amikeep-guard 1\nwhy refused /var protected by /\n").unwrap();
        assert_eq!((refused.verdict, refused.why.as_str()), (Verdict::Nothing, "refused /var protected by /"));
        let thawed = read(0, "amikeep-guard 1\nthawed 100 103 900\n").unwrap().stalled.unwrap();
        assert_eq!(thawed.stall(), Some(Duration::from_millis(8_010)));
        let nothing = read(46, "amikeep-guard 1\nthawed - - -\nwhy given-up\n").unwrap();
        assert_eq!(nothing.stalled.unwrap().stall(), None);
    }

    #[test]
    fn a_mount_is_on_known_disks_or_on_unknown_ones() {
        let disks = |lines: &str| {
            let answer = read(0, &format!("amikeep-guard 1\nmount 1 253:0 xfs rw\n{lines}")).unwrap();
            answer.mounts[0].disks.clone()
        };
        let (nvme, xen) = (Disk::Volume("vol-0123456789abcdef0".to_owned()), Disk::Xen("f".to_owned()));
        assert_eq!(disks("disk 1 nvme1n1 vol0123456789abcdef0\ndisk 1 xvdf -\n"), Some(vec![nvme, xen]));
        assert_eq!(disks("disk 1 nvme1n1 vol0123456789abcdef0\ndisk 1 loop3 -\n"), None);
        assert_eq!(disks("disk 1 loop3 -\ndisk 1 xvdf -\n"), None);
        assert_eq!(disks("disk 2 xvdf -\n"), None);
        assert_eq!(disks(""), None);
    }

    #[test]
    fn of_a_directory_that_is_missing_nothing_is_known() {
        let answer = read(0, "amikeep-guard 1\ndata 1 held\ndata 2 missing\ndata 3 outside /mnt/log\ndata 4 unknown\n");
        let known: Vec<_> = answer.unwrap().data.into_iter().collect();
        assert_eq!(known, [(1, Found::Held), (3, Found::Outside("/mnt/log".into()))]);
    }

    #[test]
    fn every_documented_exit_code_has_its_meaning() {
        let over: Vec<i32> = (0..256).filter(|code| Verdict::of(*code).is_some_and(Verdict::is_over)).collect();
        assert_eq!(over, [0, 40, 41, 42, 43, 44, 46, 47, 48]);
        let stuck: Vec<i32> = (0..256).filter(|code| Verdict::of(*code) == Some(Verdict::Stuck)).collect();
        assert_eq!(stuck, [45, 49]);
    }
}
