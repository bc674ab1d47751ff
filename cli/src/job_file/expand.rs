//! Expands a file's arrays into tasks, each with its own arguments, inputs and dependencies.

use std::{collections::BTreeMap, path::Path};

use meshwork_core::{
    ledger::bounds::{ARGUMENTS_MAX, INPUTS_MAX},
    types::{LedgerLimits, Submit, When, is_mount_sound, is_path_sound},
};

use super::{
    draft::{Content, Draft, JobDraft, Reading, either, merged},
    existing::Existing,
    model::{InputSource, JobFile, Reference, Task},
    problem::{Checked, Problem, Span},
    reference::{Ref, Targets, Which},
    rows::{Making, Rows},
    text::{Names, Template},
    values::{At, List, Text},
};
use crate::parse::place_of;

/// A task or an array of tasks, with all names replaced.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: Text,
    /// Whether it was written with `each`.
    pub is_array: bool,
    /// The number of tasks.
    pub count: u32,
    /// What the tasks have in common.
    pub draft: Draft,
    /// Arguments, inputs and dependencies that all tasks share.
    pub common: Own,
    /// Each task's own arguments, inputs and dependencies, if tasks differ.
    pub parts: Option<Vec<Own>>,
}

/// Arguments, inputs and dependencies.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Arguments. A task's own follow the common ones.
    pub arguments: Vec<String>,
    /// Inputs.
    pub inputs: Vec<Input>,
    /// The tasks that must end before, and how.
    pub after: Vec<(Ref, When)>,
}

/// An input.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its path: below `/in` if it is relative, else where it is mounted.
    pub path: String,
    /// Where its content comes from.
    pub supply: Supply,
    /// Its place in the file.
    pub at: Span,
}

/// Where an input's content comes from.
#[derive(Clone, Debug)]
pub enum Supply {
    /// Content on this machine.
    Content(Content),
    /// The output of other tasks: all of it, or one file.
    Output(Ref, Option<String>),
}

/// A job file with all names replaced.
#[derive(Clone, Debug)]
pub struct Expanded {
    /// What the file says about the job as a whole.
    pub job: JobDraft,
    /// Its tasks, in the order of the file.
    pub nodes: Vec<Node>,
    /// What references can name: the job's existing arrays, then the nodes.
    pub targets: Targets,
}

/// What a file is expanded with.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The directory that paths are relative to.
    pub directory: &'a Path,
    /// The network's bounds.
    pub limits: &'a LedgerLimits,
    /// Parameters given on the command line.
    pub set: &'a [(String, String)],
    /// The job's name if the file gives none.
    pub called: &'a str,
    /// What the job already has.
    pub existing: &'a Existing,
}

impl<'a> Around<'a> {
    fn reading<'b>(&'b self, parameters: &'b BTreeMap<String, String>, columns: &'b [String]) -> Reading<'b> {
        Reading { directory: self.directory, limits: self.limits, names: Names { parameters, columns } }
    }
}

/// Expands a job file.
///
/// # Errors
/// The first mistake in the file.
pub fn expand(file: &JobFile, around: Around<'_>) -> Checked<Expanded> {
    let parameters = parameters(file, around.set)?;
    let job = around.reading(&parameters, &[]).job(file, around.called)?;
    let mut targets = Targets::default();
    for array in &around.existing.arrays {
        targets.add(&array.name, array.count);
    }
    let rows = all_rows(file, around, &parameters, &mut targets)?;
    let mut nodes = Vec::with_capacity(rows.len());
    for ((name, task), rows) in file.tasks.iter().zip(&rows) {
        let reading = around.reading(&parameters, &rows.columns);
        nodes.push(Filling { reading, targets: &targets, rows, name }.node(task, &file.defaults)?);
    }
    Ok(Expanded { job, nodes, targets })
}

