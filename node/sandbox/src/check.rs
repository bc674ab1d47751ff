//! Checks whether a program can run here at all, without running it.

mod about;
mod features;

use std::{collections::HashMap, sync::LazyLock};

use meshwork_core::types::Failure;
use wasmparser::{ExternalKind, Parser, Payload, RecGroup, TypeRef};
use wasmtime::{Engine, Module};

use crate::{
    engine::{self, MEMORY_BYTES_MAX},
    wasi::{self, TABLE_ELEMENTS_MAX, TABLES_MAX},
};

pub use about::{About, describe};

/// The most bytes of a program.
pub const MODULE_BYTES_MAX: usize = 256 << 20;

/// The most that a function's bytes times its local variables may be.
///
/// The cost of compiling a function grows with that product. The largest functions of real programs, interpreters'
/// loops, have some hundred kilobytes and hundreds of variables.
const FUNCTION_COST_MAX: u64 = 1 << 30;

/// What is wrong with a program: a sentence for the person who has to fix it, at most [`Failure::TEXT_BYTES_MAX`]
/// bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadModule(String);

impl BadModule {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self(cut(text.as_ref(), Failure::TEXT_BYTES_MAX).to_owned())
    }

    /// The sentence.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

/// The longest beginning of `text` that fits into `bytes`.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The functions that programs may import, each with its type written out.
static GIVEN: LazyLock<(Engine, HashMap<String, String>)> = LazyLock::new(|| {
    let engine = Engine::new(&engine::config()).expect("the configuration is one that every machine takes");
    let linker = wasi::link(&engine).expect("no function is given twice");
    let given = wasi::types(&engine, &linker)
        .into_iter()
        .map(|(name, kind)| (name, written(kind.params(), kind.results())))
        .collect();
    (engine, given)
});

/// The functions that programs may import from WASI preview 1: the types, written out, by name.
#[must_use]
pub fn given() -> &'static HashMap<String, String> {
    &GIVEN.1
}

/// Checks that `bytes` are a program that tasks can run: a valid WebAssembly module with a `_start` function that
/// imports nothing but WASI preview 1.
///
/// Takes time in proportion to the bytes, about a second for a hundred million.
///
/// # Errors
/// A sentence that says what is wrong with the program.
pub fn check(bytes: &[u8]) -> Result<(), BadModule> {
    sound(bytes).map(|_| ())
}

fn sound(bytes: &[u8]) -> Result<Shape, BadModule> {
    check_kind(bytes)?;
    Module::validate(&GIVEN.0, bytes).map_err(|error| match features::lacking(bytes) {
        Some(names) => BadModule::new(format!("it uses {names}, which tasks do not have")),
        None => BadModule::new(format!("it is not a valid WebAssembly module: {error}")),
    })?;
    let shape = Shape::read(bytes).map_err(|error| BadModule::new(format!("it cannot be read: {error}")))?;
    shape.check()?;
    Ok(shape)
}

/// Recognizes other kinds of files, so that the sentence can name them.
fn check_kind(bytes: &[u8]) -> Result<(), BadModule> {
    let is_text = bytes.trim_ascii_start().starts_with(b"(");
    match bytes {
        _ if bytes.len() > MODULE_BYTES_MAX => {
            Err(BadModule::new(format!("it has {} bytes; a program may have {MODULE_BYTES_MAX}", bytes.len())))
        }
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => {
            Err(BadModule::new("it is a WebAssembly component; build it as a WASI preview 1 module (wasm32-wasip1)"))
        }
        [0, b'a', b's', b'm', ..] => Err(BadModule::new("it is WebAssembly of a version that does not run here")),
        [0x7f, b'E', b'L', b'F', ..] => {
            Err(BadModule::new("it is a native program; build it for WebAssembly (wasm32-wasip1)"))
        }
        _ if is_text => Err(BadModule::new("it is WebAssembly text; turn it into a binary module first (wat2wasm)")),
        _ => Err(BadModule::new("it is not a WebAssembly module")),
    }
}

/// What a module imports and exports.
#[derive(Default)]
struct Shape {
    /// Types by index, written out; `None` for types that are not of functions.
    types: Vec<Option<String>>,
    /// Imports: module, name, type.
    imports: Vec<(String, String, Option<String>)>,
    /// The types of functions by index, imported functions first.
    functions: Vec<u32>,
    tables: usize,
    table_elements: u64,
    memory_bytes: u64,
    /// The most that it ever grows its memory to, if it says so.
    memory_bytes_max: Option<u64>,
    start: Option<u32>,
    exports_memory: bool,
    /// The cost of the function that costs most to compile.
    function_cost: u64,
}

