//! What strangers say that a folder or an output is, and what an attempt gets of it.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use meshwork_core::{
    codec,
    types::{AttemptNumber, JobId, Packed, Remains, TaskId, Usage},
};
use redb::Database;
use tempfile::TempDir;

use super::*;
use crate::{
    blobs::{BlobStore, Quota},
    disk_space::DiskSpace,
    metrics::Metrics,
};

/// A machine that has all that any peer has, and counts what it is asked for.
struct Here {
    store: BlobStore,
    asked: AtomicUsize,
    known: TrueManifests,
    _dir: TempDir,
}

impl Here {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let database = Arc::new(Database::create(dir.path().join("db")).unwrap());
        let quota = Quota::of_bytes(64 << 20);
        let store = BlobStore::open(dir.path(), database, quota, DiskSpace::of(dir.path()), Metrics::new()).unwrap();
        Self { store, asked: AtomicUsize::new(0), known: TrueManifests::default(), _dir: dir }
    }

    /// Stores a manifest as it is written, and blobs.
    fn put(&self, encoding: &[u8], blobs: &[Vec<u8>]) -> BlobRef {
        self.store.put_all(&blobs.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        self.store.put(encoding).unwrap()
    }

    async fn folder(&self, path: &str, folder: BlobRef) -> Result<Given, Verdict> {
        let mut given = Given::default();
        given.take_folder(self, &self.known, path, folder).await?;
        Ok(given)
    }

    async fn output(&self, file: Option<&str>, manifest: BlobRef) -> Result<Given, Verdict> {
        let mut given = Given::default();
        let taken = ProducedInput { producer: 7, path: "all".into(), manifest, file: file.map(str::to_owned) };
        given.take_output(self, &self.known, &taken).await?;
        Ok(given)
    }
}

impl Fetches for Here {
    async fn fetch(&self, blob: BlobRef) -> Result<Kept, Verdict> {
        self.asked.fetch_add(1, Relaxed);
        let kept = self.store.check(&blob.digest).unwrap();
        kept.filter(|kept| kept.blob() == blob).ok_or_else(|| failed(Failure::InputUnavailable(blob.digest)))
    }
}

/// Each file with its content, as a program would read it.
fn read(given: &Given) -> Vec<(String, Vec<u8>)> {
    let content = |InputFile { path, range }: InputFile| {
        let content = fs::read(path).unwrap();
        range.map_or(content.clone(), |range| content[range.start as usize..range.end as usize].to_vec())
    };
    given.files().into_iter().map(|(path, file)| (path, content(file))).collect()
}

fn files(files: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect()
}

