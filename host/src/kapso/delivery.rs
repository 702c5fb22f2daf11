//! The log of what Kapso sent to webhooks.

use serde_json::{Map, Value};

use super::client::{Call, Client};
use super::error::Error;

/// A stretch of the log, back from now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Period {
    /// The last day.
    #[default]
    #[value(name = "24h")]
    Day,
    /// The last week.
    #[value(name = "7d")]
    Week,
    /// The last thirty days.
    #[value(name = "30d")]
    Month,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Status {
    /// It is still being tried.
    Pending,
    /// It was answered 200.
    Delivered,
    /// Kapso has given it up.
    Failed,
}

/// Which deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this stretch.
    pub period: Option<Period>,
    /// With this status.
    pub status: Option<Status>,
    /// Of this event.
    pub event: Option<String>,
    /// Of this webhook.
    pub webhook_id: Option<String>,
    /// Only failed ones.
    pub errors_only: bool,
    /// How many a page has, up to 100; Kapso's default is 20.
    pub limit: Option<u32>,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// With what is older than the page that gave this cursor.
    After(String),
    /// With what is younger.
    Before(String),
}

/// A page of the log, the youngest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The records as Kapso sent them: `id`, `webhook_id`, `webhook_url`, `event`, `status`, `attempt_count`,
    /// `response_status`, `phone_number_id`, `created_at`, `last_attempt_at`, `delivered_at`, `failed_at` and what else there is.
    pub records: Vec<Map<String, Value>>,
    /// Leads to the next page, with older records.
    pub after: Option<String>,
    /// Leads to the page before, with younger ones.
    pub before: Option<String>,
}

impl Filter {
    fn query(&self, cursor: Option<&Cursor>) -> Vec<(&'static str, String)> {
        let period = self.period.map(|period| match period {
            Period::Day => "24h",
            Period::Week => "7d",
            Period::Month => "30d",
        });
        let status = self.status.map(|status| match status {
            Status::Pending => "pending",
            Status::Delivered => "delivered",
            Status::Failed => "failed",
        });
        let (after, before) = match cursor {
            Some(Cursor::After(after)) => (Some(after.clone()), None),
            Some(Cursor::Before(before)) => (None, Some(before.clone())),
            None => (None, None),
        };
        let query = [
            ("period", period.map(str::to_owned)),
            ("status", status.map(str::to_owned)),
            ("event", self.event.clone()),
            ("webhook_id", self.webhook_id.clone()),
            ("errors_only", self.errors_only.then(|| "true".to_owned())),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("after", after),
            ("before", before),
        ];
        query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// The call. "Webhook deliveries" in the reference of Kapso's Platform API; the legacy API does not have it.
impl Client {
    /// One page of the log.
    ///
    /// # Errors
    /// The call failed.
    pub async fn deliveries(&self, filter: &Filter, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let query = filter.query(cursor);
        let (records, answer) = self.list(&Call::get(&["webhook_deliveries"], &query)).await?;
        let paging = answer.get("paging");
        // `next` and `previous` are null at the ends; an answer that does not have them has cursors at least.
        let lead = |way: &str, cursor: &str| match paging?.get(way) {
            Some(way) => way.as_str().map(str::to_owned),
            None => paging?.get("cursors")?.get(cursor)?.as_str().map(str::to_owned),
        };
        Ok(Page { after: lead("next", "after"), before: lead("previous", "before"), records })
    }
}
