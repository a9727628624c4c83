//! A description on a terminal: labels on the left, what they are about on the right, broken into lines that fit.

use amikeep_config::Color;
use amikeep_view::table::Fact;

use crate::output::paint;

/// Before each label.
const INDENT: &str = "  ";
/// A narrower column of text is a ladder; then the terminal may break the lines.
const TEXT_WIDTH_MIN: usize = 24;

/// The lines of a description, without a line break at the end.
pub(crate) fn facts(facts: &[Fact], width: Option<u16>, color: Color) -> String {
    let label_width = facts.iter().map(|fact| fact.label.len()).max().unwrap_or(0);
    let indent = INDENT.len() + label_width + 2;
    let room = width.map(|width| usize::from(width).saturating_sub(indent)).filter(|room| TEXT_WIDTH_MIN <= *room);
    let mut lines = Vec::new();
    for fact in facts {
        for (n, line) in wrap(&fact.value.text, room).iter().enumerate() {
            let label = if n == 0 { &*fact.label } else { "" };
            lines.push(format!("{INDENT}{label:label_width$}  {}", paint(line, fact.value.tone, color)));
        }
    }
    lines.join("\n")
}

/// Breaks a text between words. A word that is too long stays whole, since it is an id that somebody copies.
fn wrap(text: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room else { return vec![text.to_owned()] };
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
    lines
}

#[cfg(test)]
mod tests {
    use amikeep_view::table::Cell;

    use super::*;

    #[test]
    fn values_are_aligned_and_broken_between_words() {
        let given = [
            Fact::new("state", Cell::plain("failed")),
            Fact::new("next step", Cell::plain("allow ec2:CreateImage for the role of amikeep")),
        ];
        assert_eq!(
            facts(&given, Some(40), Color::Plain),
            "  state      failed\n  next step  allow ec2:CreateImage for\n             the role of amikeep"
        );
        assert_eq!(
            facts(&given, None, Color::Plain),
            "  state      failed\n  next step  allow ec2:CreateImage for the role of amikeep"
        );
    }
}
