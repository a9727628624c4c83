//! The adapter over real sockets: a loopback server replays answers, and keeps what it was asked.

mod capture;
mod changes;
mod commands;
mod credentials;
mod dates;
mod listings;
mod probes;
mod quotas;
mod removals;
mod server;
mod usage;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

use crate::account::AwsAccount;
use crate::calls::Calls;
use crate::client::{AwsCloud, Wiring};
use crate::tests::server::Server;

const INSTANCE: &str = "i-0123456789abcdef0";
const IMAGE: &str = "ami-0123456789abcdef0";
const SNAPSHOT: &str = "snap-0123456789abcdef0";

/// An account whose EC2 and STS are at `endpoint_url`.
fn account(endpoint_url: &str) -> AwsAccount {
    AwsAccount {
        region: "eu-central-1".parse().unwrap(),
        owner: "prod-fra".parse().unwrap(),
        session_name: "amikeep".to_owned(),
        profile: None,
        role_arn: None,
        external_id: None,
        endpoint_url: Some(endpoint_url.to_owned()),
        expected_account: None,
    }
}

/// Impatient, and with credentials of its own, so that no test depends on where it runs.
fn wiring() -> Wiring {
    let credentials = Credentials::new("AKIDBASE", "secret-of-base", Some("token-of-base".to_owned()), None, "test");
    Wiring {
        connect_for_max: Duration::from_millis(500),
        attempt_for_max: Duration::from_millis(500),
        first_retry_after_max: Duration::from_millis(1),
        credentials: Some(SharedCredentialsProvider::new(credentials)),
        calls: Calls::default(),
    }
}

async fn cloud_at(endpoint_url: &str) -> AwsCloud {
    AwsCloud::connect_with(account(endpoint_url), wiring()).await.unwrap()
}

async fn cloud(server: &Server) -> AwsCloud {
    cloud_at(&server.url()).await
}
