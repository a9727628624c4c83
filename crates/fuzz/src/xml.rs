//! An independent reader of XML, strict where the SDK's is not: it says what is in a document that is whole.

use std::collections::BTreeSet;

use quick_xml::Reader;
use quick_xml::events::Event;

/// A document that is whole: every element that is opened is closed, in its order, and nothing is around the root.
#[derive(Debug)]
pub(crate) struct Document {
    root: String,
    /// Every element: its path with `/`, and the text directly in it.
    leaves: Vec<(String, String)>,
    /// Whether some element but an entry of a list is there twice in one place.
    is_ambiguous: bool,
}

/// What an entry of a list is called. Only these are there more than once, in every answer of EC2 and STS.
const ENTRIES: [&str; 3] = ["item", "member", "Error"];

/// An element that is not closed yet.
struct Open {
    path: String,
    text: String,
    children: BTreeSet<String>,
}

impl Document {
    /// `None` for what is no whole document of XML.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::from_str(std::str::from_utf8(bytes).ok()?);
        reader.config_mut().check_comments = true;
        let mut document = Self { root: String::new(), leaves: Vec::new(), is_ambiguous: false };
        let mut open: Vec<Open> = Vec::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => document.enter(&mut open, start.local_name().as_ref())?,
                Event::Empty(start) => {
                    document.enter(&mut open, start.local_name().as_ref())?;
                    document.leave(&mut open)?;
                }
                Event::End(_) => document.leave(&mut open)?,
                Event::Text(content) => add(&mut open, &content.xml10_content())?,
                Event::CData(content) => add(&mut open, &content.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().ok()?.map(String::from);
                    let name = reference.xml10_content();
                    let known = || quick_xml::escape::resolve_predefined_entity(&name).map(str::to_owned);
                    add(&mut open, &character.or_else(known)?)?;
                }
                Event::Eof => return (open.is_empty() && !document.root.is_empty()).then_some(document),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    /// The name of the outermost element.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// Whether an element is there twice where EC2 has one. Which of them counts is nowhere said.
    #[cfg(feature = "ec2")]
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// The texts of the elements at this path below the root, in their order.
    pub(crate) fn texts(&self, path: &str) -> impl Iterator<Item = &str> {
        let path = format!("{}/{path}", self.root);
        self.leaves.iter().filter(move |(at, _)| *at == path).map(|(_, text)| text.as_str())
    }

    /// Whether any element has a text with this in it.
    #[cfg(feature = "ec2")]
    pub(crate) fn says(&self, text: &str) -> bool {
        self.leaves.iter().any(|(_, it)| it.contains(text))
    }

    fn enter(&mut self, open: &mut Vec<Open>, name: &str) -> Option<()> {
        let path = match open.last_mut() {
            Some(parent) => {
                self.is_ambiguous |= !parent.children.insert(name.to_owned()) && !ENTRIES.contains(&name);
                format!("{}/{name}", parent.path)
            }
            None if self.root.is_empty() => {
                name.clone_into(&mut self.root);
                name.to_owned()
            }
            None => return None,
        };
        open.push(Open { path, text: String::new(), children: BTreeSet::new() });
        Some(())
    }

    fn leave(&mut self, open: &mut Vec<Open>) -> Option<()> {
        let Open { path, text, .. } = open.pop()?;
        self.leaves.push((path, text));
        Some(())
    }
}

/// Text has to be in an element, but for white space around the root.
fn add(open: &mut [Open], content: &str) -> Option<()> {
    match open.last_mut() {
        Some(element) => element.text.push_str(content),
        None if content.trim().is_empty() => {}
        None => return None,
    }
    Some(())
}
