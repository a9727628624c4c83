//! The statements of `docs/freeze.md`, which tests run as they are written there.

use std::fs;
use std::path::Path;

/// What stands between the fences of the only block of this kind.
pub(crate) fn block(kind: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/freeze.md")).unwrap();
    let fence = format!("\n```{kind}\n");
    let mut blocks = page.split(&fence).skip(1);
    let block = blocks.next().unwrap_or_else(|| panic!("docs/freeze.md has no block `{kind}`"));
    assert!(blocks.next().is_none(), "docs/freeze.md has several blocks `{kind}`");
    block.split("\n```").next().unwrap().to_owned()
}