fn why(result: Result<Given, Verdict>) -> String {
    match result.err() {
        Some(Verdict::Failed(Failure::BadInput(why), stderr, usage)) => {
            assert_eq!((stderr, usage), (Remains::default(), Usage::default()));
            why
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_folder_has_its_files_at_their_places_and_its_empty_folders_too() {
    let here = Here::new();
    let large = vec![7; 70_000];
    let tree = files(&[("a", b"one"), ("b/c", b""), ("b/large", &large)]);
    let Packed { manifest, blobs } = Manifest::of(Vec::new(), tree, vec!["b/nothing".into()]);
    let folder = here.put(&codec::encode(&manifest), &blobs);
    for path in ["/usr/share", "share"] {
        let given = here.folder(path, folder).await.unwrap();
        let expected = [("a", b"one".as_slice()), ("b/c", b""), ("b/large", &large)];
        let expected: Vec<_> = expected.map(|(below, content)| (format!("{path}/{below}"), content.to_vec())).into();
        assert_eq!(read(&given), expected);
        assert_eq!(given.folders(), [path.to_owned(), format!("{path}/b/nothing")]);
    }
    let attempt = AttemptId { task: TaskId { job: JobId(Digest::ZERO), index: 0 }, number: AttemptNumber(0) };
    let saved = saved_before(&here, &here.known, attempt, folder).await;
    assert_eq!(saved.files().into_iter().map(|(path, _)| path).collect::<Vec<_>>(), ["a", "b/c", "b/large"]);
    assert_eq!(read(&saved_before(&here, &here.known, attempt, BlobRef::of(b"lost")).await), []);
}

#[tokio::test]
async fn three_thousand_files_are_a_blob_or_two_for_every_attempt_and_are_compared_once() {
    let here = Here::new();
    let tree = (0..3000).map(|number| (format!("{}/{number}", number % 7), format!("content {number}").into_bytes()));
    let Packed { manifest, blobs } = Manifest::of(Vec::new(), tree.collect(), Vec::new());
    let folder = here.put(&codec::encode(&manifest), &blobs);
    assert!(!here.known.has(&folder.digest));
    for attempt in 1..=10 {
        let given = here.folder("/share", folder).await.unwrap();
        assert_eq!((given.files.len(), here.asked.load(Relaxed)), (3000, 2 * attempt));
        assert!(here.known.has(&folder.digest), "its packs need no more comparing");
    }
}

#[tokio::test]
async fn a_pack_with_other_contents_than_its_manifest_names_is_refused_whichever_file_is_taken() {
    let here = Here::new();
    let Packed { manifest, blobs } =
        Manifest::of(b"said".to_vec(), files(&[("a", b"true"), ("b", b"else")]), Vec::new());
    let [pack] = &blobs[..] else { panic!("one pack") };
    assert_eq!(pack, b"saidtrueelse");
    // The liar's pack is as large, and so the manifest that names it is sound.
    let lie = b"saidtrueLIE!".to_vec();
    let honest = codec::encode(&manifest);
    let at = honest.windows(32).position(|window| window == Digest::of(pack).0).unwrap();
    let encoding = [&honest[..at], &Digest::of(&lie).0, &honest[at + 32..]].concat();
    let liars = here.put(&encoding, &[lie]);
    for file in [None, Some("b")] {
        assert_eq!(why(here.output(file, liars).await), "\"all\" has other files than its list says");
    }
    assert!(!here.known.has(&liars.digest));
    assert_eq!(
        read(&here.output(Some("a"), liars).await.unwrap()),
        files(&[("all", b"true")]),
        "what is true is taken"
    );
    assert!(!here.known.has(&liars.digest), "and says nothing of the rest");
    assert!(why(here.folder("/share", liars).await).contains("/share"));

    let honest = here.put(&honest, &blobs);
    assert_eq!(read(&here.output(None, honest).await.unwrap()), files(&[("all/a", b"true"), ("all/b", b"else")]));
    let missing = here.output(Some("c"), honest).await.err();
    let expected = failed(Failure::OutputMissing { task: 7, file: "c".into() });
    assert_eq!(missing, Some(expected));
}

#[tokio::test]
async fn a_list_that_leads_elsewhere_or_is_too_long_is_refused_before_anything_of_it_is_fetched() {
    let here = Here::new();
    let nothing = BlobRef::of(b"");
    let list = |paths: &[&str]| {
        let files: Vec<(&str, BlobRef)> = paths.iter().map(|path| (*path, nothing)).collect();
        codec::encode(&([nothing], nothing, files, Vec::<String>::new()))
    };
    for (paths, reason) in [
        (&["../up"][..], "leads elsewhere"),
        (&["/etc/passwd"], "leads elsewhere"),
        (&["a", "a"], "do not rise"),
        (&["a", "a/b"], "of a file and of a folder"),
    ] {
        let folder = here.put(&list(paths), &[]);
        here.asked.store(0, Relaxed);
        let why = why(here.folder("/share", folder).await);
        assert!(why.contains(reason) && why.contains("/share"), "{paths:?}: {why}");
        assert_eq!(here.asked.load(Relaxed), 1, "only the list was fetched");
    }
    here.asked.store(0, Relaxed);
    let huge = BlobRef { bytes: MANIFEST_BYTES_MAX as u64 + 1, ..nothing };
    assert!(why(here.folder("/share", huge).await).contains("has more than"));
    assert_eq!(here.asked.load(Relaxed), 0);
}

#[tokio::test]
async fn what_a_task_is_given_in_all_is_bounded() {
    let here = Here::new();
    let tree = (0..Manifest::FILES_MAX).map(|number| (number.to_string(), Vec::new())).collect();
    let Packed { manifest, blobs } = Manifest::of(Vec::new(), tree, Vec::new());
    let folder = here.put(&codec::encode(&manifest), &blobs);
    let mut given = Given::default();
    let fit = GIVEN_FILES_MAX / (Manifest::FILES_MAX + 1);
    for number in 0..fit {
        given.take_folder(&here, &here.known, &number.to_string(), folder).await.unwrap();
    }
    let more = given.take_folder(&here, &here.known, "more", folder).await.map(|()| Given::default());
    assert!(why(more).contains("more than"));
    let long = "x/".repeat(500);
    assert!(why(here.folder(&long, folder).await).contains("bytes"));
}
