//! What commands ask about what happened, and who answers: they themselves where they may read the ledger, else the daemon
//! over its Unix socket.
//!
//! A question has one function that answers it, wherever it runs, so that tables, JSON and exit codes are the same
//! both ways. Only questions go over the socket: nothing in here can change anything, since every answer is made from a
//! ledger that was opened for reading. Who may ask is decided by the permissions of the socket's file alone.

mod answer;
mod client;
mod known;
mod question;
pub(crate) mod server;
mod socket;
#[cfg(test)]
mod tests;
mod wire;

use amikeep_config::Config;
use amikeep_ledger::{Ledger, LedgerError};
use jiff::Timestamp;

use crate::ask::wire::{Reply, Request};
use crate::cli::Format;
use crate::ctx::{Ctx, Records, is_denied, open_ledger};
use crate::exit::{Exit, Told};

pub(crate) use crate::ask::answer::{Answer, Block};
pub(crate) use crate::ask::known::{Known, KnownQuestion, LastOf};
pub(crate) use crate::ask::question::{HistoryQuestion, ImagesQuestion, Listed, Question, ShowQuestion};
pub(crate) use crate::ask::socket::Socket;

/// What an answer is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// What happened.
    pub(crate) ledger: &'a Ledger,
    /// What is configured; `None` if the file is wrong.
    pub(crate) config: Option<&'a Config>,
    /// How the answer is to be shown.
    pub(crate) format: Format,
    /// The present moment.
    pub(crate) now: Timestamp,
}

/// Asks, and prints the answer.
pub(crate) async fn print(ctx: &Ctx, records: &Records, question: Question) -> anyhow::Result<Exit> {
    match reply(ctx, records, question).await? {
        Reply::Printed(answer) => answer.print(ctx),
        Reply::Known(_) => anyhow::bail!("the answer is another than was asked for"),
        Reply::Refused { exit, told } => Err(refused(ctx, exit, &told)),
    }
}

/// Asks for what a command goes on with. A ledger that is yet to be made knows nothing.
pub(crate) async fn know(ctx: &Ctx, records: &Records, question: KnownQuestion) -> anyhow::Result<Known> {
    match reply(ctx, records, Question::Known(question)).await {
        Ok(Reply::Known(known)) => Ok(*known),
        Ok(Reply::Printed(_)) => anyhow::bail!("the answer is another than was asked for"),
        Ok(Reply::Refused { exit, told }) => Err(refused(ctx, exit, &told)),
        Err(error) if matches!(error.downcast_ref(), Some(LedgerError::Missing { .. })) => Ok(Known::default()),
        Err(error) => Err(error),
    }
}

/// The daemon has told it in full, as this command would have.
fn refused(ctx: &Ctx, exit: Exit, told: &str) -> anyhow::Error {
    ctx.tell(told);
    Told(exit).into()
}

async fn reply(ctx: &Ctx, records: &Records, question: Question) -> anyhow::Result<Reply> {
    let ledger = match open_ledger(&records.database).await {
        Ok(ledger) => ledger,
        Err(error) if error.downcast_ref().is_some_and(is_denied) => {
            let request = Request::new(ctx.format, question);
            return Ok(client::ask(records, &request).await?);
        }
        Err(error) => return Err(error),
    };
    let source = Source { ledger: &ledger, config: records.config.as_ref(), format: ctx.format, now: ctx.now() };
    let reply = answer(&question, &source).await;
    ledger.close().await;
    reply
}

/// Answers a question.
async fn answer(question: &Question, source: &Source<'_>) -> anyhow::Result<Reply> {
    use crate::commands::{history, images, operator, show};
    let answer = match question {
        Question::History(question) => history::answer(question, source).await?,
        Question::Show(question) => show::answer(question, source).await?,
        Question::Images(question) => images::answer(question, source).await?,
        Question::Pauses => operator::list(source).await?,
        Question::Known(question) => return Ok(Reply::Known(Box::new(known::answer(question, source).await?))),
    };
    Ok(Reply::Printed(answer))
}
