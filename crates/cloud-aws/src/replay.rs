//! The adapter over answers that are given in advance, in memory: what a fuzzer needs to hand it any bytes at all.
//!
//! Everything above the HTTP client is the adapter as it is: retries, paging, the SDK's readers, the conversions. What
//! happens on sockets is not here; the tests of this crate have a server for it. No type of the SDK shows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;

use crate::account::AwsAccount;
use crate::calls::Calls;
use crate::client::{AwsCloud, behavior, read_retries};

/// What is said once there is no answer left. A refusal that nobody repeats.
const NOTHING_LEFT: &str = "<Response><Errors><Error><Code>NothingLeftToSay</Code><Message>the answers have ended\
    </Message></Error></Errors><RequestID>none</RequestID></Response>";

/// What one request gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP status and a body that arrives whole, whatever is in it.
    Whole {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: Vec<u8>,
    },
    /// The connection ends without an answer, after it has taken the request.
    Lost,
}

/// The answers of one endpoint, in the order in which they are given, whatever is asked. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Replay(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    left: VecDeque<Answer>,
    n_given: usize,
}

impl Replay {
    /// These answers.
    pub fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self(Arc::new(Mutex::new(Script { left: answers.into_iter().collect(), n_given: 0 })))
    }

    /// How many of the answers were given.
    pub fn n_given(&self) -> usize {
        self.script().n_given
    }

    fn next(&self) -> Answer {
        let mut script = self.script();
        let answer = script.left.pop_front();
        script.n_given += usize::from(answer.is_some());
        answer.unwrap_or_else(|| Answer::Whole { status: 400, body: NOTHING_LEFT.into() })
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AwsCloud {
    /// The adapter with `replay` for its endpoint. Reads are repeated as in the daemon, without a pause.
    pub fn replaying(account: AwsAccount, replay: &Replay) -> Self {
        let config = SdkConfig::builder()
            .behavior_version(behavior())
            .region(Region::new(account.region.as_str().to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("any", "any", None, None, "replay")))
            .retry_config(read_retries(Duration::ZERO))
            .http_client(replay.clone())
            .build();
        Self::with_config(account, &config, &Calls::default())
    }
}

impl HttpClient for Replay {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Replay {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        // As the real client does when a connection takes the request: from then on it may have been carried out.
        if let Some(connection) = request.extension::<CaptureSmithyConnection>() {
            connection.set_connection_retriever(|| {
                Some(ConnectionMetadata::builder().proxied(false).poison_fn(|| {}).build())
            });
        }
        HttpConnectorFuture::ready(match self.next() {
            Answer::Whole { status, body } => response(status, body),
            Answer::Lost => Err(ConnectorError::io("the connection was closed".into())),
        })
    }
}

fn response(status: u16, body: Vec<u8>) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
    Ok(HttpResponse::new(status, SdkBody::from(body)))
}
