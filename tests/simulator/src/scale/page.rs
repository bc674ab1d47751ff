//! Writes the page about growth: puts measured tables and figures into fixed words.

use super::{Figures, Setup, growth::Study, table};

/// The words. What is in double braces is replaced.
const WORDS: &str = include_str!("page.md");

/// The most connections that an authority takes from peers other than authorities: three quarters of
/// `connections_max`.
const INCOMING_MAX: f64 = 288.0;
/// The longest time between two dials of an authority, in seconds: `WAIT_MAX` of the dialer.
const REDIAL_S: f64 = 15.0;

/// The page.
#[must_use]
pub fn markdown(study: &Study, base: &Setup) -> String {
    let all = |figures: &[Figures]| format!("{}\n{}", table::noticed(figures), table::costs(figures));
    let parts = [
        ("{{seconds}}", base.seconds.to_string()),
        ("{{tasks}}", base.tasks_per_s.to_string()),
        ("{{connections}}", base.connections.to_string()),
        ("{{both}}", all(&study.both.figures)),
        ("{{peers}}", all(&study.peers.figures)),
        ("{{authorities}}", all(&study.authorities.figures)),
        ("{{kinds}}", table::kinds(&study.peers.figures)),
        ("{{kinds-of-authorities}}", table::kinds(&study.authorities.figures)),
        ("{{growth-with-peers}}", table::growth_with_peers(&study.peers)),
        ("{{growth-with-authorities}}", table::growth_with_authorities(&study.authorities)),
        ("{{mends}}", table::mends(study)),
    ];
    let parts = parts.into_iter().chain(facts(study));
    parts.into_iter().fold(WORDS.to_owned(), |page, (place, text)| page.replace(place, text.trim_end()))
}

/// Single figures in the words. They are those of the largest network of four authorities, unless the page says
/// otherwise.
fn facts(study: &Study) -> Vec<(&'static str, String)> {
    let (Some(small), Some(large)) = (study.peers.figures.first(), study.peers.figures.last()) else {
        return Vec::new();
    };
    let series = || [&study.peers, &study.both, &study.authorities].into_iter().chain(&study.mends);
    let all = || series().flat_map(|series| &series.figures);
    let most = |of: fn(&Figures) -> f64| all().map(of).fold(0.0, f64::max);
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let transaction_bytes = large.kinds.transactions / (large.copies * large.transactions_per_s);
    let jobs_final = match all().map(|run| run.jobs_not_final).sum() {
        0 => "Every job became final".into(),
        count => format!("All jobs but {count} became final"),
    };
    vec![
        ("{{jobs-final}}", jobs_final),
        ("{{first-wait}}", small.job_final.p50_ms.to_string()),
        ("{{last-wait}}", large.job_final.p50_ms.to_string()),
        (
            "{{peers-that-blocks-hold}}",
            table::grouped((large.peers as f64 / large.block_share / 1e4).round() as u64 * 10_000),
        ),
        ("{{block-share}}", format!("{:.1} %", 100.0 * most(|run| run.block_share))),
        ("{{claims}}", format!("{:.0}", large.claims_per_s)),
        ("{{copies}}", format!("{:.1}", large.copies)),
        ("{{bytes-in}}", format!("{:.1}", large.ordinary.bytes_in / 1e6)),
        ("{{bits-out}}", format!("{:.0}", large.ordinary.bytes_out * 8.0 / 1e6)),
        ("{{control-share}}", percent(large.kinds.control / large.ordinary.bytes_in)),
        ("{{certificate}}", format!("{:.0}", most(|run| run.certificate_bytes))),
        ("{{transaction-bytes}}", format!("{transaction_bytes:.0}")),
        ("{{dials}}", format!("{:.0}", (large.peers as f64 - INCOMING_MAX) / REDIAL_S)),
        ("{{sooner}}", format!("{:.0}", most(|run| run.sooner_ms_max))),
        ("{{later}}", format!("{:.0}", most(|run| run.later_ms_max))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale::growth::Series;

    #[test]
    fn every_place_in_the_words_is_filled() {
        let figures = vec![crate::scale::run(&Setup { seconds: 1, warm_up_s: 3, ..Setup::of(8, 4) }); 2];
        let series = Series { name: "some".into(), figures };
        let (both, peers, authorities) = (series.clone(), series.clone(), series.clone());
        let study = Study { both, peers, authorities, mends: vec![series] };
        let page = markdown(&study, &Setup::of(8, 4));
        assert!(!page.contains("{{") && !page.contains("}}"), "{page}");
        assert!(!crate::scale::plot::svg(&study).contains("NaN"));
    }
}
