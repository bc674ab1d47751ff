//! How much memory decoding may take.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What any decoding may take, in bytes: a text parser reserves space for a few of everything.
const FREE_BYTES: usize = 64 << 10;
/// What decoding may take for each byte of input. An element of an array has at least one byte on the wire and
/// some hundreds in memory. The decoder may allocate at once for as many elements as an array announces and the
/// input could hold.
const FACTOR: usize = 512;

/// Decodes `bytes` with `decode`, and checks the memory that this takes.
///
/// # Panics
/// If it took memory out of proportion to the bytes at any time. The memory of other threads counts too, so
/// nothing may run beside it.
pub fn bounded<T>(bytes: &[u8], decode: impl FnOnce() -> T) -> T {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let value = decode();
    let taken = ALLOCATOR.peak_usage().saturating_sub(before);
    let most = FREE_BYTES + FACTOR * bytes.len();
    assert!(taken <= most, "decoding {} bytes took {taken} bytes of memory, more than {most}", bytes.len());
    value
}
