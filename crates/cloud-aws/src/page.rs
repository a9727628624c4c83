//! Listings, page by page: complete, or an error.

use std::future::Future;

use amikeep_cloud::{CloudError, VALUES_PER_FILTER_MAX};
use aws_sdk_ec2::types::Filter;

use crate::call::Call;

/// The most entries that EC2 puts on a page. With it a listing is paginated, which EC2 also throttles less.
pub(crate) const ENTRIES_PER_PAGE: i32 = 1_000;
/// The most pages of one listing. EC2 allows 100,000 snapshots in a region, which is a tenth of this; an endpoint that
/// goes on beyond it is broken, and would be read for ever.
const PAGES_MAX: usize = 1_000;

/// One page, and the token of the next.
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    pub(crate) next: Option<String>,
}

/// Fetches pages until there is no token for another: a page without entries is not the last.
///
/// A token can expire while the listing is read. The listing then starts again from its first page, once.
pub(crate) async fn every_page<T, F, P>(call: &Call<'_>, fetch: F) -> Result<Vec<T>, CloudError>
where
    F: Fn(Option<String>) -> P,
    P: Future<Output = Result<Page<T>, CloudError>>,
{
    match read_through(call, &fetch).await {
        Err(error) if matches!(error.code.as_str(), "InvalidNextToken" | "InvalidPaginationToken") => {
            tracing::warn!(action = %call.action, code = error.code, "a listing lost its place and is read again");
            read_through(call, &fetch).await
        }
        result => result,
    }
}

async fn read_through<T, F, P>(call: &Call<'_>, fetch: &F) -> Result<Vec<T>, CloudError>
where
    F: Fn(Option<String>) -> P,
    P: Future<Output = Result<Page<T>, CloudError>>,
{
    let mut entries = Vec::new();
    let mut token = None;
    for _ in 0..PAGES_MAX {
        let page = fetch(token.clone()).await?;
        entries.extend(page.entries);
        let next = page.next.filter(|next| !next.is_empty());
        if next.is_none() {
            return Ok(entries);
        }
        if next == token {
            return Err(call.unreadable("a page names itself as the next", None));
        }
        token = next;
    }
    Err(call.unreadable(&format!("the listing has more than {PAGES_MAX} pages"), None))
}

/// A filter for entries with one of these values, in as many pieces as EC2's limit asks for; none for no value, since
/// EC2 takes an empty list for no filter at all.
///
/// Filters are used in place of ids: EC2 leaves out what a filter does not find, but refuses a whole call for one
/// unknown id, and refuses ids with a page size.
pub(crate) fn filters<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Vec<Filter> {
    let values: Vec<String> = values.into_iter().map(literal).collect();
    values
        .chunks(VALUES_PER_FILTER_MAX)
        .map(|values| Filter::builder().name(name).set_values(Some(values.to_vec())).build())
        .collect()
}

/// A value that a filter matches as it is written: `*` and `?` are wildcards unless a backslash stands before them.
fn literal(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '*' | '?' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_value_is_matched_literally() {
        assert_eq!(literal(r"a*b?c\d"), r"a\*b\?c\\d");
        assert_eq!(literal("amikeep-prod-fra"), "amikeep-prod-fra");
    }

    #[test]
    fn no_filter_has_more_values_than_ec2_takes_and_no_value_is_no_filter() {
        let names: Vec<String> = (0..401).map(|n| format!("name-{n}")).collect();
        let lengths: Vec<usize> =
            filters("name", names.iter().map(String::as_str)).iter().map(|filter| filter.values().len()).collect();
        assert_eq!(lengths, [200, 200, 1]);
        assert!(filters("name", []).is_empty());
    }
}
