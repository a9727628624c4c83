//! Where an application stood at the capture, so that a restore knows.
//!
//! It owns how that is kept: as names and values for the history of a job, and shortened for one tag of the image.

/// Names and values, in the order in which they are told. Names are ours and the same for every server that has the
/// fact; values are in the application's own words.
///
/// | name | meaning | of |
/// |---|---|---|
/// | `server` | product and version | all |
/// | `role` | `primary` or `replica` | all |
/// | `lock` | what held writes still, `none` if nothing did and positions are lower bounds | all |
/// | `binlog_file`, `binlog_position`, `gtid` | where the server's own binary log ended | MySQL, MariaDB |
/// | `source_log_file`, `source_log_position` | up to where a replica had applied its source | MySQL, MariaDB |
/// | `wal_lsn`, `timeline`, `system_identifier` | the write-ahead log: where the next record would go, or what was replayed | PostgreSQL |
/// | `replication_id`, `replication_offset`, `aof`, `last_save` | the stream of writes, and what is on disk | Redis |
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    facts: Vec<(&'static str, String)>,
}

impl Recorded {
    /// Every fact, in order.
    pub fn facts(&self) -> &[(&'static str, String)] {
        &self.facts
    }

    /// One fact by its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.facts.iter().find(|(fact, _)| *fact == name).map(|(_, value)| value.as_str())
    }

    /// The facts as the value of one tag, at most `length_max` characters: EC2 allows 256. Facts that do not fit are
    /// left out whole, so that no shortened position can be taken for a position.
    pub fn tag(&self, length_max: usize) -> String {
        tag_of(self.facts.iter().map(|(name, value)| (*name, value.as_str())), length_max)
    }

    /// Adds a fact, unless there is nothing to tell.
    pub(crate) fn add(&mut self, name: &'static str, value: Option<impl Into<String>>) {
        if let Some(value) = value.map(Into::into).filter(|value| !value.is_empty()) {
            self.facts.push((name, value));
        }
    }
}

/// [`Recorded::tag`] of facts that were kept.
pub fn tag_of<'a>(facts: impl Iterator<Item = (&'a str, &'a str)>, length_max: usize) -> String {
    let mut tag = String::new();
    let mut length = 0;
    for (name, value) in facts {
        let fact: String = format!("{name}={value}").chars().map(fit_for_tag).collect();
        let separator = if tag.is_empty() { "" } else { " / " };
        let longer = length + separator.len() + fact.chars().count();
        if longer <= length_max {
            tag.push_str(separator);
            tag.push_str(&fact);
            length = longer;
        }
    }
    tag
}

/// What every service of AWS takes in a tag; sets of GTIDs are written with commas and line ends.
fn fit_for_tag(c: char) -> char {
    if c.is_alphanumeric() || "+-=._:/@ ".contains(c) { c } else { ' ' }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(facts: &[(&'static str, &str)]) -> Recorded {
        let mut recorded = Recorded::default();
        for (name, value) in facts {
            recorded.add(name, Some(*value));
        }
        recorded
    }

    #[test]
    fn a_tag_has_every_fact_in_order_and_only_what_tags_may_hold() {
        let recorded = recorded(&[("server", "mysql 8.0.36"), ("empty", ""), ("gtid", "3e11:1-5,\n4f22:1-7")]);
        assert_eq!(recorded.tag(256), "server=mysql 8.0.36 / gtid=3e11:1-5  4f22:1-7");
    }

    #[test]
    fn a_fact_that_does_not_fit_is_left_out_whole() {
        let recorded = recorded(&[("a", "1"), ("gtid", &"x".repeat(256)), ("b", "2")]);
        assert_eq!(recorded.tag(256), "a=1 / b=2");
        assert_eq!(recorded.tag(9), "a=1 / b=2");
        assert_eq!(recorded.tag(8), "a=1");
        assert_eq!(recorded.tag(0), "");
    }
}
