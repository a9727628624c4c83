//! Requests to the simulator: the parameters of a `POST`, as any client may send them.

use std::collections::BTreeSet;

use amikeep_ec2_sim::http::{answer_to, decode};
use amikeep_ec2_sim::{ApiError, FLEET_ACCOUNT, FLEET_REGION, Place, Request, World};

use crate::xml::Document;

/// A number of a list above this is left as it is when lists are numbered anew, so that it stays a number of 32 bits.
const NUMBER_MAX: u32 = 1_000_000;

/// The order of parameters, how they are encoded and which numbers a list leaves out mean nothing; the order of its
/// numbers does. Every answer is a whole document of XML.
pub fn run(bytes: &[u8]) {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(bytes).into_owned().collect();
    let decoded = decode(bytes);
    check_same(&decoded, pairs.clone(), "encoded again");
    check_same(&decoded, pairs.iter().rev().cloned().collect(), "in another order");
    let spread: Vec<_> = pairs.iter().map(|(name, value)| (spread(name), value.clone())).collect();
    // Two names that differ may be the same after this: then the request is refused for it.
    if distinct(&spread) == distinct(&pairs) && decoded.is_ok() {
        check_same(&decoded, spread, "with gaps between numbers");
    }
    check_answer(bytes);
}

fn distinct(pairs: &[(String, String)]) -> usize {
    pairs.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len()
}

fn check_same(decoded: &Result<(Request, bool), ApiError>, pairs: Vec<(String, String)>, how: &str) {
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let again = decode(encoded.as_bytes());
    match (decoded, again) {
        (Ok(request), Ok(again)) => assert_eq!(again, *request, "{how}"),
        (Err(_), Err(_)) => {}
        (decoded, again) => panic!("{decoded:?} and, {how}, {again:?}"),
    }
}

/// The name with every number in it multiplied by ten.
fn spread(name: &str) -> String {
    let part = |part: &str| match part.parse::<u32>() {
        Ok(number) if number <= NUMBER_MAX && number.to_string() == part => (number * 10).to_string(),
        _ => part.to_owned(),
    };
    name.split('.').map(part).collect::<Vec<_>>().join(".")
}

fn check_answer(bytes: &[u8]) {
    let world = World::small_fleet().build().expect("the fleet is a valid world");
    let place = Place {
        account: FLEET_ACCOUNT.parse().expect("an account id"),
        region: FLEET_REGION.parse().expect("a region"),
    };
    // Twice, since what was made or removed by the first request is there or gone for the second.
    for _ in 0..2 {
        let (status, body) = answer_to(&world, &place, bytes).expect("a world without faults answers");
        let document = Document::parse(body.as_bytes()).unwrap_or_else(|| panic!("not a whole document: {body}"));
        assert!(document.root().ends_with("Response"), "{body}");
        let is_refusal = document.texts("Errors/Error/Code").next().is_some();
        assert_eq!(is_refusal, (400..600).contains(&status), "{status}: {body}");
        assert!(!body.contains(['\u{fffe}', '\u{ffff}']), "XML has no such characters: {body}");
    }
}
