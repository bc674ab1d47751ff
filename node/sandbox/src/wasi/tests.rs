//! The counts are always exactly what is kept.

use meshwork_core::types::{DEPTH_MAX, PATH_BYTES_MAX};
use proptest::prelude::*;

use super::{
    allowance::{Allowance, ENTRIES_MAX},
    errno::{Errno, Fault},
    files::{Files, HostFile, NodeId},
    path,
};

const OUTPUT_MAX: u64 = 100;
const MEMORY_MAX: u64 = 80;

#[derive(Clone, Debug)]
enum Step {
    Create { path: usize, directory: bool },
    Write { path: usize, offset: u64, bytes: usize },
    Resize { path: usize, bytes: u64 },
    Rename { from: usize, to: usize },
    Remove { path: usize, directory: bool },
    Open { path: usize },
    Close { index: usize },
}

const PATHS: [&str; 17] = [
    "out/a",
    "out/b",
    "out/d",
    "out/d/a",
    "out/d/e",
    "out/d/e/b",
    "tmp/a",
    "tmp/d",
    "tmp/d/a",
    "in/a",
    "a",
    "d",
    "d/a",
    "out",
    "usr",
    "usr/share",
    "usr/a",
];

fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    prop_oneof![
        (path(), any::<bool>()).prop_map(|(path, directory)| Step::Create { path, directory }),
        (path(), 0..40_u64, 0..40_usize).prop_map(|(path, offset, bytes)| Step::Write { path, offset, bytes }),
        (path(), prop_oneof![0..60_u64, Just(u64::MAX)]).prop_map(|(path, bytes)| Step::Resize { path, bytes }),
        (path(), path()).prop_map(|(from, to)| Step::Rename { from, to }),
        (path(), any::<bool>()).prop_map(|(path, directory)| Step::Remove { path, directory }),
        path().prop_map(|path| Step::Open { path }),
        (0..4_usize).prop_map(|index| Step::Close { index }),
    ]
}

