//! What was learnt of accounts and of the instances in them.

use amikeep_domain::id::{AccountId, AccountName, InstanceId, Region};
use amikeep_domain::instance::{Instance, InstanceState};
use jiff::Timestamp;
use serde::Serialize;

use crate::error::{Failure, LedgerError};
use crate::field::{Place, millis};
use crate::ledger::{Access, Ledger};
use crate::{sql, stored};

/// What is known of a configured account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSeen {
    /// Its configured name.
    pub name: AccountName,
    /// Its 12 digits, once AWS said them.
    pub id: Option<AccountId>,
    /// Its region at that time.
    pub region: Option<Region>,
    /// When AWS last said who it is; for an account that never answered, when it was first asked.
    pub seen_at: Timestamp,
    /// When its instances were last listed completely.
    pub inventory_at: Option<Timestamp>,
    /// The last error and its time, until an inventory succeeds again.
    pub last_error: Option<(String, Timestamp)>,
}

/// An instance as the inventories saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSeen {
    /// The instance.
    pub instance: InstanceId,
    /// Its tag `Name`.
    pub name: Option<String>,
    /// Its state when it was last seen.
    pub state: InstanceState,
    /// Whether it was in the last inventory.
    pub present: bool,
    /// The first inventory with it.
    pub first_seen_at: Timestamp,
    /// The last inventory with it.
    pub last_seen_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct AccountRow {
    name: String,
    account: Option<String>,
    region: Option<String>,
    seen_at: i64,
    inventory_at: Option<i64>,
    last_error: Option<String>,
    last_error_at: Option<i64>,
}

impl TryFrom<AccountRow> for AccountSeen {
    type Error = LedgerError;

    fn try_from(row: AccountRow) -> Result<Self, LedgerError> {
        let at = Place::new("accounts", &row.name);
        let last_error_at = at.time_some("last_error_at", row.last_error_at)?;
        Ok(Self {
            name: at.parse("name", &row.name)?,
            id: at.parse_some("account", row.account.as_deref())?,
            region: at.parse_some("region", row.region.as_deref())?,
            seen_at: at.time("seen_at", row.seen_at)?,
            inventory_at: at.time_some("inventory_at", row.inventory_at)?,
            last_error: row.last_error.zip(last_error_at),
        })
    }
}

#[derive(sqlx::FromRow)]
struct InstanceRow {
    instance: String,
    name: Option<String>,
    state: String,
    present: bool,
    first_seen_at: i64,
    last_seen_at: i64,
}

impl TryFrom<InstanceRow> for InstanceSeen {
    type Error = LedgerError;

    fn try_from(row: InstanceRow) -> Result<Self, LedgerError> {
        let at = Place::new("instances", &row.instance);
        Ok(Self {
            instance: at.parse("instance", &row.instance)?,
            state: at.word("state", &row.state, &InstanceState::ALL, InstanceState::as_str)?,
            present: row.present,
            first_seen_at: at.time("first_seen_at", row.first_seen_at)?,
            last_seen_at: at.time("last_seen_at", row.last_seen_at)?,
            name: row.name,
        })
    }
}

/// An instance of an inventory, as the statements take it.
#[derive(Serialize)]
struct Listed<'a> {
    instance: &'a str,
    name: Option<&'a str>,
    state: &'a str,
}

impl<'a> Listed<'a> {
    fn new(instance: &'a Instance) -> Self {
        Self { instance: instance.id.as_str(), name: instance.name(), state: instance.state.as_str() }
    }
}

impl Ledger {
    /// Records that AWS said who the account is.
    pub async fn record_account(
        &self,
        name: &AccountName,
        id: &AccountId,
        region: &Region,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            let query = sqlx::query(sql::UPSERT_ACCOUNT).bind(name.as_str()).bind(id.as_str()).bind(region.as_str());
            query.bind(millis(at)).execute(&mut *tx).await?;
            Ok(tx.commit().await?)
        };
        self.explain(result.await, |source| LedgerError::RecordAccount { account: name.clone(), source })
    }

    /// Records that the account could not be used, and why.
    pub async fn record_account_error(
        &self,
        name: &AccountName,
        error: &str,
        at: Timestamp,
    ) -> Result<(), LedgerError> {
        let result = async {
            let mut tx = self.begin(Access::Engine).await?;
            let query = sqlx::query(sql::UPSERT_ACCOUNT_ERROR).bind(name.as_str()).bind(millis(at)).bind(error);
            query.execute(&mut *tx).await?;
            Ok(tx.commit().await?)
        };
        self.explain(result.await, |source| LedgerError::RecordAccount { account: name.clone(), source })
    }

    /// Every account that was ever heard of, by name.
    pub async fn accounts(&self) -> Result<Vec<AccountSeen>, LedgerError> {
        let result = async {
            let rows: Vec<AccountRow> = sqlx::query_as(sql::ACCOUNTS).fetch_all(self.readers()).await?;
            Ok(rows.into_iter().map(AccountSeen::try_from).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, "the accounts")
    }

    /// Records a complete inventory: who is there, who is there no more. Only rows that changed are written, so that a
    /// fleet of thousands costs little when nothing happens.
    pub async fn record_inventory(
        &self,
        name: &AccountName,
        at: Timestamp,
        instances: &[Instance],
    ) -> Result<(), LedgerError> {
        let result = self.try_record_inventory(name, at, instances).await;
        self.explain(result, |source| LedgerError::RecordInventory { account: name.clone(), source })
    }

    async fn try_record_inventory(
        &self,
        name: &AccountName,
        at: Timestamp,
        instances: &[Instance],
    ) -> Result<(), Failure> {
        let json = stored::to_json(&instances.iter().map(Listed::new).collect::<Vec<_>>());
        let count = i64::try_from(instances.len()).unwrap_or(i64::MAX);
        let (name, at) = (name.as_str(), millis(at));
        let mut tx = self.begin(Access::Engine).await?;
        // Those that are gone first: they need the time of the inventory before.
        sqlx::query(sql::INSTANCES_GONE).bind(name).bind(&json).execute(&mut *tx).await?;
        sqlx::query(sql::UPSERT_INVENTORY_TIME).bind(name).bind(at).execute(&mut *tx).await?;
        sqlx::query(sql::UPSERT_INSTANCES).bind(name).bind(&json).bind(at).execute(&mut *tx).await?;
        sqlx::query(sql::INSERT_INVENTORY).bind(name).bind(at).bind(count).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// The instances that the inventories of an account ever saw, by id.
    pub async fn instances(&self, name: &AccountName) -> Result<Vec<InstanceSeen>, LedgerError> {
        let result = async {
            let query = sqlx::query_as(sql::INSTANCES).bind(name.as_str());
            let rows: Vec<InstanceRow> = query.fetch_all(self.readers()).await?;
            Ok(rows.into_iter().map(InstanceSeen::try_from).collect::<Result<_, _>>()?)
        };
        self.explain_read(result.await, format!("the instances of account {name}"))
    }
}

#[cfg(test)]
mod tests;
