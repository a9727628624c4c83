//! Pages: `MaxResults`, `NextToken`, and pages that are smaller than asked for or empty, which EC2 is free to send.
//!
//! A token names the last item of the page, not a count, so that a listing which changes meanwhile neither repeats nor
//! leaves out what was there all along. Rules: "Pagination" in the Query API's documentation.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::error::ApiError;
use crate::reply::Page;
use crate::request::Query;
use crate::world::filters::{self, Filterable};

/// The largest page that a caller may ask for.
const MAX_RESULTS_MAX: i64 = 1000;

/// How the world cuts its listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    /// No page is longer, whatever the caller asks for.
    pub items_max: usize,
    /// Whether each listing begins with an empty page that has a token.
    pub first_page: FirstPage,
}

/// What a listing begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstPage {
    /// With items, if there are any.
    Full,
    /// With an empty page and a token: EC2 documents that this happens.
    Empty,
}

impl Default for Paging {
    fn default() -> Self {
        Self { items_max: 1000, first_page: FirstPage::Full }
    }
}

/// The rule that ids and `MaxResults` exclude each other, with EC2's name of the id list.
pub(crate) fn refuse_ids_with_max_results(ids: &[String], query: &Query, set: &str) -> Result<(), ApiError> {
    if ids.is_empty() || query.max_results.is_none() {
        return Ok(());
    }
    let message = format!("The parameter {set} cannot be used with the parameter maxResults");
    Err(ApiError::client("InvalidParameterCombination", message))
}

/// Filters `resources` and cuts the page that `query` asks for. `results_min` is the action's smallest `MaxResults`.
pub(crate) fn select<T: Filterable>(
    resources: Vec<T>,
    query: &Query,
    results_min: i64,
    paging: Paging,
) -> Result<Page<T>, ApiError> {
    let items_max = match query.max_results {
        Some(wanted) if wanted < results_min => {
            let expected = format!("Expecting a value greater than {results_min}.");
            return Err(ApiError::invalid_value(&format!(" {wanted} "), "maxResults", &expected));
        }
        Some(wanted) => paging.items_max.min(usize::try_from(wanted.min(MAX_RESULTS_MAX)).unwrap_or(1)),
        None => paging.items_max,
    };
    let mut matching = filters::apply(resources, &query.filters)?;
    matching.sort_by(|one, other| one.cursor().cmp(other.cursor()));
    let fingerprint = fingerprint(query);
    let after = query.next_token.as_deref().map(|token| parse_token(token, fingerprint)).transpose()?;
    let next_page = page_number(query).saturating_add(1);
    if after.is_none() && paging.first_page == FirstPage::Empty && !matching.is_empty() {
        return Ok(Page { items: Vec::new(), next_token: Some(token("", next_page, fingerprint)) });
    }
    let after = after.unwrap_or_default();
    let mut items: Vec<T> = matching.into_iter().filter(|item| after.as_str() < item.cursor()).collect();
    let more = items_max < items.len();
    items.truncate(items_max);
    let next_token = if more { items.last().map(|last| token(last.cursor(), next_page, fingerprint)) } else { None };
    Ok(Page { items, next_token })
}

/// A token is good only for the filters that it was given for.
fn fingerprint(query: &Query) -> u64 {
    let mut hasher = DefaultHasher::new();
    for filter in &query.filters {
        (&filter.name, &filter.values).hash(&mut hasher);
    }
    hasher.finish()
}

/// Which page of its listing a query asks for, from 1 on, as its token says.
pub(crate) fn page_number(query: &Query) -> u32 {
    let page = |token: &String| u32::from_str_radix(token.get(16..24)?, 16).ok();
    query.next_token.as_ref().and_then(page).unwrap_or(1)
}

fn token(cursor: &str, page: u32, fingerprint: u64) -> String {
    cursor.bytes().fold(format!("{fingerprint:016x}{page:08x}"), |token, byte| format!("{token}{byte:02x}"))
}

