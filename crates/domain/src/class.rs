//! Workload classes: which mode a kind of workload calls for, and what to do when that mode is blocked.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::grade::Grade;
use crate::id::{ClassName, FreezeName};

/// The class whose images an audit relies on. It never falls back to an image without a reboot.
pub const REGULATED: &str = "regulated";

/// How an image is to be made consistent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// Shut down, image, boot. Consistent, and costs downtime.
    Reboot,
    /// Image while running. Fast, and as consistent as a power cut.
    NoReboot,
    /// Lock the application, freeze the file systems, image, thaw. Consistent, and costs a short stall.
    Freeze,
}

impl Consistency {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Reboot, Self::NoReboot, Self::Freeze];

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::NoReboot => "no-reboot",
            Self::Freeze => "freeze",
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a blocked mode leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IfBlocked {
    /// The job fails, visibly.
    Fail,
    /// The image is taken without a reboot.
    NoReboot,
    /// The job waits, as long as `start_within` allows.
    Wait,
}

impl IfBlocked {
    /// Every answer.
    pub const ALL: [Self; 3] = [Self::Fail, Self::NoReboot, Self::Wait];

    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::NoReboot => "no-reboot",
            Self::Wait => "wait",
        }
    }
}

/// When a reboot is welcome, in the time zone of the policy. `to` is exclusive; a window whose `to` is not after its
/// `from` runs past midnight and belongs to the day on which it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebootWindow {
    /// The days on which it opens.
    pub days: Vec<Weekday>,
    /// The first moment inside.
    pub from: Time,
    /// The first moment outside.
    pub to: Time,
}

impl RebootWindow {
    /// Whether `at` is inside.
    pub fn is_open(&self, at: Timestamp, timezone: &TimeZone) -> bool {
        let local = timezone.to_datetime(at);
        let (day, time) = (local.date().weekday(), local.time());
        if self.from < self.to {
            self.days.contains(&day) && self.from <= time && time < self.to
        } else {
            (self.days.contains(&day) && self.from <= time) || (self.days.contains(&day.previous()) && time < self.to)
        }
    }

    /// The first opening after `after`. A window opens at least once a week, unless the opening time falls into a
    /// spring gap, in which case it opens at the first moment after the gap.
    pub fn next_opening(&self, after: Timestamp, timezone: &TimeZone) -> Option<Timestamp> {
        let today = timezone.to_datetime(after).date();
        (0..=8_i64).find_map(|days| {
            let date = today.checked_add(Span::new().days(days)).ok()?;
            let opens_at = timezone.to_timestamp(date.to_datetime(self.from)).ok()?;
            (self.days.contains(&date.weekday()) && after < opens_at).then_some(opens_at)
        })
    }
}

impl fmt::Display for RebootWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<&str> = self.days.iter().map(|day| weekday_name(*day)).collect();
        let clock = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
        write!(f, "{} {}-{}", days.join(","), clock(self.from), clock(self.to))
    }
}

/// The three letters by which the configuration names a day.
pub fn weekday_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

/// A workload class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: ClassName,
    /// The mode it calls for.
    pub consistency: Consistency,
    /// What happens when that mode is blocked.
    pub if_blocked: IfBlocked,
    /// The freeze that holds it still.
    pub freeze: Option<FreezeName>,
    /// When it may be rebooted.
    pub reboot_window: Option<RebootWindow>,
    /// Whether a member of an Auto Scaling group may be rebooted.
    pub reboot_in_asg: AsgReboot,
    /// Why the class calls for its mode, in a sentence for people.
    pub why: String,
}

/// Whether a reboot of a member of an Auto Scaling group is accepted. It can make the group replace the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsgReboot {
    /// Refused: the default.
    Blocked,
    /// The class says `reboot_in_asg = true`.
    Allowed,
}

impl Class {
    /// Whether the class may ever be imaged without a reboot or freeze. The one class that may not is `regulated`.
    pub fn may_weaken(&self) -> bool {
        self.name.as_str() != REGULATED
    }

    /// Whether an operator may ask for this mode instead of the class's own: none that weakens `regulated`.
    pub fn allows(&self, asked: Consistency) -> bool {
        self.may_weaken() || asked == Consistency::Reboot || asked == self.consistency
    }

    /// The least grade that satisfies the class. Retention holds the newest image of at least this grade.
    pub fn required_grade(&self) -> Grade {
        match self.consistency {
            Consistency::Reboot => Grade::Clean,
            Consistency::Freeze => Grade::Filesystem,
            Consistency::NoReboot => Grade::Crash,
        }
    }
}

