//! A directory of results or proofs belongs to one job, whose id it holds: results of two jobs in one would be mixed
//! up, since both number their tasks from 0.

use std::{fs, io, path::Path};

use meshwork_core::types::JobId;

use crate::failure::{Done, Failure};

/// The file with the job's id.
const NAME: &str = ".job";

/// Makes a directory the place of a job's results, or of its proofs.
///
/// # Errors
/// The directory has another job's, or cannot be written.
pub(super) fn claim(directory: &Path, job: JobId) -> Done {
    let path = directory.join(NAME);
    match fs::read_to_string(&path) {
        Ok(other) if other.trim() == job.to_string() => return Ok(()),
        Ok(other) => {
            return Err(Failure::usage(format!(
                "{} has what job {} left, and this is job {job}; name another directory, or remove that one.",
                directory.display(),
                other.trim()
            )));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::file("read", &path, &error)),
    }
    fs::create_dir_all(directory).map_err(|error| Failure::file("create", directory, &error))?;
    fs::write(&path, format!("{job}\n")).map_err(|error| Failure::file("write", &path, &error))
}

#[cfg(test)]
mod tests {
    use meshwork_core::digest::Digest;

    use super::*;
    use crate::failure::Exit;

    #[test]
    fn a_directory_holds_what_one_job_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let results = directory.path().join("new/results");
        let (one, other) = (JobId(Digest([1; 32])), JobId(Digest([2; 32])));
        claim(&results, one).expect("free");
        claim(&results, one).expect("its own");
        let failure = claim(&results, other).expect_err("taken");
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.sentence.contains(&one.to_string()), "{failure}");
    }
}