/// The values of the parameters. Each may use those before it.
fn parameters(file: &JobFile, set: &[(String, String)]) -> Checked<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    for (name, value) in file.parameters.iter() {
        let given = set.iter().rev().find(|(other, _)| *other == name.value);
        let value = match given {
            Some((_, value)) => value.clone(),
            None => {
                let text = Text { value: value.value.text.clone(), at: value.at.clone() };
                Template::new(&text, Names { parameters: &parameters, columns: &[] })?.constant()?
            }
        };
        parameters.insert(name.value.clone(), value);
    }
    Ok(parameters)
}

/// The rows of each task of the file, and the names that references can use.
fn all_rows(
    file: &JobFile,
    around: Around<'_>,
    parameters: &BTreeMap<String, String>,
    targets: &mut Targets,
) -> Checked<Vec<Rows>> {
    let names = Names { parameters, columns: &[] };
    let rows_max = around.limits.job_tasks_max as usize;
    let mut total = around.existing.count() as usize;
    let mut all = Vec::new();
    for (name, task) in file.tasks.iter() {
        check_name(name)?;
        let rows = match either(&task.each, &file.defaults.each) {
            Some(each) => Rows::of(each, Making { directory: around.directory, names, rows_max })?,
            None => Rows::single(),
        };
        total += rows.rows.len();
        if total > rows_max {
            let what =
                format!("With `{}` the job has {total} tasks, and may have {rows_max} on this network", name.value);
            return Err(Problem::new(&name.at, what, "give fewer, or submit several jobs"));
        }
        if !targets.add(&name.value, rows.rows.len() as u32) {
            let what = format!("The job has an array `{}` already", name.value);
            return Err(Problem::new(&name.at, what, "call this one otherwise"));
        }
        all.push(rows);
    }
    Ok(all)
}

fn check_name(name: &Text) -> Checked {
    let is_good = |c: char| !c.is_whitespace() && !c.is_control() && !"[],\"".contains(c);
    if !name.value.is_empty() && name.value.len() <= Submit::NAME_BYTES_MAX && name.value.chars().all(is_good) {
        return Ok(());
    }
    let next = format!("a name has 1 to {} bytes, without spaces, commas and brackets", Submit::NAME_BYTES_MAX);
    Err(Problem::new(&name.at, format!("{:?} cannot be a task's name", name.value), next))
}

/// One task of the file while it is being filled in.
struct Filling<'a> {
    reading: Reading<'a>,
    targets: &'a Targets,
    rows: &'a Rows,
    name: &'a Text,
}

/// An input before it is filled in.
struct InputTemplate {
    path: Template,
    is_mount: bool,
    supply: SupplyTemplate,
    at: Span,
}

enum SupplyTemplate {
    File(Template),
    Folder(Template),
    Text(Template),
    Output { of: Template, each: bool, file: Option<Template> },
}

/// A reference before it is filled in.
struct AfterTemplate {
    of: Template,
    each: bool,
    when: When,
}

