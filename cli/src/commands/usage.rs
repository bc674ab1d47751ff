//! `meshwork usage`: shows what keys and jobs submitted, used and lost.

use clap::{Args, ValueEnum};
use meshwork_api::{AccountView, UsageBy, UsageQuery, UsageSide, UsageView};
use meshwork_core::{
    identity::PublicKey,
    ledger::{Account, Day},
    types::JobId,
};
use serde::Serialize;

use crate::{
    client::Client,
    context::{Context, Named, find},
    failure::{Done, Failure},
    output::{usage::COLUMNS, words::short},
    time::{date, parse_date},
};

/// Which accounts to show, and how.
#[derive(Args, Debug)]
#[command(
    after_help = "HELD, CORES and MEMORY are measured in ledger time: HELD is how long attempts had slots, CORES the core time and \
MEMORY the memory time that they reserved meanwhile. CPU is the processor time that workers report, up to what was reserved. WASTED \
is the core time of attempts that failed or were lost. An attempt that crosses midnight counts on the day on which it ends. The \
ledger keeps days for 400 days, and jobs until it forgets them."
)]
pub struct Options {
    /// What each line stands for
    #[arg(long, value_enum, default_value_t = By::Submitter)]
    by: By,
    /// With --by day: show submitters' days or workers' days
    #[arg(long = "as", value_enum, value_name = "SIDE", default_value_t = As::Submitter)]
    side: As,
    /// Show only this key's accounts; its first digits are enough
    #[arg(long, value_name = "KEY", conflicts_with = "mine")]
    of: Option<String>,
    /// Show only the accounts of this home's key
    #[arg(long)]
    mine: bool,
    /// First day, in UTC; for jobs, the first day of submission
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date)]
    from: Option<Day>,
    /// Last day, in UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date)]
    to: Option<Day>,
    /// Print all figures as comma-separated values, for spreadsheets
    #[arg(long)]
    csv: bool,
}

/// What each line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// A key that submitted tasks
    Submitter,
    /// A key that was given tasks
    Worker,
    /// A job that the ledger has not forgotten
    Job,
    /// A day
    Day,
}

/// Whose days to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum As {
    /// What was submitted, and what became of it
    Submitter,
    /// What workers were given, and what they did with it
    Worker,
}

/// One row, as scripts read it.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(flatten)]
    account: AccountView,
}

impl Row {
    fn of(view: UsageView) -> Self {
        let UsageView { day, key, job, name, account } = view;
        Self { day: day.map(date), key, job, name, account }
    }
}

/// The whole answer, for scripts.
#[derive(Serialize)]
struct Report<'a> {
    by: UsageBy,
    height: u64,
    rows: &'a [Row],
    total: AccountView,
}

/// Shows accounts.
///
/// # Errors
/// The node does not answer, no key or more than one starts with the digits, or both JSON and CSV are wanted.
pub async fn run(context: &Context, options: Options) -> Done {
    let output = context.output;
    if options.csv && output.is_json() {
        return Err(Failure::usage("Write --json or --csv, not both."));
    }
    let client = context.settings.client()?;
    let mut query = UsageQuery {
        by: match options.by {
            By::Submitter => UsageBy::Submitter,
            By::Worker => UsageBy::Worker,
            By::Job => UsageBy::Job,
            By::Day => UsageBy::Day,
        },
        side: match options.side {
            As::Submitter => UsageSide::Submitter,
            As::Worker => UsageSide::Worker,
        },
        from: options.from.map(|day| day.0),
        to: options.to.map(|day| day.0),
        ..UsageQuery::default()
    };
    let key = match options.of {
        Some(digits) => Some(find_key(&client, &query, &digits).await?),
        None if options.mine => Some(context.settings.key()?.public()),
        None => None,
    };
    query.key = key.map(|key| key.to_string());
    let by = query.by;
    let (height, views) = client.usage(query).await?;
    let rows: Vec<Row> = views.into_iter().map(Row::of).collect();
    let total = total(&rows);
    if output.is_json() {
        return output.object(&Report { by, height: height.0, rows: &rows, total });
    }
    if options.csv {
        let columns = ["day", "key", "job", "name"].into_iter().chain(Account::NAMES);
        return output.csv(columns, rows.iter().map(csv_row));
    }
    let name = match by {
        UsageBy::Submitter => "submitter",
        UsageBy::Worker => "worker",
        UsageBy::Job => "job",
        UsageBy::Day => "day",
    };
    let columns: Vec<&str> = [name].into_iter().chain(COLUMNS.map(|(name, _)| name)).collect();
    let line = |first: String, account: &AccountView| {
        [first].into_iter().chain(COLUMNS.map(|(_, cell)| cell(account))).collect()
    };
    let mut lines: Vec<Vec<String>> = rows.iter().map(|row| line(first(by, row), &row.account)).collect();
    lines.push(line(format!("total of {}", rows.len()), &total));
    output.figures(&columns, lines)
}

fn total(rows: &[Row]) -> AccountView {
    let accounts: Vec<Account> = rows.iter().map(|row| row.account.into()).collect();
    Account::sum(&accounts).into()
}

/// A row's name, for people.
fn first(by: UsageBy, row: &Row) -> String {
    match (by, &row.day, &row.key, &row.job) {
        (UsageBy::Day, Some(day), ..) => day.clone(),
        (UsageBy::Job, _, _, Some(job)) => format!("{} {}", short(job), row.name.as_deref().unwrap_or_default()),
        (_, _, Some(key), _) => short(key),
        _ => "others".into(),
    }
}

fn csv_row(row: &Row) -> Vec<String> {
    let Row { day, key, job, name, account } = row;
    let text = |value: Option<String>| value.unwrap_or_default();
    let mut cells = vec![
        text(day.clone()),
        text(key.map(|key| key.to_string())),
        text(job.map(|job| job.to_string())),
        text(name.clone()),
    ];
    cells.extend(Account::from(*account).figures().map(|figure| figure.to_string()));
    cells
}

const KEY: Named =
    Named { one: "key", of_one: "key that has an account", of_several: "keys", listed: "`meshwork usage` lists them" };

/// The key that has an account and starts with these digits.
async fn find_key(client: &Client, query: &UsageQuery, digits: &str) -> Done<PublicKey> {
    let by_worker = query.by == UsageBy::Worker || query.by == UsageBy::Day && query.side == UsageSide::Worker;
    let by = if by_worker { UsageBy::Worker } else { UsageBy::Submitter };
    let all = async {
        let (_, rows) = client.usage(UsageQuery { by, side: query.side, ..UsageQuery::default() }).await?;
        Ok(rows.into_iter().filter_map(|row| row.key).collect())
    };
    find(&KEY, digits, all).await
}
