//! `hookgate deliveries`.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::sleep;

use super::super::block_on;
use super::{ApiArgs, KEY_HELP, cell, note, print_json, print_table};
use crate::kapso::{Api, Client, Cursor, Error, Filter, Period, Status};
use crate::printable::clean_to;

/// Shows what Kapso sent to webhooks, and what became of it: Kapso's own delivery log.
///
/// The youngest first, page after page. With --follow the oldest first, and then each as it comes or changes, until Ctrl-C.
/// Kapso's log has no bodies.
#[derive(Debug, clap::Args)]
#[command(after_help = KEY_HELP)]
pub(crate) struct Args {
    /// How far back.
    #[arg(long, value_enum, default_value_t)]
    period: Period,

    /// Only those with this status.
    #[arg(long, value_enum)]
    status: Option<Status>,

    /// Only those of this event.
    #[arg(long, value_name = "NAME")]
    event: Option<String>,

    /// Only those to this webhook.
    #[arg(long, value_name = "ID")]
    webhook_id: Option<String>,

    /// Only those that failed.
    #[arg(long)]
    errors_only: bool,

    /// How many are fetched with one call: 1 to 100.
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,

    /// How many pages are fetched at the most, by each look of --follow.
    #[arg(long, value_name = "COUNT", default_value = "50", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pages: u32,

    /// Begins with what is older than this cursor, which a call that had to stop says.
    #[arg(long, value_name = "CURSOR", conflicts_with = "before")]
    after: Option<String>,

    /// Goes the other way, with what is younger than this cursor.
    #[arg(long, value_name = "CURSOR")]
    before: Option<String>,

    /// Goes on showing what comes.
    #[arg(long, short, conflicts_with_all = ["after", "before"])]
    follow: bool,

    /// Seconds between two looks of --follow.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,

    /// Prints one JSON object a line, with every field that Kapso has.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    api: ApiArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let client = args.api.client(Api::Platform)?;
        if args.follow { follow(&client, &args).await } else { list(&client, &args).await }
    })
}

impl Args {
    fn filter(&self) -> Filter {
        Filter {
            period: Some(self.period),
            status: self.status,
            event: self.event.clone(),
            webhook_id: self.webhook_id.clone(),
            errors_only: self.errors_only,
            limit: Some(self.limit),
        }
    }
}

async fn list(client: &Client, args: &Args) -> anyhow::Result<ExitCode> {
    let filter = args.filter();
    let back = args.before.is_some();
    let mut cursor = args.before.clone().map(Cursor::Before).or(args.after.clone().map(Cursor::After));
    let mut shown = Shown::new(args.json);
    for _ in 0..args.pages {
        let page = match client.deliveries(&filter, cursor.as_ref()).await {
            Ok(page) => page,
            Err(error) => {
                // What came before it is worth having.
                if shown.any {
                    shown.finish()?;
                    go_on(cursor.as_ref());
                }
                return Err(error.into());
            }
        };
        let empty = page.records.is_empty();
        page.records.iter().try_for_each(|record| shown.add(record))?;
        cursor = if back { page.before.map(Cursor::Before) } else { page.after.map(Cursor::After) };
        if empty || cursor.is_none() {
            shown.finish()?;
            return Ok(ExitCode::SUCCESS);
        }
    }
    shown.finish()?;
    go_on(cursor.as_ref());
    Ok(ExitCode::SUCCESS)
}

/// Says how to have what comes behind this.
fn go_on(cursor: Option<&Cursor>) {
    match cursor {
        Some(Cursor::After(cursor)) => note(format_args!("there are more: go on with --after {cursor}")),
        Some(Cursor::Before(cursor)) => note(format_args!("there are more: go on with --before {cursor}")),
        None => {}
    }
}

/// A table is written at its end, so that its columns fit; JSON at once.
struct Shown {
    json: bool,
    any: bool,
    rows: Vec<[String; 7]>,
}

impl Shown {
    fn new(json: bool) -> Self {
        Self { json, any: false, rows: Vec::new() }
    }

    fn add(&mut self, record: &Map<String, Value>) -> anyhow::Result<()> {
        self.any = true;
        if self.json {
            return print_json(record);
        }
        self.rows.push(row(record));
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        match (self.rows.is_empty(), self.json) {
            (false, _) => print_table(["AT", "STATUS", "ANSWER", "TRIES", "EVENT", "WEBHOOK", "ID"], self.rows)?,
            (true, false) => note("there is no such delivery"),
            (true, true) => {}
        }
        Ok(())
    }
}