impl Filling<'_> {
    fn node(&self, task: &Task, default: &Task) -> Checked<Node> {
        let draft = self.reading.draft(self.name, task, default)?;
        let arguments = self.arguments(either(&task.arguments, &default.arguments))?;
        let mut inputs = Vec::new();
        for (path, source) in merged(&task.inputs, &default.inputs) {
            inputs.push(self.input_template(path, source, false)?);
        }
        for (path, source) in merged(&task.mounts, &default.mounts) {
            inputs.push(self.input_template(path, source, true)?);
        }
        let after = [
            (either(&task.after, &default.after), When::Ok),
            (either(&task.after_any, &default.after_any), When::Any),
            (either(&task.after_fail, &default.after_fail), When::Fail),
        ];
        let mut waits = Vec::new();
        for (list, when) in after {
            waits.extend(self.after_templates(list, when)?);
        }
        // A task's own arguments come after the common ones, so the common ones end at the first that differs.
        let alike = arguments.iter().take_while(|argument| argument.is_constant()).count();
        let (common_arguments, own_arguments) = arguments.split_at(alike);
        let (common_inputs, own_inputs): (Vec<_>, Vec<_>) = inputs.into_iter().partition(InputTemplate::is_constant);
        let (common_waits, own_waits): (Vec<_>, Vec<_>) = waits.into_iter().partition(|wait| wait.of.is_constant());
        let common = self.own(0, common_arguments, &common_inputs, &common_waits)?;
        let differ = !(own_arguments.is_empty() && own_inputs.is_empty() && own_waits.is_empty());
        let own = |row| self.own(row, own_arguments, &own_inputs, &own_waits);
        let parts = differ.then(|| (0..self.rows.rows.len()).map(own).collect::<Checked<Vec<_>>>()).transpose()?;
        self.check(&common, parts.as_deref().unwrap_or_default())?;
        Ok(Node {
            name: self.name.clone(),
            is_array: either(&task.each, &default.each).is_some(),
            count: self.rows.rows.len() as u32,
            draft,
            common,
            parts,
        })
    }

    fn template(&self, text: &Text) -> Checked<Template> {
        Template::new(text, self.reading.names)
    }

    fn arguments(&self, arguments: Option<&List<String>>) -> Checked<Vec<Template>> {
        let all = arguments.map_or(&[][..], |list| &list.0);
        if let Some(argument) = all.get(ARGUMENTS_MAX) {
            let next = format!("a task has at most {ARGUMENTS_MAX}; give an input instead");
            return Err(Problem::new(&argument.at, "These are too many arguments", next));
        }
        all.iter().map(|argument| self.template(argument)).collect()
    }

    fn after_templates(&self, list: Option<&List<Reference>>, when: When) -> Checked<Vec<AfterTemplate>> {
        let template = |reference: &At<Reference>| {
            let text = Text { value: reference.value.text.clone(), at: reference.at.clone() };
            Ok(AfterTemplate { of: self.template(&text)?, each: reference.value.each, when })
        };
        list.into_iter().flat_map(|list| &list.0).map(template).collect()
    }

    fn input_template(&self, path: &Text, source: &At<InputSource>, is_mount: bool) -> Checked<InputTemplate> {
        let supply = match &source.value {
            InputSource::File(file) => {
                SupplyTemplate::File(self.template(&Text { value: file.clone(), at: source.at.clone() })?)
            }
            InputSource::Table(table) => {
                let file = table.file.as_ref().map(|file| self.template(file)).transpose()?;
                match (&table.from, &table.each_of, &table.text, &table.folder) {
                    (Some(of), None, None, None) => {
                        SupplyTemplate::Output { of: self.template(of)?, each: false, file }
                    }
                    (None, Some(of), None, None) => SupplyTemplate::Output { of: self.template(of)?, each: true, file },
                    (None, None, Some(text), None) if file.is_none() => SupplyTemplate::Text(self.template(text)?),
                    (None, None, None, Some(folder)) if file.is_none() => {
                        SupplyTemplate::Folder(self.template(folder)?)
                    }
                    _ => {
                        let next = "write exactly one of `folder`, `from`, `each-of` and `text`; `file` goes with `from` \
                                    and `each-of`";
                        return Err(Problem::new(&source.at, "This does not say where the input comes from", next));
                    }
                }
            }
        };
        Ok(InputTemplate { path: self.template(path)?, is_mount, supply, at: path.at.clone() })
    }

    /// What one row has of its own.
    fn own(
        &self,
        row: usize,
        arguments: &[Template],
        inputs: &[InputTemplate],
        after: &[AfterTemplate],
    ) -> Checked<Own> {
        let fill = |template: &Template| template.fill(|column| self.rows.value(row, column));
        let mut own = Own::default();
        for template in arguments {
            let argument = fill(template)?;
            if argument.contains('\0') {
                return Err(Problem::new(template.at(), "An argument has a byte 0", "leave it out"));
            }
            own.arguments.push(argument);
        }
        for input in inputs {
            let supply = match &input.supply {
                SupplyTemplate::File(path) => {
                    Supply::Content(Content::File(self.reading.file(&fill(path)?, path.at())?))
                }
                SupplyTemplate::Folder(path) => {
                    Supply::Content(Content::Folder(self.reading.folder(&fill(path)?, path.at())?))
                }
                SupplyTemplate::Text(text) => Supply::Content(Content::Text(fill(text)?)),
                SupplyTemplate::Output { of, each, file } => {
                    let Some(producer) = self.targets.read(&fill(of)?, *each, of.at())? else { continue };
                    if matches!(&producer.which, Which::Places(places) if places.len() != 1) {
                        let next = "take from one task, or from all of an array";
                        return Err(Problem::new(of.at(), "An input comes from one place", next));
                    }
                    let file = file.as_ref().map(|file| Ok((fill(file)?, file.at()))).transpose()?;
                    if let Some((file, at)) = file.as_ref().filter(|(file, _)| !is_path_sound(file)) {
                        return Err(not_below(file, "/out", at));
                    }
                    Supply::Output(producer, file.map(|(file, _)| file))
                }
            };
            let path = fill(&input.path)?;
            if input.is_mount && !is_mount_sound(&path) {
                let next = "write an absolute path without `..`, such as \"/share\", outside of /in, /out, /tmp and \
                            /checkpoint, which are the task's own";
                return Err(Problem::new(&input.at, format!("Nothing can be mounted at {path:?}"), next));
            }
            if !input.is_mount && !is_path_sound(&path) {
                return Err(not_below(&path, "/in", &input.at));
            }
            own.inputs.push(Input { path, supply, at: input.at.clone() });
        }
        for AfterTemplate { of, each, when } in after {
            let reference = self.targets.read(&fill(of)?, *each, of.at())?;
            own.after.extend(reference.map(|reference| (reference, *when)));
        }
        Ok(own)
    }

    /// Checks that no input of a task has the same path as another, or lies below it.
    fn check(&self, common: &Own, parts: &[Own]) -> Checked {
        check_paths(common.inputs.iter())?;
        parts.iter().try_for_each(|part| check_paths(common.inputs.iter().chain(&part.inputs)))
    }
}

