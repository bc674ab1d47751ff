//! What a manifest names, and what strangers write in its place.

use proptest::prelude::*;

use super::*;

fn file(path: &str, content: &[u8]) -> (String, Vec<u8>) {
    (path.to_owned(), content.to_vec())
}

/// The manifest of an answer without empty folders.
fn of(stdout: Vec<u8>, files: Vec<(String, Vec<u8>)>) -> Packed {
    Manifest::of(stdout, files, Vec::new())
}

/// Bytes that differ from those of any other seed.
fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Reads every content out of the blobs, as whoever unpacks does.
fn unpacked(packed: &Packed) -> Vec<Vec<u8>> {
    let blobs: BTreeMap<Digest, &Vec<u8>> = packed.blobs.iter().map(|blob| (Digest::of(blob), blob)).collect();
    let pieces = packed.manifest.pieces();
    let read = |content: BlobRef| {
        let Piece { blob, offset, .. } = pieces[&content.digest];
        let bytes = &blobs[&blob.digest][offset as usize..(offset + content.bytes) as usize];
        assert!(pieces[&content.digest].holds(bytes) && blobs[&blob.digest].len() as u64 == blob.bytes);
        bytes.to_vec()
    };
    packed.manifest.contents().map(read).collect()
}

#[test]
fn a_thousand_tiny_files_are_one_blob_and_a_large_one_is_its_own() {
    let tiny = |seed: u64| (format!("{seed:04}"), bytes(170, seed));
    let files: Vec<_> = (0..1000).map(tiny).chain([file("large", &bytes(70_000, 5000))]).collect();
    let packed = of(b"said".to_vec(), files.clone());
    let sizes: Vec<usize> = packed.blobs.iter().map(Vec::len).collect();
    assert_eq!(sizes, [170_004, 70_000]);
    let contents: Vec<_> = std::iter::once(b"said".to_vec()).chain(files.into_iter().map(|(_, file)| file)).collect();
    assert_eq!(unpacked(&packed), contents);
}

#[test]
fn equal_contents_lie_in_a_pack_once_and_a_lone_one_is_its_own_blob() {
    let packed = of(Vec::new(), vec![file("a", b"same"), file("b", b"same")]);
    assert_eq!(packed.blobs, [b"same"]);
    assert!(packed.manifest.pieces()[&Digest::of(b"same")].is_whole());
}

#[test]
fn a_pack_that_is_full_is_followed_by_another() {
    let each = Manifest::PACKED_BYTES_MAX as usize;
    let count = Manifest::PACK_BYTES_MAX / Manifest::PACKED_BYTES_MAX + 1;
    let files: Vec<_> = (0..count).map(|seed| (format!("{seed:04}"), bytes(each, seed))).collect();
    let packed = of(Vec::new(), files);
    let sizes: Vec<u64> = packed.blobs.iter().map(|pack| pack.len() as u64).collect();
    assert_eq!(sizes, [Manifest::PACK_BYTES_MAX, Manifest::PACKED_BYTES_MAX]);
    unpacked(&packed);
}

#[test]
fn a_manifest_that_is_not_sound_is_none() {
    let decoded = |manifest: &Manifest| codec::decode::<Manifest>(&codec::encode(manifest), 1 << 20);
    let good = of(b"out".to_vec(), vec![file("a", b"one"), file("b", &bytes(70_000, 1))]).manifest;
    assert_eq!(decoded(&good).as_ref(), Ok(&good));
    let mut wrong = Vec::new();
    let mut differ = |change: &dyn Fn(&mut Manifest)| {
        let mut other = good.clone();
        change(&mut other);
        wrong.push(other);
    };
    differ(&|manifest| manifest.packs[0].bytes += 1);
    differ(&|manifest| manifest.packs.clear());
    differ(&|manifest| manifest.packs.push(BlobRef::of(b"")));
    differ(&|manifest| manifest.stdout.bytes = u64::MAX);
    differ(&|manifest| manifest.files[0].content.bytes += 1);
    differ(&|manifest| manifest.files[0].content = BlobRef { bytes: 9, ..manifest.stdout });
    differ(&|manifest| manifest.files.swap(0, 1));
    differ(&|manifest| manifest.files[0].path = "b".to_owned());
    for manifest in wrong {
        assert!(decoded(&manifest).is_err(), "{manifest:?}");
    }
}

/// A manifest with files at these paths, as a stranger may write it.
fn strangers(files: &[&str], empty_folders: &[&str]) -> Result<Manifest, ManifestError> {
    let content = BlobRef::of(b"");
    let files = files.iter().map(|path| OutputFile { path: (*path).to_owned(), content }).collect();
    let empty_folders = empty_folders.iter().map(|path| (*path).to_owned()).collect();
    Written { packs: vec![content], stdout: content, files, empty_folders }.try_into()
}

