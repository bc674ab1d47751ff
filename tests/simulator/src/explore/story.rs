//! Tells how a state came about, in words.

use super::{
    locals::LocalId,
    search::{Happening, Pace, Search, Walk},
    table::State,
};

impl Search {
    /// What happens on the way through these states, and the event that then breaks a rule, if the last state
    /// was left by one.
    pub(super) fn story(&mut self, path: &[State]) -> Vec<String> {
        let straw = self.last_straw();
        let mut path = path.to_vec();
        // A step that the search only looked at in advance is not in the path yet.
        if let Some((state, ..)) = straw.as_ref().filter(|(state, ..)| path.last() != Some(state)) {
            path.push(*state);
        }
        let mut lines = Vec::new();
        for pair in path.windows(2) {
            if let Some(walk) = self.walk(pair[0], pair[1]) {
                lines.extend(self.lines(&walk));
            }
        }
        if let Some((_, walk, last)) = straw {
            lines.extend(self.lines(&walk));
            lines.push(self.words(self.setting.honest[walk.place], last));
        }
        lines
    }

    fn lines(&self, walk: &Walk) -> Vec<String> {
        walk.paces.iter().map(|pace| self.line(self.setting.honest[walk.place], pace)).collect()
    }

    fn line(&self, authority: u16, pace: &Pace) -> String {
        let happens = self.words(authority, pace.by);
        match self.news(pace.from, pace.to) {
            news if news.is_empty() => happens,
            news => format!("{happens}; it says: {news}"),
        }
    }

    fn words(&self, authority: u16, happening: Happening) -> String {
        match happening {
            Happening::Event(event) => format!("{authority} {}", event.words(&self.setting, &self.names)),
            Happening::Crash => format!("{authority} crashes and is back"),
            Happening::CrashDuring(event) => {
                format!("{authority} {}, crashes over it and is back", event.words(&self.setting, &self.names))
            }
        }
    }

    /// What an authority has said between two of its states.
    fn news(&self, from: LocalId, to: LocalId) -> String {
        let said = |local| self.locals.get(local).honest.said;
        let news = said(to).without(&said(from));
        let words: Vec<String> = news.iter().map(|statement| self.names.words(statement)).collect();
        words.join(", ")
    }
}
