//! Inputs as flags name them: files and folders of this machine, and where tasks find them.

use std::path::Path;

use meshwork_core::types::{is_mount_sound, is_path_sound};

use crate::{
    failure::{Done, Failure},
    folders::Folder,
    parse::place_of,
};

/// An input that all tasks are given.
pub(super) struct GivenInput<'a> {
    /// Where they find it: below /in if that is relative.
    pub place: String,
    pub path: &'a Path,
    /// What is in it, if it is a folder.
    pub folder: Option<Folder>,
}

/// The inputs that all tasks are given, each with its place. What they are is looked at before anything is sent.
///
/// # Errors
/// One cannot be given, or is where another is.
pub(super) fn given<'a>(inputs: &'a [String], mounts: &'a [String]) -> Done<Vec<GivenInput<'a>>> {
    let inputs = inputs.iter().map(|input| split_input(input));
    let mounts = mounts.iter().map(|mount| split_mount(mount));
    let mut given = Vec::new();
    for split in inputs.chain(mounts) {
        let (path, place) = split?;
        let folder = match path.is_dir() {
            true => Some(Folder::scan(path)?),
            false => None,
        };
        given.push(GivenInput { place, path, folder });
    }
    check_names(given.iter().map(|input| input.place.as_str()))?;
    Ok(given)
}

/// `PATH` or `PATH=NAME`.
fn split_input(text: &str) -> Done<(&Path, String)> {
    match text.rsplit_once('=') {
        Some((path, name)) if !path.is_empty() => Ok((Path::new(path), below_in(name)?)),
        _ => Ok((Path::new(text), file_name(Path::new(text))?)),
    }
}

/// `PLACE=PATH`.
fn split_mount(text: &str) -> Done<(&Path, String)> {
    let Some((place, path)) = text.split_once('=').filter(|(_, path)| !path.is_empty()) else {
        return Err(Failure::usage(format!("{text:?} does not say what is mounted; write PLACE=PATH.")));
    };
    if is_mount_sound(place) {
        return Ok((Path::new(path), place.to_owned()));
    }
    Err(Failure::usage(format!(
        "Nothing can be mounted at {place:?}; write an absolute path without `..`, such as /share, outside of /in, /out, \
         /tmp and /checkpoint, which are the task's own."
    )))
}

/// The name of a file that is given none.
///
/// # Errors
/// It is no text.
pub(super) fn file_name(path: &Path) -> Done<String> {
    path.file_name().and_then(|name| name.to_str()).map(str::to_owned).ok_or_else(|| {
        Failure::usage(format!(
            "{} has no name that a task could find it by; write PATH=NAME, or --each-as NAME.",
            path.display()
        ))
    })
}

/// A name below /in.
///
/// # Errors
/// It leads elsewhere.
pub(super) fn below_in(name: &str) -> Done<String> {
    if is_path_sound(name) {
        return Ok(name.to_owned());
    }
    Err(Failure::usage(format!(
        "{name:?} is not a name below /in; write a relative path without `..`, such as data/table.csv."
    )))
}

/// Checks that no input of a task is where another is, or below it.
///
/// # Errors
/// One is.
pub(super) fn check_names<'a>(names: impl Iterator<Item = &'a str>) -> Done {
    let mut names: Vec<&str> = names.collect();
    // Sorted by components, so that what lies below a path comes right after it.
    names.sort_by(|one, other| one.split('/').cmp(other.split('/')));
    for pair in names.windows(2) {
        let [one, other] = pair else { continue };
        if one == other {
            let place = place_of(one);
            return Err(Failure::usage(format!(
                "Two inputs of one task would be {place}; name one of them otherwise."
            )));
        }
        if other.strip_prefix(one).is_some_and(|rest| rest.starts_with('/')) {
            let (one, other) = (place_of(one), place_of(other));
            return Err(Failure::usage(format!(
                "{other} would be in {one}, another input; name one of them otherwise."
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_has_its_own_name_or_the_one_it_is_given() {
        assert_eq!(split_input("a/b.csv").expect("good"), (Path::new("a/b.csv"), "b.csv".to_owned()));
        assert_eq!(split_input("a/b.csv=t/x").expect("good"), (Path::new("a/b.csv"), "t/x".to_owned()));
        for text in ["a=../x", "a=/x", "a=", "..", "/"] {
            assert!(split_input(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_task_cannot_have_two_inputs_of_one_name() {
        assert!(check_names(["a", "b"].into_iter()).is_ok());
        let failure = check_names(["a", "b", "a"].into_iter()).expect_err("twice");
        assert!(failure.sentence.contains("/in/a"), "{failure}");
        assert!(check_names(["a", "a.b", "/a", "ab/c"].into_iter()).is_ok());
        let failure = check_names(["/usr/share", "a", "/usr/share/x"].into_iter()).expect_err("below");
        assert!(failure.sentence.starts_with("/usr/share/x would be in /usr/share"), "{failure}");
    }

    #[test]
    fn a_mount_has_a_place_of_its_own_outside_of_what_the_task_has_anyway() {
        assert_eq!(split_mount("/share=a=b").expect("good"), (Path::new("a=b"), "/share".to_owned()));
        assert_eq!(split_mount("/usr/share/x=data").expect("good"), (Path::new("data"), "/usr/share/x".to_owned()));
        for text in ["/out=a", "/tmp/x=a", "/in/x=a", "/=a", "share=a", "/a/../b=a", "/checkpoint=a"] {
            let failure = split_mount(text).expect_err(text);
            assert!(failure.sentence.starts_with("Nothing can be mounted at"), "{failure}");
        }
        for text in ["/share", "/share=", ""] {
            assert!(split_mount(text).expect_err(text).sentence.contains("PLACE=PATH"), "{text}");
        }
    }
}
