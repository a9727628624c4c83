//! A measured figure, and what several runs of it come to.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// One figure of one run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figure {
    /// What was measured, in a few words.
    #[serde(rename = "figure")]
    pub(crate) name: String,
    pub(crate) value: f64,
    /// Such as `ms`; empty for a plain number.
    pub(crate) unit: String,
    /// The most that it should be, where there is a goal.
    #[serde(default)]
    pub(crate) at_most: Option<f64>,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &str) -> Self {
        Self { name: name.into(), value, unit: unit.to_owned(), at_most: None }
    }

    pub(crate) fn with_goal(self, at_most: f64) -> Self {
        Self { at_most: Some(at_most), ..self }
    }

    /// The figures that a benchmark program printed, one JSON document per line.
    pub(crate) fn parse_lines(text: &str) -> anyhow::Result<Vec<Self>> {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.map(|line| serde_json::from_str(line).with_context(|| format!("not a figure: {line}"))).collect()
    }
}

/// The same figure of every run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) figure: String,
    pub(crate) unit: String,
    pub(crate) at_most: Option<f64>,
    /// One value per run, in order.
    pub(crate) values: Vec<f64>,
}

impl Row {
    /// Joins the runs of one benchmark, which name the same figures in the same order.
    pub(crate) fn join(runs: &[Vec<Figure>]) -> Vec<Self> {
        let Some(first) = runs.first() else { return Vec::new() };
        let join = |figure: &Figure| {
            let values = runs.iter().flatten().filter(|it| it.name == figure.name).map(|it| it.value).collect();
            Self { figure: figure.name.clone(), unit: figure.unit.clone(), at_most: figure.at_most, values }
        };
        first.iter().map(join).collect()
    }

    /// The middle value, or the mean of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        match (sorted.len() % 2, sorted.get(middle)) {
            (_, None) => 0.0,
            (1, Some(value)) => *value,
            (_, Some(value)) => f64::midpoint(sorted[middle - 1], *value),
        }
    }

    pub(crate) fn lowest(&self) -> f64 {
        self.sorted().first().copied().unwrap_or(0.0)
    }

    pub(crate) fn highest(&self) -> f64 {
        self.sorted().last().copied().unwrap_or(0.0)
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// A number with as many digits as it deserves.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f64]) -> Row {
        Row { figure: "one".to_owned(), unit: "s".to_owned(), at_most: None, values: values.to_vec() }
    }

    #[test]
    fn the_median_of_an_even_number_of_runs_is_between_the_middle_two() {
        let medians = [&[9.0, 1.0, 5.0][..], &[9.0, 1.0, 5.0, 7.0], &[]].map(|values| row(values).median());
        assert_eq!(medians.map(number), ["5", "6", "0"]);
    }

    #[test]
    fn lines_of_a_program_are_figures_or_an_error_that_shows_the_line() {
        let text = "{\"figure\":\"one\",\"value\":1.5,\"unit\":\"ms\",\"at_most\":5}\n\n";
        assert_eq!(Figure::parse_lines(text).unwrap(), [Figure::new("one", 1.5, "ms").with_goal(5.0)]);
        let error = Figure::parse_lines("warming up\n").unwrap_err();
        assert!(error.to_string().contains("not a figure: warming up"), "{error}");
    }

    #[test]
    fn runs_are_joined_by_the_name_of_the_figure() {
        let run = |a: f64, b: f64| vec![Figure::new("a", a, "s"), Figure::new("b", b, "ms")];
        let rows = Row::join(&[run(1.0, 2.0), run(3.0, 4.0)]);
        assert_eq!(rows.iter().map(|row| row.values.clone()).collect::<Vec<_>>(), [[1.0, 3.0], [2.0, 4.0]]);
    }

    #[test]
    fn numbers_have_as_many_digits_as_they_deserve() {
        assert_eq!([1234.5, 12.34, 1.234, 0.01234, 7.0].map(number), ["1234", "12.3", "1.23", "0.0123", "7"]);
    }
}
