//! Where the files that a program left are written: under their own names, or under escaped ones where this platform
//! has no such name.

use std::path::PathBuf;

use meshwork_core::{digest::Digest, types::is_path_sound};

/// The most bytes of one part of a path that common file systems take.
const PART_BYTES_MAX: usize = 255;

/// How many bytes of a name that is escaped are kept, and how many digits of its digest tell it apart from others.
const KEPT_BYTES: usize = 180;
const DIGEST_DIGITS: usize = 12;

/// What a platform's names cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Platform {
    /// Any byte but `/` and 0.
    Unix,
    /// Neither what Windows has other uses for, nor the names of its devices.
    Windows,
}

const HERE: Platform = if cfg!(windows) { Platform::Windows } else { Platform::Unix };

/// Where a file goes, below the directory that results are written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The relative path.
    pub path: PathBuf,
    /// Whether that is not the name that the program gave the file.
    pub is_escaped: bool,
}

/// The place of a file with this path below `/out`, or `None` if the path leads elsewhere, as no program can name one.
pub fn place(path: &str) -> Option<Place> {
    place_on(HERE, path)
}

fn place_on(platform: Platform, path: &str) -> Option<Place> {
    if !is_path_sound(path) {
        return None;
    }
    let parts: Vec<String> = path.split('/').map(|part| written(platform, part)).collect();
    let is_escaped = parts.iter().zip(path.split('/')).any(|(written, part)| written != part);
    Some(Place { path: parts.iter().collect(), is_escaped })
}

/// One part of a path, as the platform can write it.
fn written(platform: Platform, part: &str) -> String {
    let is_written = part.len() <= PART_BYTES_MAX
        && match platform {
            Platform::Unix => true,
            Platform::Windows => {
                !part.contains(is_taken) && !part.ends_with(['.', ' ']) && !is_device(part.split('.').next())
            }
        };
    if is_written {
        return part.to_owned();
    }
    let mut kept: String = part.chars().map(|c| if is_taken(c) { '_' } else { c }).collect();
    while kept.len() > KEPT_BYTES {
        kept.pop();
    }
    let digest = Digest::of(part.as_bytes()).to_string();
    format!("{kept}~{}", &digest[..DIGEST_DIGITS])
}

/// Whether Windows has another use for a character in a name.
fn is_taken(c: char) -> bool {
    matches!(c, '<' | '>' | ':' | '"' | '\\' | '|' | '?' | '*') || c.is_control()
}

/// Whether Windows calls a device so, whatever comes after a dot.
fn is_device(stem: Option<&str>) -> bool {
    let Some(stem) = stem.map(|stem| stem.trim_end().to_ascii_uppercase()) else { return false };
    let numbered = |device: &str| stem.strip_prefix(device).is_some_and(|number| "123456789".contains(number));
    matches!(&stem[..], "CON" | "PRN" | "AUX" | "NUL") || stem.len() == 4 && (numbered("COM") || numbered("LPT"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    const ODD: [&str; 8] = ["a:b", "2026-01-31T18:00:00.csv", "c\\d", "e?*\"<>|", "f.", " g ", "h\nj", "CON/aux.txt"];

    #[test]
    fn on_unix_every_name_that_a_program_may_write_is_written_as_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ODD {
            let place = place_on(Platform::Unix, name).expect(name);
            assert_eq!(place, Place { path: name.into(), is_escaped: false });
            if HERE == Platform::Unix {
                let path = directory.path().join(&place.path);
                fs::create_dir_all(path.parent().expect("a directory")).expect("created");
                fs::write(&path, name).expect(name);
            }
        }
    }

    #[test]
    fn what_a_platform_cannot_hold_has_a_name_of_its_own_there() {
        let mut seen = BTreeSet::new();
        for name in ODD.iter().filter(|name| **name != " g ").copied().chain(["a?b", "a*b", "a_b"]) {
            let place = place_on(Platform::Windows, name).expect(name);
            assert_eq!(place.is_escaped, name != "a_b", "{name}");
            let text = place.path.to_str().expect("text").to_owned();
            assert!(!text.contains([':', '\\', '?', '*', '\n']) && !text.ends_with('.'), "{text}");
            assert!(seen.insert(text), "{name} has the name of another");
        }
        let long = "ä".repeat(200);
        let place = place_on(Platform::Unix, &long).expect("escaped");
        assert!(place.is_escaped && place.path.as_os_str().len() <= PART_BYTES_MAX, "{place:?}");
        assert!(!is_device(Some("COMB")) && is_device(Some("lpt9")) && !is_device(Some("CONSOLE")));
    }

    #[test]
    fn paths_that_lead_elsewhere_have_no_place() {
        assert_eq!(place("a/b.txt").expect("good").path, Path::new("a/b.txt"));
        for path in ["", "/etc/passwd", "../up", "a/../../b", "./a", "a//b", "a\0"] {
            assert_eq!(place(path), None, "{path}");
        }
    }
}
