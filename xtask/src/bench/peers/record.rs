//! The simulator's record of calls, `ec2-sim --state-log`, as far as images are concerned.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};

/// What was called, in order.
#[derive(Debug, Default)]
pub(super) struct Record {
    began_at: Option<Timestamp>,
    since: Option<Timestamp>,
    calls: usize,
    throttled: usize,
    /// Images by instance.
    images: BTreeMap<String, usize>,
    last_image_at: Option<Timestamp>,
}

impl Record {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self::parse(&text)),
            // The simulator makes it when it has told its address.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// A line that is being written is not there yet.
    fn parse(text: &str) -> Self {
        let mut record = Self::default();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            record.take(line.trim_end());
        }
        record
    }

    fn take(&mut self, line: &str) {
        let Some((call, outcome)) = line.rsplit_once(" -> ") else { return };
        let mut words = call.splitn(5, ' ');
        let Some(at) = words.next().and_then(|at| at.parse::<Timestamp>().ok()) else { return };
        let Some(request) = words.nth(3) else { return };
        // What belongs to no limit of EC2 is not counted.
        if request.starts_with("GetCallerIdentity") || request.starts_with("ListServiceQuotas") {
            return;
        }
        self.began_at.get_or_insert(at);
        self.calls += 1;
        self.throttled += usize::from(outcome.contains("RequestLimitExceeded"));
        if request.starts_with("CreateImage(") && outcome == "Answered" {
            let instance = between(request, "instance_id: \"", "\"").unwrap_or_default();
            *self.images.entry(instance.to_owned()).or_default() += 1;
            self.last_image_at = Some(at);
        }
    }

    /// The same, with times counted from then on.
    pub(super) fn since(self, at: Timestamp) -> Self {
        Self { since: Some(at), ..self }
    }

    /// The first call.
    pub(super) fn began_at(&self) -> Option<Timestamp> {
        self.began_at
    }

    pub(super) fn to_last_image(&self) -> Option<SignedDuration> {
        Some(self.last_image_at?.duration_since(self.since.or(self.began_at)?))
    }

    pub(super) fn images(&self) -> usize {
        self.images.values().sum()
    }

    pub(super) fn instances_with_image(&self) -> usize {
        self.images.len()
    }

    pub(super) fn instances_with_two(&self) -> usize {
        self.images.values().filter(|images| 1 < **images).count()
    }

    pub(super) fn throttled_percent(&self) -> f64 {
        let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        100.0 * count(self.throttled) / count(self.calls.max(1))
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_throttled_calls_and_times_are_counted() {
        let image = |second: u32, instance: &str, outcome: &str| {
            format!(
                "2026-11-22T02:00:{second:02}Z 111122223333 eu-central-1 dry_run=false CreateImage(CreateImage {{ \
                 instance_id: \"{instance}\", name: \"a -> b\" }}) -> {outcome}\n"
            )
        };
        let text = [
            "2026-11-22T02:00:00Z 111122223333 eu-central-1 dry_run=false DescribeInstances { ids: [] } -> Answered\n"
                .to_owned(),
            image(1, "i-1", "Answered"),
            image(2, "i-2", "Refused(\"RequestLimitExceeded\")"),
            image(4, "i-2", "Answered"),
            image(5, "i-2", "Answered"),
            image(6, "i-3", "Answered").trim_end().to_owned(),
        ]
        .concat();
        let record = Record::parse(&text);
        assert_eq!((record.images(), record.instances_with_image(), record.instances_with_two()), (3, 2, 1));
        assert_eq!(record.to_last_image().map(|it| it.as_secs()), Some(5));
        assert!((record.throttled_percent() - 20.0).abs() < 1e-9);
        let later = record.since("2026-11-22T02:00:03Z".parse().expect("a time"));
        assert_eq!(later.to_last_image().map(|it| it.as_secs()), Some(2));
    }
}