impl InputTemplate {
    fn is_constant(&self) -> bool {
        self.path.is_constant()
            && match &self.supply {
                SupplyTemplate::File(of) | SupplyTemplate::Folder(of) | SupplyTemplate::Text(of) => of.is_constant(),
                SupplyTemplate::Output { of, file, .. } => {
                    of.is_constant() && file.as_ref().is_none_or(Template::is_constant)
                }
            }
    }
}

fn not_below(path: &str, below: &str, at: &Span) -> Problem {
    let next = "write a relative path without `..`, such as data/table.csv";
    Problem::new(at, format!("{path:?} is not a path below {below}"), next)
}

fn check_paths<'a>(inputs: impl Iterator<Item = &'a Input> + Clone) -> Checked {
    let mut paths: Vec<(&str, &Span)> = Vec::new();
    for input in inputs {
        paths.push((&input.path, &input.at));
    }
    if let Some((_, at)) = paths.get(INPUTS_MAX) {
        let next = format!("a task has at most {INPUTS_MAX}; give a folder, or take all of an array's in one");
        return Err(Problem::new(at, "These are too many inputs", next));
    }
    // Sorted by components, so that what lies below a path comes right after it.
    paths.sort_by(|(one, _), (other, _)| one.split('/').cmp(other.split('/')));
    for pair in paths.windows(2) {
        let [(one, _), (other, at)] = pair else { continue };
        if other == one || other.strip_prefix(*one).is_some_and(|rest| rest.starts_with('/')) {
            let what = match other == one {
                true => format!("Two inputs of one task would be {}", place_of(one)),
                false => format!("An input would be {}, below another input", place_of(other)),
            };
            return Err(Problem::new(at, what, "name one of them otherwise"));
        }
    }
    Ok(())
}
