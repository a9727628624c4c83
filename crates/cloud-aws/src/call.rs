//! One call: how far it came, and whether its answer came whole.
//!
//! The SDK's errors do not say whether a request that got no answer may have been carried out. It does tell an
//! interceptor when it begins to transmit, and which connection took the request. That is the proof on which
//! "for certain nothing was done" rests:
//!
//! - Before transmission begins there are only credentials to find, an endpoint to resolve and a request to sign.
//! - The HTTP client notes a connection for a request before it writes the first byte of it there. While none is noted,
//!   names are being looked up, and TCP and TLS set up, and no byte of the request has left this machine.
//! - From then on the request may have arrived, whatever the error says.
//!
//! The SDK's XML reader takes the end of its input, and whatever it cannot read, for the end of the document, and does not
//! compare the names of opening and closing tags, so a cut or damaged answer would pass for a short listing. The watch
//! therefore refuses what is not one whole document.

use std::sync::{Arc, Mutex, PoisonError};

use amikeep_cloud::Action;
use aws_sdk_ec2::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use quick_xml::Reader;
use quick_xml::events::Event;
use xmlparser::Tokenizer;

use crate::account::AwsAccount;

/// The service that answers in JSON, whose reader refuses half a document by itself.
const ANSWERS_IN_JSON: &str = "ssm";

/// How the outermost element of the answers of EC2 (`DescribeImagesResponse`, and `Response` for errors) and of STS ends.
const ROOT_END: &str = "Response";

/// One call from its sending to its error.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) action: Action,
    pub(crate) account: &'a AwsAccount,
    pub(crate) watch: Watch,
}

impl<'a> Call<'a> {
    pub(crate) fn new(action: Action, account: &'a AwsAccount) -> Self {
        let watch = Watch { is_xml: action.service() != ANSWERS_IN_JSON, progress: Arc::default() };
        Self { action, account, watch }
    }

    /// The interceptor that has to go along with the request.
    pub(crate) fn watch(&self) -> Watch {
        self.watch.clone()
    }
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// It was being prepared: credentials, endpoint, signature.
    Preparing,
    /// It was waiting for a connection.
    Connecting,
    /// A connection had taken it: the endpoint may have it.
    Sent,
}

/// Sees how far a request comes. Clones see the same request.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    progress: Arc<Mutex<Progress>>,
    is_xml: bool,
}

#[derive(Debug, Default)]
enum Progress {
    #[default]
    Preparing,
    /// With the place where the HTTP client notes the connection; without one nothing can be proved.
    Transmitting(Option<CaptureSmithyConnection>),
}

impl Watch {
    pub(crate) fn reached(&self) -> Reached {
        match &*self.progress.lock().unwrap_or_else(PoisonError::into_inner) {
            Progress::Preparing => Reached::Preparing,
            Progress::Transmitting(Some(connection)) if connection.get().is_none() => Reached::Connecting,
            Progress::Transmitting(_) => Reached::Sent,
        }
    }

    /// For a request that is sent out of sight.
    pub(crate) fn assume_sent(&self) {
        self.set(Progress::Transmitting(None));
    }

    fn set(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }
}

impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "amikeep watch"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.set(Progress::Preparing);
        Ok(())
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.set(Progress::Transmitting(context.request().extension::<CaptureSmithyConnection>().cloned()));
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // A body that could not be read at all is an error already, and not there any more.
        match context.response().body().bytes() {
            Some(body) if self.is_xml && !is_whole(body) => Err("the answer is not a whole one of EC2".into()),
            _ => Ok(()),
        }
    }
}

/// Whether these bytes are one document of XML as EC2 and STS answer it, with every element that it opens closed.
fn is_whole(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    // The SDK reads with this one, and takes what it cannot read for the end: a listing would be a short one.
    if Tokenizer::from(text).any(|token| token.is_err()) {
        return false;
    }
    let mut reader = Reader::from_str(text);
    let (mut depth, mut has_root) = (0_usize, false);
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => {
                if depth == 0 && (has_root || !start.local_name().as_ref().ends_with(ROOT_END)) {
                    return false;
                }
                (depth, has_root) = (depth + 1, true);
            }
            // The reader has compared the names.
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Eof) => return has_root && depth == 0,
            Ok(Event::Text(text)) if depth == 0 && !text.xml10_content().trim().is_empty() => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_answer_is_one_document_with_everything_closed() {
        for body in [
            "<R><Response></Response></R>",
            "",
            "<html><body>Please log in.</body></html>",
            "<AResponse><set><item>x</item>",
            "<AResponse><set>Response>",
            "<AResponse><set></item></AResponse>",
            "<AResponse><set></AResponse>",
            "<AResponse></AResponse><AResponse></AResponse>",
            "<AResponse></AResponse>rest",
        ] {
            assert!(!is_whole(body.as_bytes()), "{body}");
        }
        for body in [
            "<?xml version=\"1.0\"?>\n<AResponse><set/><v>a &amp; Response&gt;</v></AResponse>\n",
            "<Response></Response>",
        ] {
            assert!(is_whole(body.as_bytes()), "{body}");
        }
        assert!(!is_whole(b"<AResponse>\xff</AResponse>"));
        assert!(!is_whole(b"<AResponse>\0<set><item/></set></AResponse>"));
        assert!(!is_whole(b"<AResponse>]]><set><item/></set></AResponse>"));
    }
}
