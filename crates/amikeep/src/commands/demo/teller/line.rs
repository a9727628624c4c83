//! The words of a line: pure, from a job or a member of the fleet.

use amikeep_domain::class::Consistency;
use amikeep_domain::grade::Grade;
use amikeep_domain::job::Job;
use amikeep_view::table::Tone;

use crate::commands::demo::fleet::Member;

/// A column of text that is narrower is a ladder.
const ROOM_MIN: usize = 24;

/// One instance: its name, its tags but the name, and what is particular about it.
pub(super) fn member(member: &Member) -> String {
    let tags: Vec<String> = member
        .tags()
        .into_iter()
        .filter(|(key, _)| *key != "Name")
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!("    {:<8} {:<38} {}", member.name, tags.join(" "), member.remark).trim_end().to_owned()
}

/// A text indented, and broken between words where the terminal is narrow. A long word stays whole: it may be copied.
pub(super) fn wrapped(text: &str, indent: usize, width: Option<u16>) -> String {
    let room = width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(indent).max(ROOM_MIN));
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    let lines: Vec<String> = lines.into_iter().map(|line| format!("{:indent$}{line}", "")).collect();
    lines.join("\n")
}

/// What the instance did while it was imaged.
pub(super) fn mode(job: &Job) -> &'static str {
    match job.intent.as_ref() {
        Some(intent) if intent.expected == Grade::Offline => "stopped",
        Some(intent) if intent.mode == Consistency::Reboot => "rebooted",
        Some(intent) if intent.mode == Consistency::Freeze => "held",
        Some(_) => "running",
        None => "",
    }
}

/// A grade, and how it looks.
pub(super) fn grade(grade: Grade) -> (&'static str, Tone) {
    (grade.as_str(), if grade == Grade::Crash { Tone::Warning } else { Tone::Good })
}

/// How long EC2 took for the image.
pub(super) fn took(job: &Job) -> String {
    let began_at = job.intent.as_ref().map_or(job.created_at, |intent| intent.recorded_at);
    let took = job.finished_at().unwrap_or(began_at).duration_since(began_at);
    format!("{:>2} min", (took.as_secs() + 30) / 60)
}

/// As in "once".
pub(super) fn times(n: usize) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}

/// As in "1 image".
pub(super) fn images(n: usize) -> String {
    if n == 1 { "1 image".to_owned() } else { format!("{n} images") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_between_words_only_where_there_is_an_edge() {
        assert_eq!(wrapped("remove the tag of the instance", 4, None), "    remove the tag of the instance");
        assert_eq!(wrapped("remove the tag of the instance", 4, Some(30)), "    remove the tag of the\n    instance");
        let id = "i-0123456789abcdef0123456789abcdef";
        assert_eq!(wrapped(id, 2, Some(10)), format!("  {id}"));
    }

    #[test]
    fn every_member_of_the_fleet_fits_on_a_line() {
        for it in crate::commands::demo::fleet::FLEET {
            assert!(member(&it).len() <= 80, "{}", member(&it));
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!((times(1), times(2)), ("once".to_owned(), "2 times".to_owned()));
        assert_eq!((images(1), images(2)), ("1 image".to_owned(), "2 images".to_owned()));
    }
}
