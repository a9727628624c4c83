//! The one action of Service Quotas that amikeep uses, in the protocol of that service: AWS JSON 1.1, with the action in
//! the header `X-Amz-Target`.

use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::reply::{QuotaView, Reply};
use crate::request::{Action, Request};

const TARGET_PREFIX: &str = "ServiceQuotasV20190624.";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Input {
    service_code: String,
    max_results: Option<i64>,
    next_token: Option<String>,
    /// The only level of request limits, and the default.
    quota_applied_at_level: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<&'a str>,
    quotas: Vec<Quota<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Quota<'a> {
    service_code: &'static str,
    service_name: &'static str,
    quota_code: &'a str,
    quota_name: &'a str,
    value: f64,
    unit: &'static str,
    adjustable: bool,
    global_quota: bool,
    quota_applied_at_level: &'static str,
}

#[derive(Serialize)]
struct Refusal<'a> {
    #[serde(rename = "__type")]
    code: &'a str,
    #[serde(rename = "Message")]
    message: &'a str,
}

pub(crate) fn parse(target: Option<&str>, body: &[u8]) -> Result<Request, ApiError> {
    let name = target.and_then(|target| target.strip_prefix(TARGET_PREFIX)).unwrap_or_default();
    if Action::parse(name) != Some(Action::ListServiceQuotas) {
        let message = format!("The operation {} is not known", target.unwrap_or("without a name"));
        return Err(ApiError::client("UnknownOperationException", message));
    }
    let input: Input = serde_json::from_slice(body)
        .map_err(|error| ApiError::client("SerializationException", format!("The body cannot be read: {error}")))?;
    match input.quota_applied_at_level.as_deref() {
        None | Some("ACCOUNT" | "ALL") => {}
        Some(level) => return Err(ApiError::unsupported(&format!("QuotaAppliedAtLevel {level}"))),
    }
    let Input { service_code, max_results, next_token, .. } = input;
    Ok(Request::ListServiceQuotas { service_code, max_results, next_token })
}

pub(crate) fn render(reply: &Reply) -> String {
    let Reply::ServiceQuotas(page) = reply else { return "{}".to_owned() };
    let quotas = page.items.iter().map(quota).collect();
    json(&Output { next_token: page.next_token.as_deref(), quotas })
}

fn quota(view: &QuotaView) -> Quota<'_> {
    Quota {
        service_code: "ec2",
        service_name: "Amazon Elastic Compute Cloud (Amazon EC2)",
        quota_code: &view.code,
        quota_name: &view.name,
        value: view.value,
        unit: "None",
        adjustable: true,
        global_quota: false,
        quota_applied_at_level: "ACCOUNT",
    }
}

pub(crate) fn render_error(error: &ApiError) -> String {
    json(&Refusal { code: &error.code, message: &error.message })
}

/// Text and numbers alone, which always can be written.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
