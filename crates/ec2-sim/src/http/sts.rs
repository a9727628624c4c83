//! The two actions of STS that amikeep uses, in STS's own shapes.

use crate::error::ApiError;
use crate::http::form::Form;
use crate::http::xml::Xml;
use crate::reply::Reply;
use crate::request::{Action, Request};

const VERSION: &str = "2011-06-15";
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// How long a session lasts when the caller does not say.
const DURATION_SECONDS: i64 = 3600;

pub(crate) fn parse(form: &Form) -> Result<Request, ApiError> {
    let name = form
        .text("Action")
        .ok_or_else(|| ApiError::client("MissingAction", "No action was supplied with this request."))?;
    let version = form.required("Version")?;
    let request = match Action::parse(&name) {
        _ if version != VERSION => None,
        Some(Action::GetCallerIdentity) => Some(Request::GetCallerIdentity),
        Some(Action::AssumeRole) => Some(Request::AssumeRole {
            role_arn: form.required("RoleArn")?,
            session_name: form.required("RoleSessionName")?,
            external_id: form.text("ExternalId"),
            duration_seconds: form.number("DurationSeconds")?.unwrap_or(DURATION_SECONDS),
        }),
        _ => None,
    };
    let request = request.ok_or_else(|| ApiError::invalid_action(&name))?;
    form.refuse_the_rest()?;
    Ok(request)
}

pub(crate) fn render(reply: &Reply, request_id: &str) -> String {
    let action = if matches!(reply, Reply::RoleAssumed(_)) { Action::AssumeRole } else { Action::GetCallerIdentity };
    Xml::document(&format!("{action}Response"), Some(NAMESPACE), |xml| {
        xml.element(&format!("{action}Result"), |xml| match reply {
            Reply::CallerIdentity(identity) => {
                xml.text("Arn", &identity.arn);
                xml.text("UserId", &identity.user_id);
                xml.text("Account", &identity.account);
            }
            Reply::RoleAssumed(session) => {
                xml.element("Credentials", |xml| {
                    xml.text("AccessKeyId", &session.access_key_id);
                    xml.text("SecretAccessKey", &session.secret_access_key);
                    xml.text("SessionToken", &session.session_token);
                    xml.time("Expiration", session.expires_at);
                });
                xml.element("AssumedRoleUser", |xml| {
                    xml.text("AssumedRoleId", &session.identity.user_id);
                    xml.text("Arn", &session.identity.arn);
                });
            }
            _ => {}
        });
        xml.element("ResponseMetadata", |xml| xml.text("RequestId", request_id));
    })
}

pub(crate) fn render_error(error: &ApiError, request_id: &str) -> String {
    Xml::document("ErrorResponse", Some(NAMESPACE), |xml| {
        xml.element("Error", |xml| {
            xml.text("Type", if error.status < 500 { "Sender" } else { "Receiver" });
            xml.text("Code", &error.code);
            xml.text("Message", &error.message);
        });
        xml.text("RequestId", request_id);
    })
}
