//! A small XML writer: elements, text, escapes. EC2's answers need no attributes but one namespace.

use std::fmt::Display;

use jiff::Timestamp;

use crate::reply::Tags;
use crate::time_text::wire_time;

/// XML in the making.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// A document with one root in a namespace.
    pub(crate) fn document(root: &str, namespace: Option<&str>, content: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned());
        let xmlns = namespace.map(|namespace| format!(" xmlns=\"{namespace}\"")).unwrap_or_default();
        xml.open(&format!("{root}{xmlns}"));
        content(&mut xml);
        xml.close(root);
        xml.0
    }

    fn open(&mut self, tag: &str) {
        self.0.extend(["<", tag, ">"]);
    }

    fn close(&mut self, name: &str) {
        self.0.extend(["</", name, ">"]);
    }

    pub(crate) fn element(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.open(name);
        content(self);
        self.close(name);
    }

    pub(crate) fn text(&mut self, name: &str, value: impl Display) {
        self.open(name);
        for c in value.to_string().chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                // XML 1.0 has no way to write other control characters, nor these two.
                '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                c if c.is_control() && !matches!(c, '\t' | '\n' | '\r') => self.0.push('\u{fffd}'),
                '\r' => self.0.push_str("&#13;"),
                c => self.0.push(c),
            }
        }
        self.close(name);
    }

    pub(crate) fn time(&mut self, name: &str, at: Timestamp) {
        self.text(name, wire_time(at));
    }

    /// `<name><item>…</item>…</name>`, empty too.
    pub(crate) fn items<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut content: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for item in items {
                xml.element("item", |xml| content(xml, item));
            }
        });
    }

    pub(crate) fn tags(&mut self, tags: &Tags) {
        if !tags.is_empty() {
            self.items("tagSet", tags, |xml, (key, value)| {
                xml.text("key", key);
                xml.text("value", value);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_the_document_is_escaped() {
        let xml = Xml::document("r", Some("urn:x"), |xml| xml.text("a", "<b> & \"c\" \u{1}\u{ffff}\r"));
        let expected = "<r xmlns=\"urn:x\"><a>&lt;b&gt; &amp; &quot;c&quot; \u{fffd}\u{fffd}&#13;</a></r>";
        assert_eq!(xml.lines().last(), Some(expected));
    }
}
