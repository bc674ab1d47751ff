//! The ledger's usage accounts: what keys and jobs submitted, used and lost.

use std::ops::RangeInclusive;

use axum::{
    Json,
    extract::{Query, State},
};
use meshwork_api::{USAGE_ROWS_MAX, UsageBy, UsagePageView, UsageQuery, UsageSide, UsageView};
use meshwork_core::{
    identity::PublicKey,
    ledger::{Account, Day, Ledger, Side},
};

use super::{Api, error::ApiError};

/// Which rows a request wants.
struct Wanted {
    key: Option<PublicKey>,
    days: RangeInclusive<Day>,
    limit: usize,
}

/// The rows, and the `after` of the next request if there are more.
type Rows = (Vec<UsageView>, Option<String>);

pub(super) fn parse_key(text: &str) -> Result<PublicKey, ApiError> {
    text.parse()
        .map_err(|_| ApiError::bad_request(format!("{text:?} is not a public key, which has 64 hexadecimal digits")))
}

fn parse_number<T: std::str::FromStr>(text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::bad_request(format!("{text:?} is not a place that an answer named as `next`")))
}

fn row(account: Account) -> UsageView {
    UsageView { day: None, key: None, job: None, name: None, account: account.into() }
}

/// Cuts a list that is one row too long, and returns the `after` of the next request.
fn cut(mut rows: Vec<(String, UsageView)>, limit: usize) -> Rows {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(|(place, _)| place.clone()) } else { None };
    (rows.into_iter().map(|(_, row)| row).collect(), next)
}

fn by_key(ledger: &Ledger, side: Side, wanted: &Wanted, after: Option<PublicKey>) -> Rows {
    let Wanted { key, days, limit } = wanted;
    if let Some(key) = key {
        let days = ledger.usage_by_day(side, Some(*key), days.clone());
        let sum = days.map(|(_, account)| account).reduce(|mut sum, account| {
            sum.add(&account);
            sum
        });
        return (sum.map(|sum| UsageView { key: Some(*key), ..row(sum) }).into_iter().collect(), None);
    }
    let accounts = ledger.usage_by_key(side, days.clone(), after, limit.saturating_add(1));
    let rows =
        accounts.into_iter().map(|(key, account)| (key.to_string(), UsageView { key: Some(key), ..row(account) }));
    let (mut rows, next) = cut(rows.collect(), *limit);
    let others = ledger.usage_of_others(side, days.clone());
    if next.is_none() && !others.is_empty() {
        rows.push(row(others));
    }
    (rows, next)
}

fn by_job(ledger: &Ledger, wanted: &Wanted, after: u64) -> Rows {
    let jobs = ledger.jobs_after(after).filter(|(_, job)| {
        wanted.key.is_none_or(|key| job.submitter == key) && wanted.days.contains(&Day::of(job.submitted))
    });
    let rows = jobs.take(wanted.limit.saturating_add(1)).map(|(number, job)| {
        let row = UsageView {
            day: Some(Day::of(job.submitted).0),
            key: Some(job.submitter),
            job: Some(job.id),
            name: Some(job.name.to_owned()),
            ..row(*job.usage)
        };
        (number.to_string(), row)
    });
    cut(rows.collect(), wanted.limit)
}

fn by_day(ledger: &Ledger, side: Side, wanted: &Wanted) -> Rows {
    let days = ledger.usage_by_day(side, wanted.key, wanted.days.clone());
    let rows = days
        .take(wanted.limit.saturating_add(1))
        .map(|(day, account)| (day.to_string(), UsageView { day: Some(day.0), key: wanted.key, ..row(account) }));
    cut(rows.collect(), wanted.limit)
}

pub(super) async fn usage(
    State(api): State<Api>,
    Query(query): Query<UsageQuery>,
) -> Result<Json<UsagePageView>, ApiError> {
    let UsageQuery { by, side, key, from, to, after, limit } = query;
    let mut days = Day(from.unwrap_or(0))..=to.map_or(Day::MAX, Day);
    let after_key = match (by, &after) {
        (UsageBy::Submitter | UsageBy::Worker, Some(after)) => Some(parse_key(after)?),
        _ => None,
    };
    let after_number = match (by, &after) {
        (UsageBy::Job, Some(after)) => parse_number(after)?,
        _ => 0,
    };
    if let (UsageBy::Day, Some(after)) = (by, &after) {
        let after = Day(parse_number::<u32>(after)?.saturating_add(1));
        days = after.max(*days.start())..=*days.end();
    }
    let limit = limit.unwrap_or(USAGE_ROWS_MAX).clamp(1, USAGE_ROWS_MAX);
    let wanted = Wanted { key: key.as_deref().map(parse_key).transpose()?, days, limit };
    let side = match side {
        UsageSide::Submitter => Side::Submitter,
        UsageSide::Worker => Side::Worker,
    };
    let page = api.driver.query(move |replica| {
        let ledger = replica.ledger();
        let (rows, next) = match by {
            UsageBy::Submitter => by_key(ledger, Side::Submitter, &wanted, after_key),
            UsageBy::Worker => by_key(ledger, Side::Worker, &wanted, after_key),
            UsageBy::Job => by_job(ledger, &wanted, after_number),
            UsageBy::Day => by_day(ledger, side, &wanted),
        };
        UsagePageView { height: ledger.height(), today: ledger.day().0, rows, next }
    });
    Ok(Json(page.await?))
}
