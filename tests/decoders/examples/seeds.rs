//! Writes the seeds that fuzzing starts from: `seeds FOLDER` makes a folder for each target and a file for each
//! seed. Prints each target's name and the most bytes of its inputs.

use std::{env, fs, io, path::PathBuf};

use meshwork_decoders::{TARGETS, seeds::seeds};

fn main() -> io::Result<()> {
    let Some(folder) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: seeds FOLDER"));
    };
    for target in &TARGETS {
        fs::create_dir_all(folder.join(target.name))?;
        println!("{} {}", target.name, target.bytes_max);
    }
    for (place, seed) in seeds().into_iter().enumerate() {
        fs::write(folder.join(seed.target).join(format!("{place:03}")), seed.bytes)?;
    }
    Ok(())
}
