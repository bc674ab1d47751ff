//! The WebAssembly engine. Its settings decide what a program computes, so they are the same everywhere.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path};

use wasmtime::{Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::wasi::{TABLE_ELEMENTS_MAX, TABLES_MAX};

/// The stack for a program's own calls, in bytes. The depth that fits differs slightly between processors.
pub(crate) const STACK_BYTES_MAX: usize = 1 << 20;
/// The most linear memory of a program, whatever its task asks for: all that 32-bit addresses reach.
pub(crate) const MEMORY_BYTES_MAX: u64 = 1 << 32;

/// Linear memory and tables that a slot keeps for the next run instead of returning them to the system. Wiping so
/// little is quicker than asking for it again.
const KEPT_BYTES: usize = 256 << 10;
/// Space for one instance's globals, functions and imports.
const INSTANCE_BYTES_MAX: usize = 8 << 20;
/// The most bytes of compiled programs on disk. Beyond it, the oldest go.
const CACHE_BYTES_MAX: u64 = 2 << 30;

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
        // A trap says what happened, not where. Walking the stack costs more than most tasks.
        .wasm_backtrace_max_frames(None);
    config
}

/// An engine for `slots` programs at a time, and the cache of compiled programs in `cache_dir`.
pub(crate) fn engine(cache_dir: &Path, slots: u32) -> wasmtime::Result<(Engine, Cache)> {
    // Files there are run as they are, so no other user may write to the directory.
    DirBuilder::new().recursive(true).mode(0o700).create(cache_dir)?;
    let mut cache = CacheConfig::new();
    cache
        .with_directory(cache_dir)
        // Better compression later would take minutes of a volunteer's processor for large programs.
        .with_baseline_compression_level(1)
        .with_optimized_compression_level(1)
        .with_files_total_size_soft_limit(CACHE_BYTES_MAX);
    let mut config = config();
    let cache = Cache::new(cache)?;
    config.cache(Some(cache.clone()));

    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(slots)
        .total_memories(slots)
        .total_tables(slots * TABLES_MAX as u32)
        .max_memories_per_module(1)
        .max_tables_per_module(TABLES_MAX as u32)
        .max_memory_size(MEMORY_BYTES_MAX as usize)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(KEPT_BYTES)
        .table_keep_resident(KEPT_BYTES);
    config.memory_reservation(MEMORY_BYTES_MAX);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config).or_else(|error| {
        // The pool only reserves addresses, but a machine may limit those too.
        tracing::warn!("programs start more slowly: no address space for a pool of {slots} slots: {error}");
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config)
    })?;
    Ok((engine, cache))
}
