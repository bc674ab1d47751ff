//! What an open job already has, when a file adds to it.

/// An array of a job, or several consecutive ones of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingArray {
    /// Its name.
    pub name: String,
    /// The index of its first task in the job.
    pub first: u32,
    /// How many tasks it has.
    pub count: u32,
    /// The ledger's arrays that it consists of: each one's index, first task and number of tasks.
    pub pieces: Vec<(u16, u32, u32)>,
    /// Whether other tasks may take its outputs.
    pub feeds: bool,
}

/// What a job already has.
#[derive(Clone, Debug, Default)]
pub struct Existing {
    /// Whether a job is being added to.
    pub is_there: bool,
    /// Its named arrays, which tasks can refer to.
    pub arrays: Vec<ExistingArray>,
    /// The number of all its arrays.
    arrays_in_all: usize,
    /// The number of its tasks.
    tasks: u32,
}

impl Existing {
    /// A job that has nothing yet.
    pub fn job() -> Self {
        Self { is_there: true, ..Self::default() }
    }

    /// Adds the job's next array.
    pub fn add(&mut self, name: &str, count: u32, feeds: bool) {
        let place = u16::try_from(self.arrays_in_all).unwrap_or(u16::MAX);
        let first = self.tasks;
        self.arrays_in_all += 1;
        self.tasks = self.tasks.saturating_add(count);
        if name.is_empty() {
            return;
        }
        match self.arrays.iter_mut().find(|array| array.name == name) {
            // A large array was cut into pieces of the same name.
            Some(same) if same.first + same.count == first && same.feeds == feeds => {
                same.count += count;
                same.pieces.push((place, first, count));
            }
            // If two arrays have the same name, the name means the first.
            Some(_) => {}
            None => {
                let (name, pieces) = (name.to_owned(), vec![(place, first, count)]);
                self.arrays.push(ExistingArray { name, first, count, pieces, feeds });
            }
        }
    }

    /// The number of its tasks.
    pub const fn count(&self) -> u32 {
        self.tasks
    }

    /// The number of its arrays.
    pub const fn arrays(&self) -> usize {
        self.arrays_in_all
    }
}