fn row(record: &Map<String, Value>) -> [String; 7] {
    ["created_at", "status", "response_status", "attempt_count", "event", "webhook_id", "id"]
        .map(|field| cell(record, field))
}

async fn follow(client: &Client, args: &Args) -> anyhow::Result<ExitCode> {
    let mut seen = Seen::default();
    let watch = async {
        loop {
            let mut pause = Duration::from_secs(args.interval);
            match news(client, args, &mut seen).await {
                Ok(records) => records.iter().try_for_each(|record| print_line(record, args.json))?,
                // What may pass is waited for; what is wrong stays wrong.
                Err(error) if error.may_pass() => {
                    pause = pause.max(error.reason.wait().unwrap_or_default());
                    note(format_args!("{error}; looking again in {} s", pause.as_secs_f32()));
                }
                Err(error) => return Err(error.into()),
            }
            sleep(pause).await;
        }
    };
    tokio::select! {
        ended = watch => ended,
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::SUCCESS),
    }
}

fn print_line(record: &Map<String, Value>, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(record);
    }
    let line = row(record).map(|cell| if cell.is_empty() { "-".into() } else { cell }).join("  ");
    Ok(writeln!(anstream::stdout(), "{}", clean_to(&line, 1000))?)
}

/// What was not seen before in this state, the oldest first. Only what all pages of it have come of counts as seen.
async fn news(client: &Client, args: &Args, seen: &mut Seen) -> Result<Vec<Map<String, Value>>, Error> {
    let filter = args.filter();
    let mut news = Vec::new();
    let mut cursor = None;
    for number in 1..=args.pages {
        let page = client.deliveries(&filter, cursor.as_ref()).await?;
        let before = news.len();
        let changes_no_more = page.records.last().is_none_or(|record| is_older_than(record, CHANGES));
        let more_may_be_new = page.records.last().is_some_and(|record| !seen.knows(record));
        news.extend(page.records.into_iter().filter(|record| !seen.knows(record)));
        cursor = page.after.map(Cursor::After);
        if cursor.is_none() || news.len() == before && changes_no_more {
            break;
        }
        if more_may_be_new && number == args.pages {
            note(format_args!(
                "there may be older ones, which are not shown: --pages {number} was not enough for this look"
            ));
        }
    }
    news.reverse();
    news.retain(|record| seen.is_new(record));
    Ok(news)
}

/// For how long a delivery's record may change: up to 30 s it waits for its turn, and with four answers that do not come its last
/// try ends 180 s after the first began.
const CHANGES: Duration = Duration::from_secs(240);

/// Whether it was made so long ago, as far as it says.
fn is_older_than(record: &Map<String, Value>, age: Duration) -> bool {
    let made = cell(record, "created_at").parse::<Timestamp>();
    made.map_or(true, |made| Timestamp::now().duration_since(made).unsigned_abs() > age)
}

/// What was seen, the youngest of it: a record is shown again when its status or number of tries is another.
#[derive(Default)]
struct Seen {
    states: HashMap<String, (String, String)>,
    order: VecDeque<String>,
}

/// What twenty looks bring with the usual --pages. Of more the oldest is forgotten, and shown again if a look comes to it.
const REMEMBERED: usize = 100_000;

impl Seen {
    fn knows(&self, record: &Map<String, Value>) -> bool {
        self.states.get(&cell(record, "id")) == Some(&state(record))
    }

    fn is_new(&mut self, record: &Map<String, Value>) -> bool {
        let id = cell(record, "id");
        let state = state(record);
        match self.states.insert(id.clone(), state.clone()) {
            Some(before) => before != state,
            None => {
                self.order.push_back(id);
                if self.order.len() > REMEMBERED
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.states.remove(&oldest);
                }
                true
            }
        }
    }
}

fn state(record: &Map<String, Value>) -> (String, String) {
    (cell(record, "status"), cell(record, "attempt_count"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(id: usize, status: &str) -> Map<String, Value> {
        let Value::Object(record) = json!({"id": id, "status": status, "attempt_count": 1}) else { unreachable!() };
        record
    }

    #[test]
    fn a_record_is_new_once_in_each_state() {
        let mut seen = Seen::default();
        let answers = ["pending", "pending", "delivered", "delivered"].map(|status| seen.is_new(&record(1, status)));
        assert_eq!(answers, [true, false, true, false]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Seen::default();
        for id in 0..REMEMBERED + 10 {
            assert!(seen.is_new(&record(id, "delivered")));
        }
        assert_eq!((seen.states.len(), seen.order.len()), (REMEMBERED, REMEMBERED));
    }
}
