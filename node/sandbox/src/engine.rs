//! The WebAssembly engine. Its settings decide what a program computes, so they are the same everywhere.

use std::hash::{Hash, Hasher};

use meshwork_core::digest::Digest;
use wasmtime::{Collector, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::wasi::{TABLE_ELEMENTS_MAX, TABLES_MAX};

/// The stack for a program's own calls, in bytes. The depth that fits differs slightly between processors.
pub(crate) const STACK_BYTES_MAX: usize = 1 << 20;
/// The most linear memory of a program, whatever its task asks for: all that 32-bit addresses reach.
pub(crate) const MEMORY_BYTES_MAX: u64 = 1 << 32;

/// Linear memory and tables that a runner keeps for its next run instead of returning them to the system. Wiping so
/// little is quicker than asking for it again.
const KEPT_BYTES: usize = 256 << 10;
/// Space for one instance's globals, functions and imports.
const INSTANCE_BYTES_MAX: usize = 8 << 20;

/// The settings that matter for the meaning of programs.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        // An exception is an object of the engine's heap. Only exceptions are: with them alone, nothing refers to itself,
        // and counting references frees everything.
        .wasm_exceptions(true)
        .wasm_gc(false)
        .wasm_function_references(false)
        .collector(Collector::DeferredReferenceCounting)
        // All linear memories are reserved alike, so that compiled programs fit every runner.
        .memory_reservation(MEMORY_BYTES_MAX)
        // A trap says what happened, not where. Walking the stack costs more than most tasks.
        .wasm_backtrace_max_frames(None);
    config
}

/// An engine that compiles.
///
/// # Errors
/// This machine lacks what the settings need.
pub(crate) fn to_compile() -> wasmtime::Result<Engine> {
    Engine::new(&config())
}

/// An engine that runs one program at a time.
///
/// # Errors
/// This machine lacks what the settings need.
pub(crate) fn to_run() -> wasmtime::Result<Engine> {
    let mut config = config();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(1)
        // The program's own, and the heap of its exceptions.
        .total_memories(2)
        .total_gc_heaps(1)
        .total_tables(TABLES_MAX as u32)
        .max_memories_per_module(1)
        .max_tables_per_module(TABLES_MAX as u32)
        .max_memory_size(MEMORY_BYTES_MAX as usize)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(KEPT_BYTES)
        .table_keep_resident(KEPT_BYTES);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    // The pool only reserves addresses, but a machine may limit those too.
    Engine::new(&config).or_else(|_| {
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config)
    })
}

/// What a compiled program depends on besides its own bytes: the compiler's version and settings, and the processor.
pub(crate) fn compiler(engine: &Engine) -> Digest {
    let mut hasher = Blake3(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    Digest(*hasher.0.finalize().as_bytes())
}

/// BLAKE3 where the standard library wants a hasher.
struct Blake3(blake3::Hasher);

impl Hasher for Blake3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finalize().as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}
