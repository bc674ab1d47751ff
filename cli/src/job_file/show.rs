//! Shows a job file's job to people and scripts, before anything is sent.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
};

use meshwork_core::types::{After, OutputOf, Producer, When};
use serde::Serialize;

use super::{
    Plan,
    draft::Content,
    planned::{PlannedArray, PlannedInput, PlannedPart, PlannedSource, PlannedTasks},
};
use crate::{
    parse::{place_of, word},
    recurrence::{CATCH_UP, OVERLAP},
    time::moment,
};

/// How many tasks of an array are shown to people.
const TASKS_SHOWN: u32 = 3;

/// The whole graph, for scripts.
#[derive(Serialize)]
pub struct PlanView {
    name: String,
    tasks: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    recurs: Option<RecursShown>,
    arrays: Vec<ArrayShown>,
}

#[derive(Serialize)]
struct RecursShown {
    cron: String,
    catch_up: &'static str,
    overlap: &'static str,
    occurrences: Vec<String>,
}

#[derive(Serialize)]
struct ArrayShown {
    name: String,
    first: u32,
    tasks: u32,
    program: String,
    after: Vec<String>,
    feeds: bool,
    list: Vec<TaskShown>,
}

#[derive(Serialize)]
struct TaskShown {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    arguments: Vec<String>,
    inputs: Vec<InputShown>,
    after: Vec<String>,
}

#[derive(Serialize)]
struct InputShown {
    path: String,
    from: String,
}

const fn when(when: When) -> &'static str {
    match when {
        When::Ok => "after-ok",
        When::Any => "after-any",
        When::Fail => "after-fail",
    }
}

impl Plan {
    /// The whole plan, for scripts.
    pub fn view(&self) -> PlanView {
        let array = |array: &PlannedArray| ArrayShown {
            name: array.name.clone(),
            first: array.first,
            tasks: array.tasks.count(),
            program: array.draft.program.display().to_string(),
            after: self.waits(array),
            feeds: array.feeds,
            list: (0..array.tasks.count()).map(|place| self.task(array, place)).collect(),
        };
        let arrays = self.arrays.iter().map(array).collect();
        PlanView { name: self.job.name.clone(), tasks: self.count(), recurs: self.recurs(), arrays }
    }

    fn recurs(&self) -> Option<RecursShown> {
        let recurrence = self.job.recurs.as_ref()?;
        Some(RecursShown {
            cron: recurrence.cron.to_string(),
            catch_up: word(&recurrence.catch_up, &CATCH_UP),
            overlap: word(&recurrence.overlap, &OVERLAP),
            occurrences: recurrence.occurrences().into_iter().map(|time| moment(time.0)).collect(),
        })
    }

    /// What an array waits for, in words.
    fn waits(&self, array: &PlannedArray) -> Vec<String> {
        let wait = |after: &After| {
            let each = if after.each { "each of " } else { "" };
            format!("{} {each}{}", when(after.when), self.name_of(after.array))
        };
        array.after.iter().map(wait).collect()
    }

    fn name_of(&self, array: u16) -> String {
        let place = usize::from(array);
        if let Some(planned) = place.checked_sub(self.existing.arrays()).and_then(|place| self.arrays.get(place)) {
            return planned.name.clone();
        }
        let has = |array: &&super::existing::ExistingArray| {
            array.pieces.iter().any(|(other, ..)| usize::from(*other) == place)
        };
        self.existing.arrays.iter().find(has).map_or_else(|| format!("array {place}"), |array| array.name.clone())
    }

    /// The array of a task, and the task's name.
    fn place_of(&self, task: u32) -> (String, String) {
        let at = self.arrays.partition_point(|array| array.first <= task);
        let planned = at.checked_sub(1).map(|at| &self.arrays[at]);
        if let Some(array) = planned {
            let place = task - array.first;
            let name = match array.members.get(place as usize) {
                Some(member) => member.clone(),
                None if array.tasks.count() == 1 => array.name.clone(),
                None => format!("{}[{}]", array.name, place + self.places_before(at - 1)),
            };
            return (array.name.clone(), name);
        }
        let has = |array: &&super::existing::ExistingArray| (array.first..array.first + array.count).contains(&task);
        match self.existing.arrays.iter().find(has) {
            Some(array) => (array.name.clone(), format!("{}[{}]", array.name, task - array.first)),
            None => (String::new(), format!("task {task}")),
        }
    }

    /// How many tasks of the same name are in the pieces before this one.
    fn places_before(&self, at: usize) -> u32 {
        let before = self.arrays[..at].iter().rev().take_while(|array| array.name == self.arrays[at].name);
        before.map(|array| array.tasks.count()).sum()
    }

