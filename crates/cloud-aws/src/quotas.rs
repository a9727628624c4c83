//! The request limits that are in force for the account, from Service Quotas.
//!
//! `ListServiceQuotas` is the only call, since the codes of these quotas are not documented and their names are. Every
//! quota of EC2 is listed for it, on some twenty pages. A quota that is not listed has no applied value, so that the
//! documented one is in force.

use amikeep_cloud::{Action, CloudError, Limits, ProbeOutcome};
use aws_sdk_servicequotas::operation::list_service_quotas::ListServiceQuotasOutput;

use crate::client::AwsCloud;
use crate::page::{Page, every_page};

/// The service whose quotas are listed.
const SERVICE_CODE: &str = "ec2";
/// The most entries that Service Quotas puts on a page.
const QUOTAS_PER_PAGE: i32 = 100;

impl AwsCloud {
    pub(crate) async fn limits(&self) -> Result<Limits, CloudError> {
        let call = self.call(Action::ListServiceQuotas);
        let quotas = every_page(&call, async |token| {
            let answer = self.quotas_page(token).await?;
            let next = answer.next_token().map(str::to_owned);
            Ok(Page { entries: answer.quotas.unwrap_or_default(), next })
        })
        .await?;
        Ok(Limits::from_quotas(quotas.iter().filter_map(|quota| Some((quota.quota_name()?, quota.value()?)))))
    }

    /// Service Quotas knows no `DryRun`, and listing changes nothing: one page tells whether it is allowed.
    pub(crate) async fn ask_to_list_quotas(&self) -> Result<ProbeOutcome, CloudError> {
        crate::probe::understood(self.quotas_page(None).await.map(|_| ()))
    }

    async fn quotas_page(&self, token: Option<String>) -> Result<ListServiceQuotasOutput, CloudError> {
        let call = self.call(Action::ListServiceQuotas);
        // The watch knows how answers in XML end. It is not needed: nothing is changed here, and half a document of JSON
        // is none.
        call.watch.assume_sent();
        let request = self.quotas.list_service_quotas().service_code(SERVICE_CODE).max_results(QUOTAS_PER_PAGE);
        request.set_next_token(token).send().await.map_err(|error| call.failed(&error))
    }
}
