//! The paths of files that a task is given or leaves.

/// The most bytes of a path below `/in` or `/out`, or of a mount.
pub const PATH_BYTES_MAX: usize = 1024;
/// The most folders between the top of a tree and a file in it.
pub const DEPTH_MAX: usize = 64;
/// The folders at the top of a task's file system that are its own. Nothing is mounted there or below.
pub const OWN_FOLDERS: [&str; 4] = ["in", "out", "tmp", "checkpoint"];

/// Whether a path names a file below a folder: relative, without empty, `.` or `..` parts.
#[must_use]
pub fn is_path_sound(path: &str) -> bool {
    path.len() <= PATH_BYTES_MAX && !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Whether a path names a file in a tree: [sound](is_path_sound), and not too deep.
#[must_use]
pub fn is_tree_path_sound(path: &str) -> bool {
    is_path_sound(path) && path.split('/').count() <= DEPTH_MAX + 1
}

/// Whether an input can be mounted at a path: an absolute one that is neither one of [`OWN_FOLDERS`] nor below one.
#[must_use]
pub fn is_mount_sound(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|below| {
        path.len() <= PATH_BYTES_MAX
            && is_path_sound(below)
            && below.split('/').next().is_none_or(|top| !OWN_FOLDERS.contains(&top))
    })
}

/// The folders that a path leads through, the topmost first.
pub(crate) fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_its_folder_and_has_a_depth() {
        for good in ["a", "a/b..c/.d", " ", "a\nb"] {
            assert!(is_path_sound(good) && is_tree_path_sound(good), "{good:?}");
        }
        for bad in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a\0", &"x".repeat(PATH_BYTES_MAX + 1)] {
            assert!(!is_path_sound(bad) && !is_tree_path_sound(bad), "{bad:?}");
        }
        let deep = "d/".repeat(DEPTH_MAX);
        assert!(is_tree_path_sound(&format!("{deep}f")) && !is_tree_path_sound(&format!("{deep}d/f")));
    }

    #[test]
    fn a_mount_is_absolute_and_shadows_nothing_of_the_tasks_own() {
        for good in ["/share", "/usr/share/yosys", "/outer", "/input/a", "/usr/in"] {
            assert!(is_mount_sound(good), "{good}");
        }
        for bad in ["", "/", "share", "//a", "/a/", "/a/../b", "/in", "/out", "/tmp/x", "/checkpoint", "/in/a", "/\0"] {
            assert!(!is_mount_sound(bad), "{bad:?}");
        }
    }
}
