//! The nearest name for a typo. A suggestion that is far off is worse than none, so the bar is high.

/// Jaro-Winkler similarity from which a name is worth suggesting. It was set by trying the typos of the tests: lower,
/// and unrelated keys are suggested; higher, and `policy` no longer leads to `policies`.
const SIMILARITY_MIN: f64 = 0.86;

/// The shortest fragment that may stand for a longer name, as `database` does for `production-database`.
const FRAGMENT_LEN_MIN: usize = 4;

/// The name that was probably meant.
pub(crate) fn nearest<N: AsRef<str>>(given: &str, names: impl IntoIterator<Item = N>) -> Option<N> {
    let given = given.to_ascii_lowercase();
    let rank = |name: &N| {
        let name = name.as_ref().to_ascii_lowercase();
        let is_fragment = FRAGMENT_LEN_MIN <= given.len() && name.contains(&given);
        if is_fragment { SIMILARITY_MIN.max(similarity(&given, &name)) } else { similarity(&given, &name) }
    };
    best(names, rank)
}

/// The time zone that was probably meant. The city decides: names of one area are alike only because of the area.
pub(crate) fn nearest_zone(given: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    let given = given.to_ascii_lowercase().replace(' ', "_");
    best(names, |name| {
        let name = name.to_ascii_lowercase();
        let by_city = similarity(city(&given), city(&name));
        // Among equal cities the area decides; it weighs too little to lift a name over the bar by itself.
        if by_city < SIMILARITY_MIN { 0.0 } else { by_city + similarity(&given, &name) / 1000.0 }
    })
}

/// `did you mean …`, if there is a nearest name.
pub(crate) fn did_you_mean(name: Option<impl AsRef<str>>) -> Option<String> {
    name.map(|name| format!("did you mean `{}`?", name.as_ref()))
}

fn city(zone: &str) -> &str {
    zone.rsplit('/').next().unwrap_or(zone)
}

fn similarity(given: &str, name: &str) -> f64 {
    strsim::jaro_winkler(given, name)
}

fn best<N>(names: impl IntoIterator<Item = N>, rank: impl Fn(&N) -> f64) -> Option<N> {
    let ranked = names.into_iter().map(|name| (rank(&name), name));
    ranked.filter(|(rank, _)| SIMILARITY_MIN <= *rank).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_leads_to_the_name_and_a_foreign_word_to_none() {
        let names = ["account", "class", "schedule", "timezone", "policies", "production-database", "copy_tags"];
        for (given, want) in [
            ("time_zone", Some("timezone")),
            ("Schedule", Some("schedule")),
            ("shcedule", Some("schedule")),
            ("policy", Some("policies")),
            ("acount", Some("account")),
            ("prod-database", Some("production-database")),
            ("database", Some("production-database")),
            ("cron", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, names), want, "{given}");
        }
    }

    #[test]
    fn a_zone_is_found_by_its_city() {
        for (given, want) in [
            ("Europe/Berln", Some("Europe/Berlin")),
            ("Berlin", Some("Europe/Berlin")),
            ("europe/berlin", Some("Europe/Berlin")),
            ("America/New York", Some("America/New_York")),
            ("Europe/Frankfurt", None),
            ("Europe/Munich", None),
            ("utc+1", Some("UTC")),
        ] {
            let names = ["America/New_York", "Europe/Belgrade", "Europe/Berlin", "Europe/Minsk", "UTC"];
            assert_eq!(nearest_zone(given, names.map(str::to_owned)).as_deref(), want, "{given}");
        }
    }
}
