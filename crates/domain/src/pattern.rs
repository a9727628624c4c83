//! Text patterns as EC2 filters have them: `*` is any text, `?` is one character, `\` takes the next character as it
//! is, and case counts. Source: "Using filtering" in the EC2 User Guide.

use std::fmt;

/// One filter value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    AnyOne,
    AnyText,
}

impl Pattern {
    /// Every text is a pattern.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` matches as a whole.
    pub fn matches(&self, text: &str) -> bool {
        let tokens = tokens(&self.0);
        let text: Vec<char> = text.chars().collect();
        let (mut token_idx, mut char_idx) = (0, 0);
        // Where to resume when a later token does not fit: the last `*`, and the text it has taken so far. Trying only
        // the last `*` again is enough, which keeps the worst case at tokens times characters.
        let mut resume: Option<(usize, usize)> = None;
        while char_idx < text.len() {
            match tokens.get(token_idx) {
                Some(Token::AnyText) => {
                    resume = Some((token_idx, char_idx));
                    token_idx += 1;
                }
                Some(Token::AnyOne) => (token_idx, char_idx) = (token_idx + 1, char_idx + 1),
                Some(Token::Literal(c)) if *c == text[char_idx] => {
                    (token_idx, char_idx) = (token_idx + 1, char_idx + 1);
                }
                _ => {
                    let Some((star_idx, taken_to)) = resume else { return false };
                    (token_idx, char_idx) = (star_idx, taken_to + 1);
                }
            }
        }
        tokens[token_idx..].iter().all(|token| *token == Token::AnyText)
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut chars = pattern.chars();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::AnyText,
            '?' => Token::AnyOne,
            '\\' => Token::Literal(chars.next().unwrap_or('\\')),
            other => Token::Literal(other),
        });
    }
    tokens
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_ec2_filters_do() {
        for (pattern, text, want) in [
            ("prod", "prod", true),
            ("prod", "Prod", false),
            ("prod", "production", false),
            ("prod*", "production", true),
            ("*", "", true),
            ("?", "", false),
            ("?", "é", true),
            ("db-?-*", "db-1-eu", true),
            ("db-?-*", "db-12-eu", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            (r"\*", "*", true),
            (r"\*", "x", false),
            (r"a\\b", r"a\b", true),
            ("***", "anything", true),
            ("*ab", "aab", true),
            ("*ab?", "xaabab1", true),
            ("*aab", "aaab", true),
            ("*aab*c", "aaaabxc", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), want, "{pattern} against {text}");
        }
    }

    #[test]
    fn a_pattern_is_told_as_it_was_written() {
        let pattern = Pattern::new(r"db-\*-?");
        assert_eq!((pattern.as_str(), pattern.to_string().as_str()), (r"db-\*-?", r"db-\*-?"));
    }
}