impl Shape {
    fn read(bytes: &[u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut shape = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        shape.add_types(&group?);
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        let kind = match import.ty {
                            TypeRef::Func(index) => {
                                shape.functions.push(index);
                                shape.types.get(index as usize).cloned().flatten()
                            }
                            _ => None,
                        };
                        shape.imports.push((import.module.to_owned(), import.name.to_owned(), kind));
                    }
                }
                Payload::FunctionSection(section) => {
                    for index in section {
                        shape.functions.push(index?);
                    }
                }
                Payload::TableSection(section) => {
                    for table in section {
                        shape.tables += 1;
                        shape.table_elements = shape.table_elements.max(table?.ty.initial);
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        let memory = memory?;
                        shape.memory_bytes = memory.initial.saturating_mul(64 << 10);
                        shape.memory_bytes_max = memory.maximum.map(|pages| pages.saturating_mul(64 << 10));
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let mut locals = 1;
                    for group in body.get_locals_reader()? {
                        locals += u64::from(group?.0);
                    }
                    let cost = (body.range().len() as u64).saturating_mul(locals);
                    shape.function_cost = shape.function_cost.max(cost);
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        match (export.name, export.kind) {
                            ("_start", ExternalKind::Func) => shape.start = Some(export.index),
                            ("memory", ExternalKind::Memory) => shape.exports_memory = true,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(shape)
    }

    fn add_types(&mut self, group: &RecGroup) {
        for kind in group.types() {
            self.types.push(match &kind.composite_type.inner {
                wasmparser::CompositeInnerType::Func(kind) => Some(written(kind.params(), kind.results())),
                _ => None,
            });
        }
    }

    fn check(&self) -> Result<(), BadModule> {
        for (module, name, kind) in &self.imports {
            check_import(module, name, kind.as_deref())?;
        }
        let Some(start) = self.start else {
            return Err(BadModule::new("it exports no function `_start`; build it as a command, not as a library"));
        };
        let kind = self.functions.get(start as usize).and_then(|index| self.types.get(*index as usize));
        if kind.and_then(Option::as_deref) != Some("() -> ()") {
            return Err(BadModule::new("its function `_start` takes or returns something; a command's does neither"));
        }
        if !self.imports.is_empty() && !self.exports_memory {
            return Err(BadModule::new("it exports no memory under the name `memory`, through which WASI calls work"));
        }
        if self.tables > TABLES_MAX || self.table_elements > TABLE_ELEMENTS_MAX as u64 {
            return Err(BadModule::new(format!(
                "it has {} tables of up to {} elements; a program may have {TABLES_MAX} of {TABLE_ELEMENTS_MAX}",
                self.tables, self.table_elements
            )));
        }
        if self.function_cost > FUNCTION_COST_MAX {
            return Err(BadModule::new("it has a function too large, with too many local variables, to be compiled"));
        }
        if self.memory_bytes > MEMORY_BYTES_MAX {
            return Err(BadModule::new("it wants more memory than any program can have"));
        }
        Ok(())
    }
}

fn check_import(module: &str, name: &str, kind: Option<&str>) -> Result<(), BadModule> {
    // Names come from the module. They are shown so that they can neither pass for part of the sentence nor fill it.
    let shown = format!("`{}.{}`", cut(module, 48).escape_debug(), cut(name, 48).escape_debug());
    if module == "wasi_unstable" {
        return Err(BadModule::new(format!(
            "it imports {shown}, of the WASI before preview 1; build it for wasm32-wasip1"
        )));
    }
    match (kind, GIVEN.1.get(name)) {
        (Some(kind), Some(given)) if module == wasi::MODULE => {
            if kind == given {
                return Ok(());
            }
            Err(BadModule::new(format!("it imports {shown} as {kind}, which in WASI preview 1 is {given}")))
        }
        _ => Err(BadModule::new(format!(
            "it imports {shown}, which tasks are not given; they may import only the functions of WASI preview 1"
        ))),
    }
}

/// A function's type, written out.
fn written(
    parameters: impl IntoIterator<Item = impl ToString>,
    results: impl IntoIterator<Item = impl ToString>,
) -> String {
    let list = |kinds: Vec<String>| kinds.join(", ");
    format!(
        "({}) -> ({})",
        list(parameters.into_iter().map(|kind| kind.to_string()).collect()),
        list(results.into_iter().map(|kind| kind.to_string()).collect())
    )
}