/// The built-in classes by name: the table of the contract.
pub fn built_in() -> BTreeMap<ClassName, Class> {
    use Consistency::{Freeze, NoReboot, Reboot};
    let table = [
        (
            "production-database",
            Reboot,
            "half-written transactions, binlogs and append-only files cannot be trusted otherwise",
        ),
        ("stateful", Reboot, "open files and memory buffers are not flushed by a snapshot"),
        ("golden-image", Reboot, "autoscaling boots it many times, so it must come up clean every time"),
        ("production-migration", Reboot, "the image is the new production"),
        (REGULATED, Reboot, "an audit trail must show a consistent image, so it never falls back"),
        ("critical", Freeze, "must not restart and must be consistent: freeze, image, thaw"),
        ("development", NoReboot, "fast iteration"),
        ("stateless", NoReboot, "nothing on disk to lose"),
        ("always-on", NoReboot, "uptime requirements prohibit restarts"),
        ("config-test", NoReboot, "a quick way back before a change"),
        ("temporary", NoReboot, "a copy of the running state"),
    ];
    table
        .into_iter()
        .filter_map(|(name, consistency, why)| {
            let name: ClassName = name.parse().ok()?;
            let class = Class {
                name: name.clone(),
                consistency,
                if_blocked: IfBlocked::Fail,
                freeze: None,
                reboot_window: None,
                reboot_in_asg: AsgReboot::Blocked,
                why: why.to_owned(),
            };
            Some((name, class))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[Weekday], from: i8, to: i8) -> RebootWindow {
        RebootWindow { days: days.to_vec(), from: Time::constant(from, 0, 0, 0), to: Time::constant(to, 0, 0, 0) }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn all_eleven_classes_are_built_in() {
        assert_eq!(built_in().len(), 11);
        let regulated = built_in().remove(&REGULATED.parse().unwrap()).unwrap();
        assert!(!regulated.may_weaken() && regulated.allows(Consistency::Reboot));
        assert!(!regulated.allows(Consistency::Freeze) && !regulated.allows(Consistency::NoReboot));
    }

    #[test]
    fn a_window_is_open_from_its_first_minute_until_just_before_its_end() {
        let window = window(&[Weekday::Saturday, Weekday::Sunday], 1, 5);
        for (time, want) in [
            ("2026-11-21T00:59:59Z", false),
            ("2026-11-21T01:00:00Z", true),
            ("2026-11-21T04:59:59Z", true),
            ("2026-11-21T05:00:00Z", false),
            ("2026-11-20T02:00:00Z", false),
        ] {
            assert_eq!(window.is_open(at(time), &TimeZone::UTC), want, "{time}");
        }
    }

    #[test]
    fn a_window_past_midnight_belongs_to_the_day_it_opens() {
        let window = window(&[Weekday::Saturday], 22, 4);
        for (time, want) in [
            ("2026-11-21T03:00:00Z", false), // Saturday morning belongs to Friday's window.
            ("2026-11-21T22:00:00Z", true),
            ("2026-11-22T03:59:00Z", true),
            ("2026-11-22T04:00:00Z", false),
            ("2026-11-22T22:30:00Z", false),
        ] {
            assert_eq!(window.is_open(at(time), &TimeZone::UTC), want, "{time}");
        }
    }

    #[test]
    fn a_window_that_ends_when_it_begins_is_open_for_a_day() {
        let window = window(&[Weekday::Saturday], 1, 1);
        for (time, want) in [
            ("2026-11-21T00:59:59Z", false),
            ("2026-11-21T01:00:00Z", true),
            ("2026-11-22T00:59:59Z", true),
            ("2026-11-22T01:00:00Z", false),
        ] {
            assert_eq!(window.is_open(at(time), &TimeZone::UTC), want, "{time}");
        }
    }

    #[test]
    fn the_next_opening_is_never_the_present_one() {
        let window = window(&[Weekday::Saturday], 1, 5);
        let opens_at = window.next_opening(at("2026-11-21T01:00:00Z"), &TimeZone::UTC).unwrap();
        assert_eq!(opens_at, at("2026-11-28T01:00:00Z"));
    }

    #[test]
    fn a_window_that_opens_in_the_spring_gap_opens_after_it() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let window = RebootWindow { from: Time::constant(2, 30, 0, 0), ..window(&[Weekday::Sunday], 0, 5) };
        let opens_at = window.next_opening(at("2026-03-28T12:00:00Z"), &berlin).unwrap();
        assert_eq!(opens_at, at("2026-03-29T01:30:00Z"));
        assert!(window.is_open(opens_at, &berlin));
    }
}
