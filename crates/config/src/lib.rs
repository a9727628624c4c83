//! TOML to domain, with spans, suggestions and the JSON Schema.
//!
//! [`load()`] reads a file and gives either a [`Config`], every part of which has passed every check, or a [`Report`] of
//! everything that is wrong with the file at once: where, what is allowed, and what was probably meant.
//!
//! The file is read by hand from toml's tree of values with spans, since a derived reader stops at the first error.
//! What keys there are is declared once, in `keys.rs`; [`schema()`] and the reader are made of that one declaration.
//!
//! Must never look at environment variables, at a clock or at AWS: the same file is judged the same everywhere, but
//! for the time zones that a machine knows.

mod build;
mod config;
mod diagnostic;
mod findings;
mod keys;
mod load;
mod render;
mod schema;
mod section;
mod suggest;
#[cfg(test)]
mod tests;
mod value;

pub use crate::config::{Account, Config, Daemon, Listen, Records, Role};
pub use crate::diagnostic::{Diagnostic, Place, Report, Severity};
pub use crate::load::{DEFAULT_PATH, LoadError, Loaded, load, parse, parse_bytes, records_of};
pub use crate::render::Color;
pub use crate::schema::schema;
