//! No text makes the reader panic, and no refusal is without a reason.

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_oneof, proptest};
use proptest::sample::Index;

use crate::tests::examples::EXAMPLES;
use crate::{Color, Report, parse};

/// One edit, of the kinds that hands and editors make.
#[derive(Debug, Clone)]
enum Edit {
    Remove(Index, usize),
    Insert(Index, String),
    Swap(Index, Index),
    DropLine(Index),
    Truncate(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let fragment = prop_oneof![
        Just("\"".to_owned()),
        Just("{ ".to_owned()),
        Just("]".to_owned()),
        Just("= 1 ".to_owned()),
        Just("\n[policies.x]\n".to_owned()),
        Just("\u{1b}[31m".to_owned()),
        Just("-1".to_owned()),
        Just("ä\r\n".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    prop_oneof![
        (any::<Index>(), 1_usize..20).prop_map(|(at, len)| Edit::Remove(at, len)),
        (any::<Index>(), fragment).prop_map(|(at, text)| Edit::Insert(at, text)),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Edit::Swap(a, b)),
        any::<Index>().prop_map(Edit::DropLine),
        any::<Index>().prop_map(Edit::Truncate),
    ]
}

fn apply(text: &str, edit: &Edit) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let len = chars.len() + 1;
    match edit {
        Edit::Remove(at, n) => {
            let start = at.index(len);
            drop(chars.drain(start..(start + n).min(chars.len())));
        }
        Edit::Insert(at, text) => {
            let start = at.index(len);
            drop(chars.splice(start..start, text.chars()));
        }
        Edit::Swap(a, b) if !chars.is_empty() => chars.swap(a.index(len - 1), b.index(len - 1)),
        Edit::Swap(..) => {}
        Edit::DropLine(at) => {
            let lines: Vec<&str> = text.lines().collect();
            let dropped = at.index(lines.len().max(1));
            let kept = lines.iter().enumerate().filter(|(index, _)| *index != dropped);
            return kept.map(|(_, line)| *line).collect::<Vec<_>>().join("\n");
        }
        Edit::Truncate(at) => chars.truncate(at.index(len)),
    }
    chars.into_iter().collect()
}

/// The report of any text, after every promise about it is checked.
fn examine(text: &str) -> Report {
    let (report, is_accepted) = match parse(text, "f") {
        Ok(loaded) => (loaded.warnings, true),
        Err(error) => (error.report().clone(), false),
    };
    assert_eq!(is_accepted, report.errors().next().is_none(), "refused without a reason, or accepted with an error");
    for diagnostic in report.diagnostics() {
        let place = diagnostic.place.as_ref().unwrap();
        let line = text.split('\n').nth(place.line - 1).unwrap();
        assert!(place.column <= line.chars().count() + 1);
        assert!(text.get(place.span.clone()).is_some_and(|spanned| !spanned.contains('\n')));
        assert!(!diagnostic.message.is_empty());
    }
    let rendered = report.render(Color::Plain);
    assert!(!rendered.contains('\u{1b}'), "a terminal would obey the file");
    assert_eq!(rendered.is_empty(), report.is_empty());
    drop(report.render(Color::Ansi));
    report
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_example_is_judged_without_panic(
        example in 0_usize..3,
        edits in proptest::collection::vec(edit(), 1..6),
    ) {
        let mut text = EXAMPLES[example].1.to_owned();
        for edit in &edits {
            text = apply(&text, edit);
        }
        examine(&text);
    }

    #[test]
    fn any_text_is_judged_without_panic(text in "\\PC{0,80}|[\\[\\]{}=\"'.,#a-z0-9 \n\r]{0,200}") {
        examine(&text);
    }

    #[test]
    fn any_value_under_any_key_is_judged_without_panic(
        key in 0_usize..64,
        value in prop_oneof![
            "\"\\PC{0,20}\"", Just("[]".to_owned()), Just("{}".to_owned()), Just("[[1], {}]".to_owned()),
            any::<i64>().prop_map(|n| n.to_string()), Just("1e400".to_owned()), Just("1979-05-27".to_owned()),
            Just("99999999999999999999".to_owned()), Just("true".to_owned()),
        ],
    ) {
        let text = EXAMPLES[1].1;
        let keys: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && line.contains(" = ")).collect();
        let line = keys[key % keys.len()];
        let name = line.split_once('=').map_or("", |(name, _)| name);
        let report = examine(&text.replace(line, &format!("{name}= {value}")));
        prop_assert!(report.diagnostics().len() < 20);
    }
}
