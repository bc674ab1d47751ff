//! Progress on standard error while a person waits. Nothing is shown if standard error is not a terminal.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

const TASKS_TEMPLATE: &str = "{bar:40.green/black} {pos}/{len} tasks  {msg}  {elapsed_precise}";

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file. A bar in the default style is better than none.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A bar over a job's tasks.
pub fn tasks(count: u64) -> ProgressBar {
    ProgressBar::new(count).with_style(style(TASKS_TEMPLATE))
}

/// A spinner for work of unknown length.
pub fn spinner(doing: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(doing.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// A bar over tasks with lines of text below it.
pub struct Board {
    all: MultiProgress,
    tasks: ProgressBar,
    lines: Vec<ProgressBar>,
}

impl Board {
    /// A board for `count` tasks, with `lines` lines below the bar.
    pub fn new(count: u64, lines: usize) -> Self {
        let all = MultiProgress::new();
        let tasks = all.add(tasks(count));
        let line = || all.add(ProgressBar::new_spinner().with_style(style("  {msg}")));
        let lines = (0..lines).map(|_| line()).collect();
        Self { all, tasks, lines }
    }

    /// Moves the bar.
    pub fn tasks(&self, ended: u64, message: String) {
        self.tasks.set_position(ended);
        self.tasks.set_message(message);
    }

    /// Sets the text of a line below the bar.
    pub fn line(&self, index: usize, text: String) {
        if let Some(line) = self.lines.get(index) {
            line.set_message(text);
        }
    }

    /// Prints a line once, above the bar, or plainly if there is no terminal.
    pub fn note(&self, text: &str) {
        if self.all.is_hidden() {
            eprintln!("{text}");
        } else {
            let _ = self.all.println(text);
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.tasks.finish_and_clear();
        self.lines.iter().for_each(ProgressBar::finish_and_clear);
        let _ = self.all.clear();
    }
}
