//! A row of the table `jobs`, and how it becomes a job again.

use amikeep_domain::class::Consistency;
use amikeep_domain::image_name::ImageNumber;
use amikeep_domain::job::{Job, JobKey, StateName, Trigger};
use amikeep_domain::policy::StartWindow;

use crate::error::LedgerError;
use crate::field::{Place, millis};
use crate::stored;

/// The columns of a job, in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct JobRow {
    pub(crate) id: String,
    pub(crate) policy: String,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) instance: String,
    pub(crate) scheduled_at: i64,
    pub(crate) account_name: String,
    pub(crate) trigger: String,
    pub(crate) request: Option<String>,
    pub(crate) asked: Option<String>,
    pub(crate) class: String,
    pub(crate) start_at: i64,
    pub(crate) start_by: i64,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) finished_at: Option<i64>,
    pub(crate) attempts: i64,
    pub(crate) number: i64,
    pub(crate) intent: Option<String>,
    pub(crate) hold: Option<String>,
    pub(crate) state: String,
    pub(crate) data: String,
}

impl From<&Job> for JobRow {
    fn from(job: &Job) -> Self {
        Self {
            id: job.id.to_string(),
            policy: job.key.policy.to_string(),
            account: job.key.account.to_string(),
            region: job.key.region.to_string(),
            instance: job.key.instance.to_string(),
            scheduled_at: millis(job.key.scheduled_at),
            account_name: job.account_name.to_string(),
            trigger: job.trigger.as_str().to_owned(),
            request: job.request.as_ref().map(ToString::to_string),
            asked: job.asked.map(|it| it.to_string()),
            class: job.class.to_string(),
            start_at: millis(job.window.start_at),
            start_by: millis(job.window.start_by),
            created_at: millis(job.created_at),
            started_at: job.started_at.map(millis),
            finished_at: job.finished_at().map(millis),
            attempts: i64::from(job.attempts),
            number: i64::from(job.number.get()),
            intent: job.intent.as_ref().map(stored::encode_intent),
            hold: job.hold.as_ref().map(stored::encode_held),
            state: job.state.name().as_str().to_owned(),
            data: stored::encode_state(&job.state),
        }
    }
}

impl TryFrom<JobRow> for Job {
    type Error = LedgerError;

    fn try_from(row: JobRow) -> Result<Self, LedgerError> {
        let at = Place::new("jobs", &row.id);
        let key = JobKey {
            policy: at.parse("policy", &row.policy)?,
            account: at.parse("account", &row.account)?,
            region: at.parse("region", &row.region)?,
            instance: at.parse("instance", &row.instance)?,
            scheduled_at: at.time("scheduled_at", row.scheduled_at)?,
        };
        let asked = row.asked.as_deref().map(|it| at.word("asked", it, &Consistency::ALL, Consistency::as_str));
        let intent = row.intent.as_deref().map(|it| at.read("intent", stored::decode_intent(it)));
        let hold = row.hold.as_deref().map(|it| at.read("hold", stored::decode_held(it)));
        let number = ImageNumber::from_stored(at.number("number", row.number)?);
        let name = at.word("state", &row.state, &StateName::ALL, StateName::as_str)?;
        let finished_at = at.time_some("finished_at", row.finished_at)?;
        Ok(Self {
            id: at.parse("id", &row.id)?,
            key,
            account_name: at.parse("account_name", &row.account_name)?,
            trigger: at.word("trigger", &row.trigger, &Trigger::ALL, Trigger::as_str)?,
            request: at.parse_some("request", row.request.as_deref())?,
            asked: asked.transpose()?,
            class: at.parse("class", &row.class)?,
            window: StartWindow {
                start_at: at.time("start_at", row.start_at)?,
                start_by: at.time("start_by", row.start_by)?,
            },
            created_at: at.time("created_at", row.created_at)?,
            started_at: at.time_some("started_at", row.started_at)?,
            attempts: at.number("attempts", row.attempts)?,
            number: number.ok_or_else(|| at.inconsistent("number"))?,
            intent: intent.transpose()?,
            hold: hold.transpose()?,
            state: at.read("data", stored::decode_state(name, &row.data, finished_at))?,
        })
    }
}
