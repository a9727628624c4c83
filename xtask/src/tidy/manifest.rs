//! `Cargo.toml` files, read as far as the rules need them.

use toml::{Table, Value};

/// What a dependency is for; the rules differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// One line of a dependency table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The package's name, even where the manifest gives it another one.
    pub(crate) package: String,
    pub(crate) kind: Kind,
    pub(crate) line: usize,
}

/// One package's manifest.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) inherits_lints: bool,
}

const KINDS: [(&str, Kind); 3] =
    [("dependencies", Kind::Normal), ("build-dependencies", Kind::Build), ("dev-dependencies", Kind::Dev)];

impl Manifest {
    /// Reads a package's manifest, with the tables of single targets (`[target.….dependencies]`) included.
    pub(crate) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let table: Table = text.parse()?;
        let mut dependencies = dependencies_of(&table, text);
        if let Some(Value::Table(targets)) = table.get("target") {
            let tables = targets.values().filter_map(Value::as_table);
            dependencies.extend(tables.flat_map(|target| dependencies_of(target, text)));
        }
        let lints = table.get("lints").and_then(|lints| lints.get("workspace"));
        Ok(Self { dependencies, inherits_lints: lints.and_then(Value::as_bool) == Some(true) })
    }
}

fn dependencies_of(table: &Table, text: &str) -> Vec<Dependency> {
    let mut found = Vec::new();
    for (section, kind) in KINDS {
        for (key, value) in table.get(section).and_then(Value::as_table).into_iter().flatten() {
            let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
            found.push(Dependency { package: package.to_owned(), kind, line: line_of(text, key) });
        }
    }
    found
}

/// The packages of `[workspace.dependencies]` that come from elsewhere, with their lines.
pub(crate) fn workspace_dependencies(text: &str) -> Result<Vec<(String, usize)>, toml::de::Error> {
    let table: Table = text.parse()?;
    let all = table.get("workspace").and_then(|workspace| workspace.get("dependencies")).and_then(Value::as_table);
    let foreign = all.into_iter().flatten().filter(|(_, value)| value.get("path").is_none());
    Ok(foreign.map(|(key, _)| (key.clone(), line_of(text, key))).collect())
}

/// The first line that sets `key`, or 1.
fn line_of(text: &str, key: &str) -> usize {
    let sets_key = |line: &str| {
        let rest = line.trim_start().strip_prefix(key);
        rest.is_some_and(|rest| rest.starts_with(['.', '=', ' ']))
    };
    text.lines().position(sets_key).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_or_target_specific_dependency_cannot_hide() {
        let text = "[dependencies]\nplain.workspace = true\ndb = { package = \"sqlx\", version = \"1\" }\n\
                    [target.'cfg(unix)'.dev-dependencies]\nextra = \"1\"\n";
        let manifest = Manifest::parse(text).expect("valid");
        let seen: Vec<_> = manifest.dependencies.iter().map(|d| (d.package.as_str(), d.kind, d.line)).collect();
        assert_eq!(seen, [("sqlx", Kind::Normal, 3), ("plain", Kind::Normal, 2), ("extra", Kind::Dev, 5)]);
        assert!(!manifest.inherits_lints);
    }

    #[test]
    fn members_of_the_workspace_are_no_foreign_packages() {
        let text = "[workspace.dependencies]\nours = { path = \"crates/ours\" }\nserde = \"1\"\n";
        assert_eq!(workspace_dependencies(text).expect("valid"), [("serde".to_owned(), 3)]);
    }
}
