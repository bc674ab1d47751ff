//! The names of what a module uses of WebAssembly: of what tasks have, and of what they do not.

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

/// The proposals beyond the first WebAssembly that tasks have, by the names that people know.
const GIVEN: [(WasmFeatures, &str); 10] = [
    (WasmFeatures::MUTABLE_GLOBAL, "mutable globals"),
    (WasmFeatures::SIGN_EXTENSION, "sign extension"),
    (WasmFeatures::SATURATING_FLOAT_TO_INT, "saturating conversions"),
    (WasmFeatures::MULTI_VALUE, "several results"),
    (WasmFeatures::BULK_MEMORY, "bulk memory"),
    (WasmFeatures::REFERENCE_TYPES, "reference types"),
    (WasmFeatures::SIMD, "SIMD"),
    (WasmFeatures::RELAXED_SIMD, "relaxed SIMD"),
    (WasmFeatures::TAIL_CALL, "tail calls"),
    (WasmFeatures::EXCEPTIONS, "exceptions"),
];

/// What a module uses of the proposals in a list: those without which it is not valid.
fn used(bytes: &[u8], proposals: &[(WasmFeatures, &'static str)]) -> Vec<&'static str> {
    let needs = |feature| !is_valid(bytes, WasmFeatures::all().difference(feature));
    proposals.iter().filter(|(feature, _)| needs(*feature)).map(|(_, name)| *name).collect()
}

fn is_valid(bytes: &[u8], features: WasmFeatures) -> bool {
    Validator::new_with_features(features).validate_all(bytes).is_ok()
}

/// What a module that is valid here uses beyond the first WebAssembly.
///
/// Takes as long as checking the module a dozen times.
pub(super) fn given(bytes: &[u8]) -> Vec<&'static str> {
    used(bytes, &GIVEN)
}

/// What a module that is not valid here lacks, if it is valid with everything there is.
///
/// Takes as long as checking the module a dozen times.
pub(super) fn lacking(bytes: &[u8]) -> Option<String> {
    if !is_valid(bytes, WasmFeatures::all()) {
        return None;
    }
    let names = used(bytes, &LACKING);
    match names.split_last() {
        Some((last, [])) => Some((*last).to_owned()),
        Some((last, others)) => Some(format!("{} and {last}", others.join(", "))),
        None => None,
    }
}
