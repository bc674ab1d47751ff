//! Accounts, page by page.

use meshwork_core::{identity::PublicKey, ledger::Day, types::Height};
use meshwork_node::api::views::{UsageBy, UsagePageView, UsageSide, UsageView};
use serde::Serialize;

use super::{Client, ClientError};

/// More than any ledger has: of keys what is kept, of jobs what could be admitted before they are forgotten.
const ROWS_MAX: usize = 1 << 22;

/// Which accounts are wanted.
#[derive(Clone, Copy, Debug)]
pub struct UsageQuery {
    /// What there is one row for each of.
    pub by: UsageBy,
    /// Whose days are meant.
    pub side: UsageSide,
    /// Only this key's.
    pub key: Option<PublicKey>,
    /// The first day.
    pub from: Option<Day>,
    /// The last one.
    pub to: Option<Day>,
}

/// How the API calls something.
fn name_of(value: impl Serialize) -> String {
    let name = serde_json::to_value(value).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}

impl UsageQuery {
    fn path(&self) -> String {
        let Self { by, side, key, from, to } = self;
        let mut path = format!("/v1/usage?by={}&as={}", name_of(by), name_of(side));
        let mut add = |name: &str, value: Option<String>| {
            path.extend(value.map(|value| format!("&{name}={value}")));
        };
        add("key", key.map(|key| key.to_string()));
        add("from", from.map(|day| day.to_string()));
        add("to", to.map(|day| day.to_string()));
        path
    }
}

impl Client {
    /// All rows of accounts, and the height whose ledger the last of them is of.
    pub async fn usage(&self, query: &UsageQuery) -> Result<(Height, Vec<UsageView>), ClientError> {
        let path = query.path();
        let (mut rows, mut place) = (Vec::new(), path.clone());
        loop {
            let page: UsagePageView = self.get(&place).await?;
            rows.extend(page.rows);
            if rows.len() > ROWS_MAX {
                return Err(self.nonsense(&format!("more than {ROWS_MAX} accounts")));
            }
            match page.next {
                // What a node says is put into no address that it could change otherwise.
                Some(next) if next.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                    place = format!("{path}&after={next}");
                }
                Some(next) => return Err(self.nonsense(&format!("{next:?} as the next place"))),
                None => return Ok((page.height, rows)),
            }
        }
    }
}