#[test]
fn paths_that_make_no_tree_are_refused_with_the_reason() {
    assert!(strangers(&["a", "a.b", "b/c", "b/d/e"], &["b/f", "c"]).is_ok());
    let deep = format!("{}x", "d/".repeat(crate::types::DEPTH_MAX + 1));
    for path in ["../a", "/a", "a/../b", "a//b", "", "a\0", &"x".repeat(1025), &deep] {
        assert_eq!(strangers(&[path], &[]), Err(ManifestError::BadPath), "{path:?}");
        assert_eq!(strangers(&[], &[path]), Err(ManifestError::BadPath), "{path:?}");
    }
    for (files, folders) in [
        (&["a", "a.b", "a/b"][..], &[][..]),
        (&["a/b/c"], &["a/b"]),
        (&["a"], &["a/b"]),
        (&["a"], &["a"]),
        (&[], &["a", "a/b"]),
    ] {
        assert_eq!(strangers(files, folders), Err(ManifestError::Clash), "{files:?} {folders:?}");
    }
    for (files, folders) in [(&["b", "a"][..], &[][..]), (&["a", "a"], &[]), (&[], &["b", "a"]), (&[], &["a", "a"])] {
        assert_eq!(strangers(files, folders), Err(ManifestError::Unordered), "{files:?} {folders:?}");
    }
    let names: Vec<String> = (0..=Manifest::FILES_MAX).map(|number| format!("{number:06}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(strangers(&names, &[]), Err(ManifestError::TooManyFiles));
    assert_eq!(strangers(&names[..10_000], &names[10_000..]), Err(ManifestError::TooManyFiles));
    assert!(strangers(&names[1..], &[]).is_ok());
}

#[test]
fn contents_that_are_too_large_together_are_refused_however_large_they_say_they_are() {
    let sized = |bytes: &[u64]| {
        let stdout = BlobRef::of(b"");
        let content = |(seed, bytes): (u8, &u64)| BlobRef { digest: Digest::of(&[seed]), bytes: *bytes };
        let contents = (0..).zip(bytes).map(content);
        let files = contents.map(|content| OutputFile { path: content.digest.to_string(), content });
        let mut files: Vec<OutputFile> = files.collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Manifest::try_from(Written { packs: vec![stdout], stdout, files, empty_folders: Vec::new() })
    };
    assert!(sized(&[Manifest::BYTES_MAX]).is_ok());
    assert_eq!(sized(&[Manifest::BYTES_MAX, 1 << 20]), Err(ManifestError::TooLarge));
    assert_eq!(sized(&[u64::MAX, u64::MAX]), Err(ManifestError::TooLarge));
}

#[test]
fn an_empty_folder_is_a_part_of_the_answer() {
    let answer = |folders: &[&str]| {
        let folders = folders.iter().map(|folder| (*folder).to_owned()).collect();
        Manifest::of(b"out".to_vec(), vec![file("a", b"one")], folders).manifest
    };
    let manifest = answer(&["z/b", "c"]);
    assert_eq!(manifest.empty_folders(), ["c", "z/b"]);
    assert_eq!(codec::decode::<Manifest>(&codec::encode(&manifest), 1 << 20).as_ref(), Ok(&manifest));
    assert_ne!(manifest.digest(), answer(&["c"]).digest());
    assert_ne!(answer(&[]).digest(), answer(&["c"]).digest());
}

fn answers() -> impl Strategy<Value = (Vec<u8>, Vec<(String, Vec<u8>)>)> {
    let content = || prop::collection::vec(any::<u8>(), 0..6);
    let files = prop::collection::btree_map("[a-c]{1,3}", content(), 0..5);
    (content(), files.prop_map(|files| files.into_iter().collect()))
}

proptest! {
    #[test]
    fn the_digest_names_the_answer_and_no_other(
        (stdout, files) in answers(), (other_stdout, other_files) in answers()
    ) {
        let packed = of(stdout.clone(), files.clone());
        let reversed = files.iter().rev().cloned().collect();
        prop_assert_eq!(&of(stdout.clone(), reversed), &packed, "a tree has no order");
        let other = of(other_stdout.clone(), other_files.clone());
        prop_assert_eq!(packed.manifest.digest() == other.manifest.digest(), (&stdout, &files) == (&other_stdout, &other_files));
        let decoded: Manifest = codec::decode(&codec::encode(&packed.manifest), 1 << 20).expect("sound");
        prop_assert_eq!(&decoded, &packed.manifest);
        let contents: Vec<_> = std::iter::once(stdout).chain(files.into_iter().map(|(_, file)| file)).collect();
        prop_assert_eq!(unpacked(&packed), contents);
    }

    #[test]
    fn any_change_of_a_byte_or_a_path_is_another_answer(
        (stdout, files) in answers(), at in any::<prop::sample::Index>(), bit in 0..8u8
    ) {
        let digest = of(stdout.clone(), files.clone()).manifest.digest();
        let mut parts: Vec<Vec<u8>> = std::iter::once(stdout).chain(files.iter().map(|(_, file)| file.clone())).collect();
        let part = at.index(parts.len());
        match parts[part].first_mut() {
            Some(byte) => *byte ^= 1 << bit,
            None => parts[part].push(bit),
        }
        let paths = files.iter().map(|(path, _)| path.clone());
        let changed = of(parts.remove(0), paths.zip(parts).collect());
        prop_assert_ne!(changed.manifest.digest(), digest);
        if let Some(moved) = files.get(part) {
            let renamed: Vec<_> =
                files.iter().filter(|file| *file != moved).cloned().chain([(format!("{}d", moved.0), moved.1.clone())]).collect();
            prop_assert_ne!(of(Vec::new(), renamed).manifest.digest(), of(Vec::new(), files.clone()).manifest.digest());
        }
    }
}
