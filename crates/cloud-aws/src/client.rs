//! Builds the clients of one account: credentials, endpoints, timeouts, retries.
//!
//! There are two clients for EC2, and two for Systems Manager. The one for reads repeats a failed call; the one for writes
//! never does, since `CreateImage` has no client token and a repeated call could be a second image and a second reboot.
//! That they are two means that no call site can forget it.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use amikeep_cloud::Action;
use amikeep_domain::id::AccountId;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::config::IdentityCache;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use jiff::SignedDuration;

use crate::account::{AwsAccount, ConnectError};
use crate::call::Call;
use crate::calls::Calls;
use crate::endpoint_time::EndpointTime;
use crate::instance_types::InstanceTypes;

/// How long a connection may take to stand. An endpoint of the region answers within some milliseconds, one across the
/// world within half a second.
const CONNECT_FOR_MAX: Duration = Duration::from_secs(3);
/// How long one attempt may take. `CreateImage` of an instance with many volumes takes seconds; an endpoint that is
/// silent for longer has lost the request, and the SDK alone would wait for it without end.
const ATTEMPT_FOR_MAX: Duration = Duration::from_secs(20);
/// How long a call may take with all its attempts and pauses. It leaves room for three attempts.
const OPERATION_FOR_MAX: Duration = Duration::from_mins(1);
/// How long finding credentials may take, `AssumeRole` with its retries included. Less than an attempt, of which it is
/// a part, so that the error tells of credentials and not of a slow EC2.
const CREDENTIALS_FOR_MAX: Duration = Duration::from_secs(15);
/// How often a read is attempted. The engine comes back to what fails more often than that.
const READ_ATTEMPTS_MAX: u32 = 3;
/// The pause before a read is repeated: at most this, twice this before the next.
const FIRST_RETRY_AFTER_MAX: Duration = Duration::from_secs(1);

/// One account in one region, ready to be called.
#[derive(Debug)]
pub struct AwsCloud {
    pub(crate) account: AwsAccount,
    /// For calls that change nothing. It repeats them.
    pub(crate) reads: aws_sdk_ec2::Client,
    /// For calls that change something. It makes one attempt.
    pub(crate) writes: aws_sdk_ec2::Client,
    pub(crate) sts: aws_sdk_sts::Client,
    /// For questions about commands. It repeats them.
    pub(crate) ssm_reads: aws_sdk_ssm::Client,
    /// For commands. It makes one attempt: a repeated `SendCommand` is a second command.
    pub(crate) ssm_writes: aws_sdk_ssm::Client,
    pub(crate) quotas: aws_sdk_servicequotas::Client,
    pub(crate) instance_types: InstanceTypes,
    pub(crate) endpoint_time: EndpointTime,
    /// Whether the endpoint refused the parameter `IncludeDisabled` as unknown.
    pub(crate) lacks_include_disabled: AtomicBool,
    /// Whether the endpoint refused the parameter `DeleteAssociatedSnapshots` as unknown.
    pub(crate) lacks_associated_snapshots: AtomicBool,
    /// Whether the endpoint does not know the action `DescribeImageReferences`.
    pub(crate) lacks_image_references: AtomicBool,
}

/// What tests set otherwise than the daemon.
pub(crate) struct Wiring {
    pub(crate) connect_for_max: Duration,
    pub(crate) attempt_for_max: Duration,
    pub(crate) first_retry_after_max: Duration,
    /// The credentials to start from, in place of those that the account names.
    pub(crate) credentials: Option<SharedCredentialsProvider>,
    /// Where requests are counted.
    pub(crate) calls: Calls,
}

impl Default for Wiring {
    fn default() -> Self {
        Self {
            connect_for_max: CONNECT_FOR_MAX,
            attempt_for_max: ATTEMPT_FOR_MAX,
            first_retry_after_max: FIRST_RETRY_AFTER_MAX,
            credentials: None,
            calls: Calls::default(),
        }
    }
}

impl AwsCloud {
    /// Prepares the clients of an account. Nothing is sent yet, so what is wrong with the credentials or the endpoint
    /// shows at the first call.
    pub async fn connect(account: AwsAccount) -> Result<Self, ConnectError> {
        Self::connect_with(account, Wiring::default()).await
    }

    /// Like [`Self::connect`], with every request counted in `calls`.
    pub async fn connect_counted(account: AwsAccount, calls: Calls) -> Result<Self, ConnectError> {
        Self::connect_with(account, Wiring { calls, ..Wiring::default() }).await
    }

    /// Like [`Self::connect`], with a known access key in place of those that the account names: for the demo, whose
    /// simulated account has one that anybody may know.
    pub async fn connect_with_keys(account: AwsAccount, key_id: &str, secret: &str) -> Result<Self, ConnectError> {
        let credentials = Credentials::new(key_id, secret, None, None, "given");
        let wiring = Wiring { credentials: Some(SharedCredentialsProvider::new(credentials)), ..Wiring::default() };
        Self::connect_with(account, wiring).await
    }

