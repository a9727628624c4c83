//! What a person sees of images: one table for each series.

use crate::image::Image;
use crate::table::{Cell, Column, Fit, Table, Tone, grade_cell};
use crate::text::minute;

/// The images of one policy, account, region and instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Whose images these are, how many, and since when.
    pub title: String,
    /// The images.
    pub table: Table,
}

/// The images by series. They come sorted by it.
pub fn by_series(images: &[Image]) -> Vec<Series> {
    let same = |a: &Image, b: &Image| key(a) == key(b);
    images.chunk_by(same).map(|images| Series { title: title(images), table: table(images) }).collect()
}

fn key(image: &Image) -> (&str, &str, &str, &str) {
    (&image.policy, &image.account, &image.region, &image.instance_id)
}

fn title(images: &[Image]) -> String {
    let Some(first) = images.first() else { return String::new() };
    let times = || images.iter().filter(|image| image.state == "available").filter_map(|image| image.captured_at);
    let count = match images.len() {
        1 => "1 image".to_owned(),
        n => format!("{n} images"),
    };
    let title = format!("{}  {}  ({}): {count}", first.instance_id, first.policy, first.account_name);
    if let (Some(oldest), Some(newest)) = (times().min(), times().max()) {
        return format!("{title}, {} to {}", day(oldest.0), day(newest.0));
    }
    title
}

fn day(at: jiff::Timestamp) -> String {
    minute(at).split(' ').next().unwrap_or_default().to_owned()
}

fn table(images: &[Image]) -> Table {
    let columns = vec![
        Column::new("CAPTURED (UTC)", Fit::Whole),
        Column::new("IMAGE", Fit::Whole),
        Column::new("GRADE", Fit::Whole),
        Column::new("VERDICT", Fit::Whole),
        Column::new("BECAUSE", Fit::Wraps),
    ];
    let row = |image: &Image| {
        vec![
            Cell::or_dash(image.captured_at.map(|at| minute(at.0))),
            Cell::plain(&image.image_id),
            grade_cell(image.grade),
            verdict(image),
            Cell::plain(because(image)),
        ]
    };
    Table { columns, rows: images.iter().map(row).collect() }
}

fn verdict(image: &Image) -> Cell {
    match (image.state, image.verdict) {
        ("available", Some("keep")) => Cell::new("keep", Tone::Good),
        ("available", Some("delete")) => Cell::new("delete", Tone::Warning),
        ("available", verdict) => Cell::or_dash(verdict),
        ("missing", _) => Cell::new("missing", Tone::Bad),
        (state, _) => Cell::new(state, Tone::Quiet),
    }
}

fn because(image: &Image) -> String {
    let rules = image.reasons.iter().map(ToString::to_string);
    let guards = image.held_because.iter().cloned();
    let parts: Vec<_> = rules.chain(guards).chain(image.delete_reason.clone()).collect();
    parts.join("; ")
}
