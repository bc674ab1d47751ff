//! The ledger's bounds.

use serde::{Deserialize, Serialize};

/// The ledger's bounds. A transaction that exceeds one is void, on every peer alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerLimits {
    /// Bytes of one transaction's payload.
    pub transaction_bytes_max: usize,
    /// How far ahead of a block's time a transaction's expiry may lie, in milliseconds.
    pub transaction_life_ms_max: u64,
    /// Tasks in one job.
    pub job_tasks_max: u32,
    /// Unfinished tasks of one submitter.
    pub key_tasks_max: u64,
    /// Unfinished tasks in all.
    pub tasks_max: u64,
    /// Tasks of one submitter that workers hold, running or waiting.
    pub key_running_max: u64,
    /// Output that the unfinished tasks of one submitter may leave, in bytes.
    pub key_output_bytes_max: u64,
    /// Output that all unfinished tasks may leave, in bytes.
    pub output_bytes_max: u64,
    /// Bytes of the definitions of one submitter's unfinished jobs.
    pub key_definition_bytes_max: u64,
    /// Bytes of the definitions of all unfinished jobs.
    pub definition_bytes_max: u64,
    /// Recurring jobs of one submitter that have not ended.
    pub key_recurring_max: u64,
    /// Recurring jobs in all that have not ended.
    pub recurring_max: u64,
    /// What one submitter's jobs may make every peer store for good in a UTC day, in bytes: their definitions, their
    /// tasks' receipts, and outputs on the ledger itself.
    pub key_daily_stored_bytes_max: u64,
    /// What all jobs may make every peer store for good in a UTC day, in bytes.
    pub daily_stored_bytes_max: u64,
    /// The part of each bound in all that unproven keys may have together, in thousandths: of unfinished tasks, output,
    /// definitions, recurring jobs, daily stored bytes, different needs, workers and claims. As much again is kept for keys with a quota
    /// of their own.
    pub unproven_permille: u64,
    /// The longest wall time that a task may ask for, in milliseconds.
    pub wall_ms_max: u64,
    /// The most failures of its program that a task may have forgiven.
    pub retries_max: u32,
    /// How often workers may lose a task that took resources before the task ends.
    pub losses_max: u32,
    /// How many different workers may die while they run a task, or tasks of one job's program, before the network runs
    /// it no more. At least 1.
    pub deaths_max: u32,
    /// Standing claims.
    pub workers_max: usize,
    /// Attempts that one claim may hold, running and waiting together.
    pub claim_attempts_max: u32,
    /// Items in one report.
    pub report_items_max: usize,
    /// The most bytes of an output on the ledger itself. A larger output is stored and delivered.
    pub inline_bytes_max: usize,
    /// How long a worker on trial that lost its attempt waits for another one, in milliseconds. Each further loss doubles
    /// it, up to a day. 0: no worker is on trial.
    pub trial_wait_ms: u64,
    /// The longest that a claim may stand, in milliseconds of lease time.
    pub claim_stands_ms_max: u64,
    /// The time that an attempt has beyond its wall time, for fetching, compiling and stalls, in milliseconds.
    pub allowance_ms: u64,
    /// How long a task waits while no claim that stands could ever hold it, in milliseconds of block time; then it ends
    /// without an outcome. It is looked a hundred times in that time whether there is such a claim. 0: it waits for ever.
    pub unclaimed_ms_max: u64,
    /// How long an ended job is kept in the state, in milliseconds of block time.
    pub retention_ms: u64,
}

impl Default for LedgerLimits {
    fn default() -> Self {
        Self {
            transaction_bytes_max: 768 << 10,
            transaction_life_ms_max: 10 * 60_000,
            job_tasks_max: 100_000,
            key_tasks_max: 1_000_000,
            tasks_max: 4_000_000,
            key_running_max: 1_000_000,
            key_output_bytes_max: 1 << 44,
            output_bytes_max: 1 << 46,
            key_definition_bytes_max: 64 << 20,
            definition_bytes_max: 512 << 20,
            key_recurring_max: 256,
            recurring_max: 16_384,
            key_daily_stored_bytes_max: 2 << 30,
            daily_stored_bytes_max: 8 << 30,
            unproven_permille: 250,
            wall_ms_max: 24 * 3_600_000,
            retries_max: 100,
            losses_max: 16,
            deaths_max: 3,
            workers_max: 10_000,
            claim_attempts_max: 4096,
            report_items_max: 1024,
            inline_bytes_max: 1024,
            trial_wait_ms: 10_000,
            claim_stands_ms_max: 60_000,
            allowance_ms: 60_000,
            unclaimed_ms_max: 7 * 24 * 3_600_000,
            retention_ms: 3_600_000,
        }
    }
}