    /// How far the host's clock was ahead of the endpoint's when it last answered, to a second; negative where it was
    /// behind.
    pub fn clock_ahead(&self) -> Option<SignedDuration> {
        self.endpoint_time.ahead()
    }

    /// The account id that the configuration asks for, to be compared with that of the credentials.
    pub fn expected_account(&self) -> Option<&AccountId> {
        self.account.expected_account.as_ref()
    }

    pub(crate) async fn connect_with(account: AwsAccount, wiring: Wiring) -> Result<Self, ConnectError> {
        account.check()?;
        let calls = wiring.calls.clone();
        let base = base_config(&account, wiring).await;
        let config = assume_role(&account, base).await;
        Ok(Self::with_config(account, &config, &calls))
    }

    /// The clients of an account whose credentials, endpoint and HTTP client are settled.
    pub(crate) fn with_config(account: AwsAccount, config: &SdkConfig, calls: &Calls) -> Self {
        let endpoint_time = EndpointTime::default();
        let ec2 =
            aws_sdk_ec2::config::Builder::from(config).interceptor(endpoint_time.clone()).interceptor(calls.clone());
        let once = ec2.clone().retry_config(RetryConfig::disabled());
        let sts =
            aws_sdk_sts::config::Builder::from(config).interceptor(endpoint_time.clone()).interceptor(calls.clone());
        let ssm =
            aws_sdk_ssm::config::Builder::from(config).interceptor(endpoint_time.clone()).interceptor(calls.clone());
        let quotas = aws_sdk_servicequotas::config::Builder::from(config).interceptor(calls.clone());
        let ssm_once = ssm.clone().retry_config(RetryConfig::disabled());
        Self {
            ssm_reads: aws_sdk_ssm::Client::from_conf(ssm.build()),
            ssm_writes: aws_sdk_ssm::Client::from_conf(ssm_once.build()),
            reads: aws_sdk_ec2::Client::from_conf(ec2.build()),
            writes: aws_sdk_ec2::Client::from_conf(once.build()),
            sts: aws_sdk_sts::Client::from_conf(sts.build()),
            quotas: aws_sdk_servicequotas::Client::from_conf(quotas.build()),
            endpoint_time,
            instance_types: InstanceTypes::default(),
            lacks_include_disabled: AtomicBool::new(false),
            lacks_associated_snapshots: AtomicBool::new(false),
            lacks_image_references: AtomicBool::new(false),
            account,
        }
    }

    /// Begins a call: whoever sends it attaches its watch, and lets it read the error.
    pub(crate) fn call(&self, action: Action) -> Call<'_> {
        Call::new(action, &self.account)
    }
}

/// The configuration with the credentials that are found first, before any role is assumed.
async fn base_config(account: &AwsAccount, wiring: Wiring) -> SdkConfig {
    let behavior = behavior();
    let region = Region::new(account.region.as_str().to_owned());
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(wiring.connect_for_max)
        .operation_attempt_timeout(wiring.attempt_for_max)
        .operation_timeout(OPERATION_FOR_MAX)
        .build();
    let retries = read_retries(wiring.first_retry_after_max);
    let mut loader = aws_config::defaults(behavior)
        .region(region.clone())
        .http_client(http.clone())
        .timeout_config(timeouts.clone())
        .retry_config(retries.clone())
        .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS_FOR_MAX).build());
    // The name only shows in CloudTrail. It is valid, so the other arm is never taken.
    if let Ok(name) = AppName::new("amikeep") {
        loader = loader.app_name(name);
    }
    if let Some(url) = &account.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(profile) = &account.profile {
        let provider_config = ProviderConfig::without_region()
            .with_behavior_version(Some(behavior))
            .with_region(Some(region))
            .with_http_client(http)
            .with_timeout_config(timeouts)
            .with_retry_config(retries);
        loader = loader.profile_name(profile).credentials_provider(profile_credentials(profile, &provider_config));
    }
    if let Some(credentials) = wiring.credentials {
        loader = loader.credentials_provider(credentials);
    }
    loader.load().await
}

/// The defaults of the SDK, as they were when this was written.
pub(crate) fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// How reads are repeated; the first pause is at most so long.
pub(crate) fn read_retries(first_after_max: Duration) -> RetryConfig {
    RetryConfig::standard().with_max_attempts(READ_ATTEMPTS_MAX).with_initial_backoff(first_after_max)
}

/// The credentials of a profile and no others. The SDK's default chain asks the environment before the profile, and the
/// instance's role after it, even when a profile is named.
fn profile_credentials(profile: &str, config: &ProviderConfig) -> ProfileFileCredentialsProvider {
    ProfileFileCredentialsProvider::builder().profile_name(profile).configure(config).build()
}

async fn assume_role(account: &AwsAccount, base: SdkConfig) -> SdkConfig {
    let Some(role_arn) = &account.role_arn else { return base };
    let mut builder = AssumeRoleProvider::builder(role_arn).session_name(&account.session_name).configure(&base);
    if let Some(external_id) = &account.external_id {
        builder = builder.external_id(external_id);
    }
    let provider = builder.build().await;
    base.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
}