fn take(files: &mut Files, open: &mut Vec<NodeId>, allowance: &mut Allowance, step: &Step) -> Result<(), Fault> {
    let root = files.root();
    match step {
        Step::Create { path, directory } => {
            let (parent, name) = path::name(files, root, PATHS[*path])?;
            if files.lookup(parent, name)?.is_none() {
                files.create(parent, name, *directory, 0, allowance)?;
            }
        }
        Step::Write { path, offset, bytes } => {
            let id = path::find(files, root, PATHS[*path])?;
            files.write(id, *offset, &vec![1; *bytes], 0, allowance)?;
        }
        Step::Resize { path, bytes } => {
            let id = path::find(files, root, PATHS[*path])?;
            files.resize(id, *bytes, 0, allowance)?;
        }
        Step::Rename { from, to } => {
            let from = path::name(files, root, PATHS[*from])?;
            let to = path::name(files, root, PATHS[*to])?;
            files.rename(from, to, 0, allowance)?;
        }
        Step::Remove { path, directory } => {
            let (parent, name) = path::name(files, root, PATHS[*path])?;
            if *directory {
                files.remove_directory(parent, name, 0, allowance)?;
            } else {
                files.remove_file(parent, name, 0, allowance)?;
            }
        }
        Step::Open { path } => {
            let id = path::find(files, root, PATHS[*path])?;
            files.open(id);
            open.push(id);
        }
        Step::Close { index } => {
            if *index < open.len() {
                files.close(open.remove(*index), allowance);
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_files_hold_is_what_was_taken_for_them(steps in proptest::collection::vec(step(), 0..200)) {
        let mut files = Files::new(0);
        prop_assert!(files.add_input("/usr/share", None, 0));
        let mut allowance = Allowance::new(MEMORY_MAX, OUTPUT_MAX);
        let mut open = Vec::new();
        for step in &steps {
            // Refusals and limits are answers like others here. They too must leave the counts right.
            let _ = take(&mut files, &mut open, &mut allowance, step);
            let held = files.held();
            prop_assert_eq!(held, allowance.taken());
            prop_assert!(held.0 <= OUTPUT_MAX && held.1 <= MEMORY_MAX);
        }
        for id in open {
            files.close(id, &mut allowance);
        }
        for path in ["in", "out", "tmp", "usr", "usr/share"] {
            let id = path::find(&files, files.root(), path);
            prop_assert!(id.is_ok_and(|id| files.is_directory(id)), "{} is where it was", path);
        }
        let output: u64 = files.take_output().0.iter().map(|(_, content)| content.len() as u64).sum();
        prop_assert_eq!(output, allowance.taken().0);
    }

    #[test]
    fn no_path_leads_above_where_it_starts(path in "[a./]{0,12}") {
        let mut files = Files::new(0);
        let mut allowance = Allowance::new(MEMORY_MAX, OUTPUT_MAX);
        let out = path::find(&files, files.root(), "out").unwrap();
        let inner = files.create(out, "a", true, 0, &mut allowance).unwrap();
        files.create(inner, "a", true, 0, &mut allowance).unwrap();
        if let Ok(path) = path::parse(path.as_bytes())
            && let Ok(id) = path::find(&files, out, path)
        {
            prop_assert!(id == out || id >= inner, "{} led to {}", path, id);
        }
    }
}

#[test]
fn the_working_directory_is_writable_and_what_stands_in_it_stays() {
    let (mut files, mut allowance) = (Files::new(0), Allowance::new(MEMORY_MAX, OUTPUT_MAX));
    let given = || Some(HostFile::new(std::sync::Arc::new(tempfile::tempfile().unwrap()), 0, 0));
    for (path, file) in [("/conf", given()), ("/usr/share/tool", None), ("/usr/share/tool/a", given()), ("b", None)] {
        assert!(files.add_input(path, file, 0), "{path}");
    }
    for path in ["/in/x", "/tmp", "/out/x", "/", "relative/../x", "/conf", "/conf/x", "b"] {
        assert!(!files.add_input(path, given(), 0), "{path}");
    }
    assert!(!files.add_input("/usr/share", None, 0), "what leads to a mount is no mount");
    let find = |files: &Files, path: &str| path::find(files, files.root(), path).unwrap();
    let root = files.root();
    let own = files.create(root, "own", false, 0, &mut allowance).unwrap();
    files.write(own, 0, b"twelve bytes", 0, &mut allowance).unwrap();
    assert_eq!(allowance.taken(), (0, 12, 1), "it counts as memory");
    let (out, share, tool) = (find(&files, "out"), find(&files, "usr/share"), find(&files, "usr/share/tool"));
    files.create(share, "beside", true, 0, &mut allowance).unwrap();
    assert_eq!(files.create(tool, "x", false, 0, &mut allowance), Err(Errno::ReadOnly.into()));
    assert_eq!(files.remove_file(tool, "a", 0, &mut allowance), Err(Errno::ReadOnly.into()));
    assert_eq!(files.remove_file(root, "conf", 0, &mut allowance), Err(Errno::Busy.into()));
    for name in ["in", "tmp", "usr"] {
        assert_eq!(files.remove_directory(root, name, 0, &mut allowance), Err(Errno::Busy.into()), "{name}");
        assert_eq!(files.rename((root, name), (out, name), 0, &mut allowance), Err(Errno::Busy.into()), "{name}");
    }
    assert_eq!(files.rename((root, "own"), (root, "conf"), 0, &mut allowance), Err(Errno::Busy.into()));
    files.rename((root, "own"), (out, "own"), 0, &mut allowance).unwrap();
    files.create(out, "nothing", true, 0, &mut allowance).unwrap();
    assert_eq!(allowance.taken().0, 12, "and as output once it is there");
    let (output, empty_folders) = files.take_output();
    assert_eq!(output, [("own".to_owned(), b"twelve bytes".to_vec())]);
    assert_eq!(empty_folders, ["nothing"]);
}

#[test]
fn entries_are_bounded_and_given_back() {
    let mut files = Files::new(0);
    let mut allowance = Allowance::new(0, 0);
    let out = path::find(&files, files.root(), "out").unwrap();
    for number in 0..ENTRIES_MAX {
        files.create(out, &number.to_string(), number % 2 == 0, 0, &mut allowance).unwrap();
    }
    assert_eq!(files.create(out, "one more", false, 0, &mut allowance), Err(Errno::NoSpace.into()));
    files.remove_file(out, "1", 0, &mut allowance).unwrap();
    files.create(out, "one more", false, 0, &mut allowance).unwrap();
}

#[test]
fn no_path_gets_too_long_or_too_deep_however_it_is_made() {
    let mut files = Files::new(0);
    let mut allowance = Allowance::new(0, 0);
    let out = path::find(&files, files.root(), "out").unwrap();
    let long = "d".repeat(255);
    let mut at = out;
    for _ in 0..3 {
        at = files.create(at, &long, true, 0, &mut allowance).unwrap();
    }
    assert_eq!(files.create(at, &"d".repeat(257), true, 0, &mut allowance), Err(Errno::NameTooLong.into()));
    files.create(at, &"d".repeat(256), false, 0, &mut allowance).unwrap();
    let mut deep = out;
    for _ in 0..DEPTH_MAX {
        deep = files.create(deep, "e", true, 0, &mut allowance).unwrap();
    }
    files.create(deep, "file", false, 0, &mut allowance).unwrap();
    assert_eq!(files.create(deep, "e", true, 0, &mut allowance).map(|_| ()), Ok(()));
    let (output, empty_folders) = files.take_output();
    assert!(output.iter().map(|(path, _)| path).chain(&empty_folders).all(|path| path.len() <= PATH_BYTES_MAX));
    // Moving one tree below another makes paths of both.
    let top = files.create(out, "top", true, 0, &mut allowance).unwrap();
    assert_eq!(files.rename((out, "e"), (top, "e"), 0, &mut allowance), Err(Errno::NameTooLong.into()));
    assert_eq!(files.rename((out, &long), (top, &long), 0, &mut allowance), Err(Errno::NameTooLong.into()));
    files.rename((out, &long), (out, "d"), 0, &mut allowance).unwrap();
    files.rename((out, "d"), (top, "d"), 0, &mut allowance).unwrap();
    assert_eq!(path::resolve(&files, at, &"d".repeat(256)), Err(Errno::NameTooLong.into()));
}
