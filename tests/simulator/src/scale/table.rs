//! Renders figures as tables in Markdown.

use super::{
    Figures,
    figures::Traffic,
    growth::{Series, Study, exponent},
};

type Column = (&'static str, fn(&Figures) -> String);

fn number(value: f64) -> String {
    if value >= 100.0 {
        grouped(value.round() as u64)
    } else if value >= 10.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// A number with separators between its thousands.
#[must_use]
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn kilobytes(bytes: f64) -> String {
    number(bytes / 1000.0)
}

fn two(first: f64, second: f64, text: fn(f64) -> String) -> String {
    format!("{} / {}", text(first), text(second))
}

/// What people notice, and how full blocks are.
const NOTICED: &[Column] = &[
    ("peers", |run| grouped(run.peers as u64)),
    ("authorities", |run| run.authorities.to_string()),
    ("job final at its submitter, ms, p50 / p99", |run| format!("{} / {}", run.job_final.p50_ms, run.job_final.p99_ms)),
    ("block final everywhere, ms, p50 / p99", |run| format!("{} / {}", run.block_final.p50_ms, run.block_final.p99_ms)),
    ("blocks / s", |run| number(run.blocks_per_s)),
    ("claims / s", |run| number(run.claims_per_s)),
    ("tasks done / s", |run| number(run.tasks_per_s)),
    ("tasks not done at the end", |run| run.backlog_tasks.to_string()),
    ("largest block, transactions", |run| run.block_transactions_max.to_string()),
    ("of what it may hold", |run| format!("{:.1} %", 100.0 * run.block_share)),
];

/// The load of a peer each second.
const COSTS: &[Column] = &[
    ("peers", |run| grouped(run.peers as u64)),
    ("authorities", |run| run.authorities.to_string()),
    ("messages in, ordinary peer, median / most", |run| messages_in(&run.ordinary, &run.ordinary_max)),
    ("messages out", |run| two(run.ordinary.messages_out, run.ordinary_max.messages_out, number)),
    ("kB in", |run| two(run.ordinary.bytes_in, run.ordinary_max.bytes_in, kilobytes)),
    ("kB out", |run| two(run.ordinary.bytes_out, run.ordinary_max.bytes_out, kilobytes)),
    ("messages in / out, busiest authority", |run| {
        two(run.authority_max.messages_in, run.authority_max.messages_out, number)
    }),
    ("kB in / out", |run| two(run.authority_max.bytes_in, run.authority_max.bytes_out, kilobytes)),
];

/// What an ordinary peer receives.
const KINDS: &[Column] = &[
    ("peers", |run| grouped(run.peers as u64)),
    ("authorities", |run| run.authorities.to_string()),
    ("gossip messages published / s", |run| number(run.published_per_s)),
    ("copies of each at a peer", |run| number(run.copies)),
    ("transactions, kB / s", |run| kilobytes(run.kinds.transactions)),
    ("blocks, kB / s", |run| kilobytes(run.kinds.blocks)),
    ("finalizations, kB / s", |run| kilobytes(run.kinds.finalizations)),
    ("IHAVE and IDONTWANT, kB / s", |run| kilobytes(run.kinds.control)),
    ("connections", |run| number(run.connections)),
    ("one finalization, bytes", |run| grouped(run.certificate_bytes.round() as u64)),
];

fn messages_in(median: &Traffic, most: &Traffic) -> String {
    two(median.messages_in, most.messages_in, number)
}

fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("| {} |\n", cells.join(" | "))
}

fn table(columns: &[Column], figures: &[Figures]) -> String {
    let head = line(columns.iter().map(|(name, _)| (*name).to_owned()));
    let rule = line(columns.iter().map(|_| "--:".to_owned()));
    let rows: String = figures.iter().map(|run| line(columns.iter().map(|(_, cell)| cell(run)))).collect();
    head + &rule + &rows
}

/// What people notice.
#[must_use]
pub fn noticed(figures: &[Figures]) -> String {
    table(NOTICED, figures)
}

/// The load of peers.
#[must_use]
pub fn costs(figures: &[Figures]) -> String {
    table(COSTS, figures)
}

/// What an ordinary peer receives, by kind.
#[must_use]
pub fn kinds(figures: &[Figures]) -> String {
    table(KINDS, figures)
}

type Grows = (&'static str, fn(&Figures) -> f64);

const WITH_PEERS: &[Grows] = &[
    ("claims on the ledger", |run| run.claims_per_s),
    ("messages in, ordinary peer", |run| run.ordinary.messages_in),
    ("bytes in, ordinary peer", |run| run.ordinary.bytes_in),
    ("… of transactions", |run| run.kinds.transactions),
    ("… of blocks", |run| run.kinds.blocks),
    ("… of finalizations", |run| run.kinds.finalizations),
    ("… of IHAVE and IDONTWANT", |run| run.kinds.control),
    ("bytes out, busiest authority", |run| run.authority_max.bytes_out),
    ("job final, p50", |run| run.job_final.p50_ms as f64),
    ("job final, p99", |run| run.job_final.p99_ms as f64),
];

const WITH_AUTHORITIES: &[Grows] = &[
    ("messages in, busiest authority", |run| run.authority_max.messages_in),
    ("bytes in, busiest authority", |run| run.authority_max.bytes_in),
    ("bytes of one finalization", |run| run.certificate_bytes),
    ("bytes of finalizations in, ordinary peer", |run| run.kinds.finalizations),
    ("bytes in, ordinary peer", |run| run.ordinary.bytes_in),
    ("job final, p50", |run| run.job_final.p50_ms as f64),
];

fn growth(series: &Series, x: fn(&Figures) -> usize, of: &str, figures: &[Grows]) -> String {
    let steps = || series.figures.windows(2);
    let step = |pair: &[Figures]| format!("{} to {} {of}", grouped(x(&pair[0]) as u64), grouped(x(&pair[1]) as u64));
    let head = line(std::iter::once("a second, per peer".to_owned()).chain(steps().map(step)));
    let rule = line(std::iter::once("---".to_owned()).chain(steps().map(|_| "--:".to_owned())));
    let row = |(name, y): &Grows| {
        let powers = steps().map(|pair| {
            let power = exponent((x(&pair[0]) as f64, y(&pair[0])), (x(&pair[1]) as f64, y(&pair[1])));
            if power.is_finite() { format!("{power:.2}") } else { "–".into() }
        });
        line(std::iter::once((*name).to_owned()).chain(powers))
    };
    head + &rule + &figures.iter().map(row).collect::<String>()
}

/// How figures grow with the number of peers: the power in each step.
#[must_use]
pub fn growth_with_peers(series: &Series) -> String {
    growth(series, |run| run.peers, "peers", WITH_PEERS)
}

/// How figures grow with the number of authorities.
#[must_use]
pub fn growth_with_authorities(series: &Series) -> String {
    growth(series, |run| run.authorities, "authorities", WITH_AUTHORITIES)
}

/// The effects of the improvements.
#[must_use]
pub fn mends(study: &Study) -> String {
    let head = "| | claims / s | kB in, ordinary peer | … transactions | … blocks | … IHAVE, IDONTWANT | kB out, busiest \
                authority | job final, ms, p50 / p99 |\n| --- | --: | --: | --: | --: | --: | --: | --: |\n";
    let rows = study.mends.iter().flat_map(|series| series.figures.iter().map(|run| (&series.name, run)));
    let rows = rows.map(|(name, run)| {
        line([
            name.clone(),
            number(run.claims_per_s),
            kilobytes(run.ordinary.bytes_in),
            kilobytes(run.kinds.transactions),
            kilobytes(run.kinds.blocks),
            kilobytes(run.kinds.control),
            kilobytes(run.authority_max.bytes_out),
            format!("{} / {}", run.job_final.p50_ms, run.job_final.p99_ms),
        ])
    });
    head.to_owned() + &rows.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_thousands_grouped() {
        assert_eq!((number(1.26), number(12.6), number(1234.4)), ("1.3".into(), "13".into(), "1,234".into()));
        assert_eq!((grouped(0), grouped(999), grouped(1_000_000)), ("0".into(), "999".into(), "1,000,000".into()));
    }
}
