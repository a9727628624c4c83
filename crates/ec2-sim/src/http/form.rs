//! The parameters of a Query request: `Filter.2.Value.10=…`. Lists are ordered by number, and what nobody asked for is
//! refused, as EC2 refuses it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::error::ApiError;

/// The decoded parameters of one request, and which of them have been read.
pub(crate) struct Form {
    values: BTreeMap<String, String>,
    read: RefCell<BTreeSet<String>>,
}

impl Form {
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, ApiError> {
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            if values.insert(name.to_string(), value.into_owned()).is_some() {
                let message = format!("The parameter {name} is given more than once");
                return Err(ApiError::client("MalformedQueryString", message));
            }
        }
        Ok(Self { values, read: RefCell::default() })
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let value = self.values.get(name)?;
        self.read.borrow_mut().insert(name.to_owned());
        Some(value.clone())
    }

    pub(crate) fn required(&self, name: &str) -> Result<String, ApiError> {
        self.text(name).ok_or_else(|| ApiError::missing_parameter(name))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(ApiError::invalid_value(other, name, "Expected 'true' or 'false'.")),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| ApiError::invalid_value(&text, name, "Expected a number."))
    }

    /// The numbers `n` for which there is a `{prefix}.n` or a `{prefix}.n.…`, in their order.
    pub(crate) fn numbers(&self, prefix: &str) -> Vec<u32> {
        let rest = |name: &String| name.strip_prefix(prefix)?.strip_prefix('.')?.split('.').next()?.parse().ok();
        self.values.keys().filter_map(rest).collect::<BTreeSet<u32>>().into_iter().collect()
    }

    /// The values of `{prefix}.1`, `{prefix}.2` and so on.
    pub(crate) fn list(&self, prefix: &str) -> Vec<String> {
        self.numbers(prefix).into_iter().filter_map(|n| self.text(&format!("{prefix}.{n}"))).collect()
    }

    /// Refuses the first parameter that has not been read.
    pub(crate) fn refuse_the_rest(&self) -> Result<(), ApiError> {
        let read = self.read.borrow();
        match self.values.keys().find(|name| !read.contains(*name)) {
            None => Ok(()),
            Some(name) => Err(ApiError::client("UnknownParameter", format!("The parameter {name} is not recognized"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_ordered_by_number_and_not_by_text() {
        let form = Form::parse(b"I.10=j&I.2=b&I.1=a+%26&Other=x").unwrap();
        assert_eq!(form.list("I"), ["a &", "b", "j"]);
    }

    #[test]
    fn what_is_not_read_is_refused() {
        let form = Form::parse(b"A=1&B.1=x&B.2.C=y").unwrap();
        assert_eq!(form.number("A").unwrap(), Some(1));
        assert_eq!(form.list("B"), ["x"]);
        let error = form.refuse_the_rest().unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.message.as_str()),
            ("UnknownParameter", "The parameter B.2.C is not recognized")
        );
    }

    #[test]
    fn wrong_types_and_doubled_parameters_are_refused() {
        let form = Form::parse(b"Flag=yes&Number=1.5").unwrap();
        assert_eq!(form.flag("Flag").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(form.number("Number").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(Form::parse(b"A=1&A=2").map(|_| ()).unwrap_err().code, "MalformedQueryString");
    }
}
