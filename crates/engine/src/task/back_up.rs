//! A copy of the ledger, made beside whatever else is done.

use amikeep_cloud::Cloud;

use crate::context::Context;
use crate::report::Report;

pub(crate) async fn ledger<C: Cloud>(ctx: &Context<C>, kept: usize) -> Report {
    Report::LedgerBackedUp(ctx.ledger.back_up(ctx.now(), kept).await)
}