fn parse_token(token: &str, expected: u64) -> Result<String, ApiError> {
    let invalid = || ApiError::client("InvalidNextToken", format!("The token '{token}' is invalid"));
    let (fingerprint, rest) = token.split_at_checked(16).ok_or_else(invalid)?;
    let (page, cursor) = rest.split_at_checked(8).ok_or_else(invalid)?;
    if u32::from_str_radix(page, 16).is_err()
        || u64::from_str_radix(fingerprint, 16) != Ok(expected)
        || cursor.len() % 2 != 0
    {
        return Err(invalid());
    }
    let bytes = (0..cursor.len())
        .step_by(2)
        .map(|at| cursor.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect::<Option<Vec<u8>>>();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Tags;
    use crate::request::Filter;
    use crate::world::filters::Attribute;

    #[derive(Clone, Debug, PartialEq)]
    struct Item(String, Tags);

    impl Filterable for Item {
        fn attribute(name: &str) -> Option<Attribute<Self>> {
            (name == "name").then_some(|item: &Self| vec![item.0.clone()])
        }

        fn tags(&self) -> &Tags {
            &self.1
        }

        fn cursor(&self) -> &str {
            &self.0
        }
    }

    fn items(n: usize) -> Vec<Item> {
        (0..n).map(|n| Item(format!("item-{n:03}"), Tags::new())).collect()
    }

    fn walk(query: &Query, paging: Paging) -> (usize, Vec<String>) {
        let (mut query, mut pages, mut seen) = (query.clone(), 0, Vec::new());
        loop {
            let page = select(items(23), &query, 5, paging).unwrap();
            pages += 1;
            seen.extend(page.items.into_iter().map(|item| item.0));
            match page.next_token {
                Some(token) => query.next_token = Some(token),
                None => return (pages, seen),
            }
        }
    }

    #[test]
    fn pages_together_are_the_listing() {
        let query = Query { max_results: Some(5), ..Query::default() };
        let (pages, seen) = walk(&query, Paging::default());
        assert_eq!((pages, seen.len()), (5, 23));
        let (pages, seen) = walk(&Query::default(), Paging { items_max: 10, first_page: FirstPage::Empty });
        assert_eq!((pages, seen.len()), (4, 23));
    }

    #[test]
    fn a_last_page_that_is_just_full_has_no_token() {
        let query = Query { max_results: Some(23), ..Query::default() };
        assert_eq!(walk(&query, Paging::default()).0, 1);
    }

    #[test]
    fn a_token_survives_the_removal_of_what_it_names() {
        let query = Query { max_results: Some(5), ..Query::default() };
        let first = select(items(23), &query, 5, Paging::default()).unwrap();
        let rest = items(23).into_iter().filter(|item| item.0 != "item-004").collect();
        let query = Query { next_token: first.next_token, ..query };
        assert_eq!(select(rest, &query, 5, Paging::default()).unwrap().items[0].0, "item-005");
    }

    #[test]
    fn a_token_of_another_query_or_no_token_at_all_is_refused() {
        let first =
            select(items(9), &Query { max_results: Some(5), ..Query::default() }, 5, Paging::default()).unwrap();
        let filters = vec![Filter::new("name", ["item-*"])];
        for token in [first.next_token.as_deref().unwrap(), "", "zz", "000000000000000000000002zz"] {
            let query = Query { filters: filters.clone(), next_token: Some(token.into()), ..Query::default() };
            assert_eq!(select(items(9), &query, 5, Paging::default()).unwrap_err().code, "InvalidNextToken", "{token}");
        }
    }

    #[test]
    fn small_pages_and_ids_with_max_results_are_refused() {
        let query = Query { max_results: Some(4), ..Query::default() };
        assert_eq!(select(items(9), &query, 5, Paging::default()).unwrap_err().code, "InvalidParameterValue");
        let error = refuse_ids_with_max_results(&["i-1".into()], &query, "instancesSet").unwrap_err();
        assert_eq!(error.code, "InvalidParameterCombination");
        assert!(refuse_ids_with_max_results(&[], &query, "instancesSet").is_ok());
    }
}
