//! What the instance metadata service tells of the machine that asks.

use std::time::Duration;

use amikeep_domain::id::InstanceId;
use aws_config::imds::Client;
use aws_config::provider_config::ProviderConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

/// The service is on the machine's own link and answers within milliseconds; where there is none, nothing ever answers.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(1);

/// The id of the instance that this machine is, or why it is not known. It speaks version 2 of the service alone, at
/// `AWS_EC2_METADATA_SERVICE_ENDPOINT` where that is set.
pub async fn instance_of_metadata() -> Result<InstanceId, String> {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = ProviderConfig::default().with_http_client(http);
    let client = Client::builder()
        .configure(&config)
        .max_attempts(2)
        .connect_timeout(ANSWER_WAIT_MAX)
        .read_timeout(ANSWER_WAIT_MAX)
        .operation_attempt_timeout(ANSWER_WAIT_MAX)
        .operation_timeout(ANSWER_WAIT_MAX * 3)
        .build();
    let answer = client.get("/latest/meta-data/instance-id").await;
    let answer = answer.map_err(|error| format!("the metadata service does not tell: {error}"))?;
    let text: &str = answer.as_ref();
    text.trim().parse().map_err(|_| format!("the metadata service says `{}`, which is no instance", text.trim()))
}
