//! The image: cut into tiles that are tasks' inputs, and put together from tasks' outputs.

use std::{fs::File, io::BufWriter, path::Path};

use crate::failure::{Done, Failure};

/// Path of a task's tile, below /in.
pub(super) const INPUT: &str = "tile";

/// Path of a task's rendered tile, below /out.
pub(super) const OUTPUT: &str = "tile.rgb";

/// Bytes of a pixel: red, green and blue.
const PIXEL_BYTES: usize = 3;

/// The most tiles: the most tasks that a default genesis allows in one job.
const TILES_MAX: usize = 100_000;

/// An image cut into tiles.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    width: u32,
    height: u32,
    samples: u32,
    tiles: Vec<Tile>,
}

/// A tile: a part of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tile {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

impl Scene {
    /// Cuts an image into tiles of at most `side` by `side` pixels.
    ///
    /// # Errors
    /// There would be too many tiles.
    pub(super) fn new(width: u32, height: u32, side: u32, samples: u32) -> Done<Self> {
        let starts = |length: u32| (0..length).step_by(side as usize);
        let tile = |x, y| Tile { x, y, width: side.min(width - x), height: side.min(height - y) };
        let tiles: Vec<Tile> = starts(height).flat_map(|y| starts(width).map(move |x| tile(x, y))).collect();
        if tiles.len() > TILES_MAX {
            return Err(Failure::usage(format!(
                "{} tiles are more than {TILES_MAX}; make them larger with --tile.",
                tiles.len()
            )));
        }
        Ok(Self { width, height, samples, tiles })
    }

    /// The number of tiles.
    pub(super) fn count(&self) -> usize {
        self.tiles.len()
    }

    /// The input of each tile's task.
    pub(super) fn inputs(&self) -> impl Iterator<Item = String> + '_ {
        self.tiles.iter().map(|tile| {
            format!(
                "image {} {}\ntile {} {} {} {}\nsamples {}\n",
                self.width, self.height, tile.x, tile.y, tile.width, tile.height, self.samples
            )
        })
    }

    /// Puts a rendered tile into the image.
    ///
    /// # Errors
    /// The tile has the wrong size.
    fn place(&self, pixels: &mut [u8], index: usize, rendered: &[u8]) -> Done {
        let tile = self.tiles[index];
        let row_bytes = tile.width as usize * PIXEL_BYTES;
        if rendered.len() != row_bytes * tile.height as usize {
            return Err(Failure::failed(format!(
                "Tile {index} has {} bytes, and should have {}.",
                rendered.len(),
                row_bytes * tile.height as usize
            )));
        }
        for (row, line) in rendered.chunks_exact(row_bytes).enumerate() {
            let start = ((tile.y as usize + row) * self.width as usize + tile.x as usize) * PIXEL_BYTES;
            pixels[start..start + row_bytes].copy_from_slice(line);
        }
        Ok(())
    }

    /// Writes the image as PNG, put together from the rendered tiles.
    ///
    /// # Errors
    /// A tile has the wrong size, or the file cannot be written.
    pub(super) fn write(&self, rendered: &[Vec<u8>], path: &Path) -> Done {
        let mut pixels = vec![0; self.width as usize * self.height as usize * PIXEL_BYTES];
        for (index, tile) in rendered.iter().enumerate() {
            self.place(&mut pixels, index, tile)?;
        }
        let file = File::create(path).map_err(|error| Failure::file("write", path, &error))?;
        let mut encoder = png::Encoder::new(BufWriter::new(file), self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&pixels)?;
            writer.finish()
        });
        written.map_err(|error| {
            Failure::failed(format!("Could not write the image {}: {error}; see to the disk.", path.display()))
        })
    }
}

#[cfg(test)]
mod tests {
    use meshwork_core::types::LedgerLimits;

    use super::*;
    use crate::job_file::{
        self,
        draft::Content,
        existing::Existing,
        planned::{PlannedInput, PlannedSource, PlannedTasks},
    };

    #[test]
    fn tiles_cover_every_pixel_once() {
        let scene = Scene::new(70, 33, 32, 1).expect("good");
        assert_eq!(scene.count(), 6);
        let mut pixels = vec![0; 70 * 33 * PIXEL_BYTES];
        for (index, tile) in scene.tiles.iter().enumerate() {
            let rendered = vec![index as u8 + 1; tile.width as usize * tile.height as usize * PIXEL_BYTES];
            scene.place(&mut pixels, index, &rendered).expect("of its size");
        }
        let area: u32 = scene.tiles.iter().map(|tile| tile.width * tile.height).sum();
        assert_eq!(area, 70 * 33);
        assert!(pixels.iter().all(|byte| *byte > 0));
        assert!(scene.place(&mut pixels, 0, &[0; 5]).is_err());
    }

    #[test]
    fn the_demo_as_a_workflow_has_the_same_tasks() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/programs/demo.toml");
        let plan = job_file::plan(&path, &[], &LedgerLimits::default(), &Existing::default()).expect("good");
        let [tiles] = &plan.arrays[..] else { panic!("one array: {plan}") };
        let PlannedTasks::Each(parts) = &tiles.tasks else { panic!("tiles differ: {plan}") };
        let texts = parts.iter().map(|part| match &part.inputs[..] {
            [PlannedInput { path, source: PlannedSource::Content(Content::Text(text)) }] if path == INPUT => {
                text.clone()
            }
            inputs => panic!("{inputs:?}"),
        });
        let scene = Scene::new(640, 480, 32, 9).expect("good");
        assert_eq!(texts.collect::<Vec<_>>(), scene.inputs().collect::<Vec<_>>());
    }

    #[test]
    fn what_is_written_is_an_image_of_that_size() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("image.png");
        let scene = Scene::new(4, 2, 2, 1).expect("good");
        scene.write(&[vec![10; 12], vec![20; 12]], &path).expect("written");
        let file = std::io::BufReader::new(File::open(&path).expect("there"));
        let mut reader = png::Decoder::new(file).read_info().expect("an image");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        reader.next_frame(&mut pixels).expect("a frame");
        assert_eq!(pixels[..12], [10, 10, 10, 10, 10, 10, 20, 20, 20, 20, 20, 20]);
    }
}