    fn task(&self, array: &PlannedArray, place: u32) -> TaskShown {
        let none = PlannedPart::default();
        let part = match &array.tasks {
            PlannedTasks::Each(parts) => parts.get(place as usize).unwrap_or(&none),
            PlannedTasks::Repeat(_) => &none,
        };
        let input = |input: &PlannedInput| InputShown { path: input.path.clone(), from: self.from(input) };
        TaskShown {
            index: array.first + place,
            name: array.members.get(place as usize).cloned(),
            arguments: array.arguments.iter().chain(&part.arguments).cloned().collect(),
            inputs: array.inputs.iter().chain(&part.inputs).map(input).collect(),
            after: part.after.all().map(|(task, how)| format!("{} {}", when(how), self.place_of(task).1)).collect(),
        }
    }

    /// Where an input comes from, in words.
    fn from(&self, input: &PlannedInput) -> String {
        match &input.source {
            PlannedSource::Content(Content::File(path)) => path.display().to_string(),
            PlannedSource::Content(Content::Folder(path)) => format!("all in {}", path.display()),
            PlannedSource::Content(Content::Text(text)) => format!("{text:?}"),
            PlannedSource::Output(OutputOf { of, file }) => {
                let of = match of {
                    Producer::Task(task) => self.place_of(*task).1,
                    Producer::Same(array) => format!("each of {}", self.name_of(*array)),
                    Producer::All(array) => format!("all of {}", self.name_of(*array)),
                };
                match file {
                    Some(file) => format!("{file} out of {of}"),
                    None => of,
                }
            }
        }
    }

    /// The graph of arrays, in Graphviz' language.
    pub fn dot(&self) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut dot = format!("digraph {} {{\n", quoted(&self.job.name));
        let mut lines = BTreeSet::new();
        for array in &self.arrays {
            let label = match array.tasks.count() {
                1 => array.name.clone(),
                count => format!("{}\n{count} tasks", array.name),
            };
            let _ = writeln!(dot, "  {} [label={}];", quoted(&array.name), quoted(&label).replace('\n', "\\n"));
            for (other, how) in self.edges(array).into_iter().filter(|(other, _)| *other != array.name) {
                let style = match how {
                    Some(When::Ok) => "",
                    Some(When::Any) => " [label=any, style=dashed]",
                    Some(When::Fail) => " [label=fail, style=dotted]",
                    None => " [label=files, style=bold]",
                };
                lines.insert(format!("  {} -> {}{style};\n", quoted(&other), quoted(&array.name)));
            }
        }
        dot.extend(lines);
        dot.push_str("}\n");
        dot
    }

    /// The names of the arrays that an array waits for, and how; `None` if it takes their outputs.
    fn edges(&self, array: &PlannedArray) -> Vec<(String, Option<When>)> {
        let mut edges: Vec<_> = array.after.iter().map(|after| (self.name_of(after.array), Some(after.when))).collect();
        let mut take = |input: &PlannedInput| {
            let PlannedSource::Output(OutputOf { of, .. }) = &input.source else { return };
            edges.push(match of {
                Producer::Task(task) => (self.place_of(*task).0, None),
                Producer::Same(array) | Producer::All(array) => (self.name_of(*array), None),
            });
        };
        array.inputs.iter().for_each(&mut take);
        if let PlannedTasks::Each(parts) = &array.tasks {
            parts.iter().flat_map(|part| &part.inputs).for_each(&mut take);
            let single = parts.iter().flat_map(|part| part.after.all());
            edges.extend(single.map(|(task, how)| (self.place_of(task).0, Some(how))));
        }
        edges.sort_by_key(|(name, how)| (name.clone(), how.map(|how| how as u8)));
        edges.dedup();
        edges
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} in {}",
            self.job.name,
            plural(self.count(), "task"),
            plural(self.arrays.len() as u32, "array")
        )?;
        if let Some(RecursShown { cron, catch_up, overlap, occurrences }) = self.recurs() {
            write!(f, "\nruns at {cron} in UTC (catch-up {catch_up}, overlap {overlap}), next at")?;
            for moment in occurrences {
                write!(f, "\n  {moment}")?;
            }
        }
        for array in &self.arrays {
            let count = array.tasks.count();
            write!(f, "\n\n{}: {} of {}", array.name, plural(count, "task"), array.draft.program.display())?;
            for wait in self.waits(array) {
                write!(f, "\n  {wait}")?;
            }
            for place in 0..count.min(TASKS_SHOWN) {
                self.task(array, place).write(f)?;
            }
            if count > TASKS_SHOWN {
                write!(f, "\n  … and {} more", count - TASKS_SHOWN)?;
            }
        }
        Ok(())
    }
}

impl TaskShown {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, name, arguments, inputs, after } = self;
        write!(f, "\n  #{index}")?;
        if let Some(name) = name {
            write!(f, " {name}")?;
        }
        for argument in arguments {
            let is_plain = !argument.is_empty() && !argument.contains([' ', '"', '\'', '\n', '\t']);
            if is_plain { write!(f, " {argument}")? } else { write!(f, " {argument:?}")? }
        }
        for input in inputs {
            write!(f, "\n      {} = {}", place_of(&input.path), input.from)?;
        }
        for wait in after {
            write!(f, "\n      {wait}")?;
        }
        Ok(())
    }
}

fn plural(count: u32, of: &str) -> String {
    if count == 1 { format!("1 {of}") } else { format!("{count} {of}s") }
}
