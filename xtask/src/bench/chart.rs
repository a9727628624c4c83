//! A bar chart as SVG: every figure with a goal, as a share of it.
//!
//! A bar that ends before the line has met its goal. One scale for all, so that seconds and megabytes can stand side by
//! side. No script, no font of its own; readable on light and dark pages.

use std::fmt::Write as _;

use crate::bench::figure::{Row, number};

const WIDTH: f64 = 760.0;
const LABELS: f64 = 330.0;
const BAR_HEIGHT: f64 = 18.0;
const ROW_HEIGHT: f64 = 26.0;
const TOP: f64 = 34.0;

/// A bar longer than this many goals is cut, and says its number.
const SHARE_MAX: f64 = 2.0;

/// The chart, or `None` if no figure has a goal.
pub(crate) fn render(title: &str, rows: &[Row]) -> Option<String> {
    let rows: Vec<(&Row, f64)> =
        rows.iter().filter_map(|row| Some((row, row.at_most.filter(|goal| 0.0 < *goal)?))).collect();
    if rows.is_empty() {
        return None;
    }
    let height = rows.iter().fold(TOP + 8.0, |height, _| height + ROW_HEIGHT);
    let x = |share: f64| LABELS + share.clamp(0.0, SHARE_MAX) / SHARE_MAX * (WIDTH - LABELS - 70.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" font-family=\"sans-serif\" font-size=\"12\">\n<title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        title = escape(title)
    );
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        svg,
        "<text x=\"{goal}\" y=\"20\" text-anchor=\"middle\" fill=\"#444444\">goal</text>\n\
         <line x1=\"{goal}\" y1=\"26\" x2=\"{goal}\" y2=\"{height}\" stroke=\"#444444\" stroke-dasharray=\"4 3\"/>",
        goal = x(1.0)
    );
    let mut y = TOP;
    for (row, goal) in rows {
        svg.push_str(&bar(row, goal, y, x));
        y += ROW_HEIGHT;
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

/// The median as a bar, lowest and highest as a whisker.
fn bar(row: &Row, goal: f64, y: f64, x: impl Fn(f64) -> f64) -> String {
    let (median, middle) = (row.median(), y + BAR_HEIGHT / 2.0);
    let fill = if median <= goal { "#2f7d4f" } else { "#b3402e" };
    let width = (x(median / goal) - LABELS).max(1.0);
    let mut text = format!(
        "<text x=\"{label}\" y=\"{baseline}\" text-anchor=\"end\" fill=\"#222222\">{name}</text>\n\
         <rect x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{fill}\"/>\n\
         <text x=\"{value_x:.1}\" y=\"{baseline}\" fill=\"#222222\">{value}</text>\n",
        label = LABELS - 8.0,
        baseline = middle + 4.0,
        name = escape(&row.figure),
        value_x = x(row.highest() / goal) + 6.0,
        value = escape(&format!("{} {}", number(median), row.unit)),
    );
    if 1 < row.values.len() {
        let _ = writeln!(
            text,
            "<line x1=\"{:.1}\" y1=\"{middle}\" x2=\"{:.1}\" y2=\"{middle}\" stroke=\"#222222\"/>",
            x(row.lowest() / goal),
            x(row.highest() / goal)
        );
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(figure: &str, at_most: Option<f64>, values: &[f64]) -> Row {
        Row { figure: figure.to_owned(), unit: "ms".to_owned(), at_most, values: values.to_vec() }
    }

    #[test]
    fn only_figures_with_a_goal_have_a_bar() {
        assert_eq!(render("ledger", &[row("size", None, &[1.0])]), None);
        let svg = render("ledger", &[row("size", None, &[1.0]), row("p99 < 5", Some(5.0), &[1.0, 2.0, 9.0])]).unwrap();
        assert!(svg.contains("p99 &lt; 5") && !svg.contains(">size<"), "{svg}");
        assert!(svg.contains(">2 ms<"), "the median is written beside its bar: {svg}");
    }

    #[test]
    fn a_missed_goal_has_another_colour_and_stays_in_the_picture() {
        let svg = render("t", &[row("late", Some(1.0), &[50.0])]).unwrap();
        assert!(svg.contains("#b3402e"), "{svg}");
        assert!(svg.contains("width=\"360.0\""), "{svg}");
    }
}
