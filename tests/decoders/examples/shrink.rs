//! Shrinks a target's corpus: `shrink TARGET FOLDER` keeps some inputs and removes the rest. Inputs that decode
//! come first, because most of a target's checks come after decoding. Among equals the names decide; these are
//! digests, so small and large inputs have equal chances.

use std::{env, fs, io, path::Path};

use meshwork_decoders::Target;

/// The most inputs that are kept of one target, and the most of these that do not decode.
const FILES_MAX: (usize, usize) = (100, 40);
/// The most bytes of the kept inputs.
const BYTES_MAX: usize = 48 << 10;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [target, folder] = &arguments[..] else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: shrink TARGET FOLDER"));
    };
    let target = Target::named(target).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no such target"))?;
    let mut inputs = Vec::new();
    for entry in fs::read_dir(Path::new(folder))? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        inputs.push((!target.run(&bytes), path, bytes.len()));
    }
    inputs.sort();
    let (mut files, mut refused, mut bytes) = (0, 0, 0);
    for (is_refused, path, length) in inputs {
        let fits = files < FILES_MAX.0 && bytes + length <= BYTES_MAX && !(is_refused && refused >= FILES_MAX.1);
        if fits {
            files += 1;
            refused += usize::from(is_refused);
            bytes += length;
        } else {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
