// package: croner = "=4.0.3"
// package: chrono = { version = "=0.4.45", default-features = false, features = ["std"] }
//! A step of 90 in the minutes, which leads beyond the field, is taken for every hour. So is one of 60, and `*/24` in
//! the hours for every day.

use chrono::{DateTime, Utc};
use croner::parser::CronParser;

fn main() {
    let start: DateTime<Utc> = "2026-11-30T12:00:00Z".parse().expect("a moment");
    for (text, seconds) in [("*/90 * * * *", 3600), ("*/60 * * * *", 3600), ("0 */24 * * *", 86_400)] {
        let cron = CronParser::builder().build().parse(text).expect("it is taken");
        let moments: Vec<DateTime<Utc>> = cron.iter_after(start).take(3).collect();
        println!("croner 4.0.3: {text:?} comes at {moments:?}");
        assert!(moments.windows(2).all(|pair| (pair[1] - pair[0]).num_seconds() == seconds));
    }
}
