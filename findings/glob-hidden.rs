// package: glob = "=0.3.4"
// package: tempfile = "=3.23.0"
//! With `require_literal_leading_dot`, a pattern that begins with a dot matches a hidden file, but the walk by the same
//! pattern and options finds none.

use glob::{MatchOptions, Pattern, glob_with};

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in [".hidden.csv", "shown.csv"] {
        std::fs::write(folder.path().join(name), "").expect("written");
    }
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let found = |pattern: &str, options| {
        let pattern = format!("{}/{pattern}", Pattern::escape(folder.path().to_str().expect("text")));
        glob_with(&pattern, options).expect("a pattern").count()
    };
    let matches = Pattern::new(".*.csv").expect("a pattern").matches_with(".hidden.csv", options);
    let (walked, without) = (found(".*.csv", options), found(".*.csv", MatchOptions::new()));
    println!("glob 0.3.4: `.*.csv` matches .hidden.csv: {matches}; the walk finds {walked}, and {without} without the option");
    assert_eq!(found("*.csv", options), 1, "of the two, only the one that is shown");
    assert!(matches);
    assert_eq!((walked, without), (0, 1));
}
