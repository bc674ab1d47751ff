//! Whole job files: how they are laid out, what is said about wrong ones, and that the ledger accepts the rest.

mod examples;
mod graphs;
mod wrong;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use meshwork_core::{
    ledger::Ledger,
    types::{
        Action, Array, Authority, BlobRef, BlockTime, Extend, Genesis, JobId, LedgerLimits, Recur, SignedTransaction,
        Submit, Transaction, VoidReason,
    },
};

use super::{Plan, draft::Content, existing::Existing, plan, planned::PlannedTasks, send};
use crate::{failure::Done, keys};

/// Where the task programs are.
fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/programs")
}

/// A directory with the task programs and nothing else.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["noop", "echo", "wordcount", "render", "exit3", "tree", "walk"] {
        let name = format!("{name}.wasm");
        fs::copy(programs().join(&name), directory.path().join(&name)).expect("copied");
    }
    directory
}

/// The plan of a file, read among the task programs.
fn planned(text: &str) -> Done<Plan> {
    planned_with(text, &[])
}

/// The plan of a file, read among the task programs and other files.
fn planned_with(text: &str, files: &[(&str, &str)]) -> Done<Plan> {
    let directory = directory();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("created");
        fs::write(path, content).expect("written");
    }
    let path = directory.path().join("job.toml");
    fs::write(&path, text).expect("written");
    plan(&path, &[], &LedgerLimits::default(), &Existing::default())
}

#[track_caller]
fn good(text: &str) -> Plan {
    planned(text).unwrap_or_else(|failure| panic!("{failure}\n{text}"))
}

fn genesis() -> Genesis {
    let key = keys::generate().public();
    Genesis {
        name: "test".into(),
        time: BlockTime(0),
        authorities: vec![Authority { name: "one".into(), key, addresses: Vec::new() }],
        access: Default::default(),
        consensus: Default::default(),
        ledger: LedgerLimits::default(),
        schedule: Default::default(),
    }
}

/// The arrays of a plan, with some blob for each content.
fn arrays(plan: &Plan) -> Vec<Array> {
    let blob = BlobRef { digest: meshwork_core::digest::Digest([1; 32]), bytes: 1 };
    let mut contents: BTreeMap<Content, BlobRef> = BTreeMap::new();
    for content in send::contents(plan) {
        contents.insert(content, blob);
    }
    send::arrays(plan, &contents)
}

/// Whether the ledger would accept a plan, if one transaction of any size could carry it.
fn check_by_ledger(plan: &Plan) -> Result<(), VoidReason> {
    let mut genesis = genesis();
    genesis.ledger.transaction_bytes_max = 1 << 30;
    let ledger = Ledger::new(Arc::new(genesis.clone()));
    let (job, key) = (&plan.job, keys::generate());
    let submit = Submit {
        arrays: arrays(plan),
        times: job.times,
        open_until: job.open_until,
        spawns_max: job.spawns_max,
        ..Submit::named(&job.name)
    };
    let action = match send::recurring(plan, arrays(plan)) {
        Some(recurring) => Action::Recur(Recur::Submit(Box::new(recurring))),
        None => Action::Submit(submit),
    };
    let transaction = Transaction { nonce: 1, expires: BlockTime(1_000_000), action };
    ledger.check(&SignedTransaction::sign(transaction, &key, &genesis.network_id()), BlockTime(1))
}

/// The numbers of arguments, inputs and single dependencies of all parts of an array.
fn parts(tasks: &PlannedTasks) -> (usize, usize, usize) {
    let PlannedTasks::Each(parts) = tasks else { return (0, 0, 0) };
    let sum = |of: &dyn Fn(&super::planned::PlannedPart) -> usize| parts.iter().map(of).sum();
    (sum(&|part| part.arguments.len()), sum(&|part| part.inputs.len()), sum(&|part| part.after.all().count()))
}

/// The size of what would be sent in one transaction.
fn encoded(arrays: Vec<Array>) -> usize {
    meshwork_core::codec::encode(&Extend { job: JobId(meshwork_core::digest::Digest([0; 32])), arrays, closes: false })
        .len()
}
