//! The names of what a module uses of WebAssembly that tasks do not have.

use wasmparser::{Validator, WasmFeatures};

/// The proposals that tasks do not have, by the names that people know.
const LACKING: [(WasmFeatures, &str); 10] = [
    (WasmFeatures::LEGACY_EXCEPTIONS, "legacy WebAssembly exceptions"),
    (WasmFeatures::THREADS, "threads"),
    (WasmFeatures::SHARED_EVERYTHING_THREADS, "shared-everything threads"),
    (WasmFeatures::MEMORY64, "64-bit memory"),
    (WasmFeatures::MULTI_MEMORY, "several memories"),
    (WasmFeatures::GC, "garbage-collected objects"),
    (WasmFeatures::FUNCTION_REFERENCES, "typed function references"),
    (WasmFeatures::STACK_SWITCHING, "stack switching"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "pages of other sizes"),
];

/// What a module that is not valid here lacks, if it is valid with everything there is.
///
/// Takes as long as checking the module a dozen times.
pub(super) fn lacking(bytes: &[u8]) -> Option<String> {
    let is_valid = |features| Validator::new_with_features(features).validate_all(bytes).is_ok();
    let all = WasmFeatures::all();
    if !is_valid(all) {
        return None;
    }
    let needed = LACKING.iter().filter(|(feature, _)| !is_valid(all.difference(*feature)));
    let names: Vec<&str> = needed.map(|(_, name)| *name).collect();
    match names.split_last() {
        Some((last, [])) => Some((*last).to_owned()),
        Some((last, others)) => Some(format!("{} and {last}", others.join(", "))),
        None => None,
    }
}
