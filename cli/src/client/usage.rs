//! Usage accounts, fetched page by page.

use meshwork_api::{UsagePageView, UsageQuery, UsageView};
use meshwork_core::types::Height;

use super::{Client, ClientError};

/// More rows than any ledger has: more than the keys it keeps, and more than the jobs it could admit before it
/// forgets them.
const ROWS_MAX: usize = 1 << 22;

impl Client {
    /// All rows of accounts from `query.after` on, and the height whose ledger the last of them is of.
    pub async fn usage(&self, mut query: UsageQuery) -> Result<(Height, Vec<UsageView>), ClientError> {
        let mut rows = Vec::new();
        loop {
            let page: UsagePageView = self.find("/v1/usage", &query).await?;
            rows.extend(page.rows);
            if rows.len() > ROWS_MAX {
                return Err(self.nonsense(&format!("more than {ROWS_MAX} accounts")));
            }
            if page.next.is_none() {
                return Ok((page.height, rows));
            }
            query.after = page.next;
        }
    }
}
