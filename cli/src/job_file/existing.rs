//! What an open job has already, where a file is to add to it.

/// An array of a job, or several of one name that stand one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingArray {
    /// Its name.
    pub name: String,
    /// Its first task in the job.
    pub first: u32,
    /// How many tasks it has.
    pub count: u32,
    /// Each of the job's arrays that it is, with its first task and how many it has.
    pub pieces: Vec<(u16, u32, u32)>,
    /// Whether others may take what its tasks leave.
    pub feeds: bool,
}

/// What a job has already.
#[derive(Clone, Debug, Default)]
pub struct Existing {
    /// Whether there is a job that is added to.
    pub is_there: bool,
    /// Its arrays with a name, by which tasks can refer to them.
    pub arrays: Vec<ExistingArray>,
    /// How many arrays it has in all.
    arrays_in_all: usize,
    /// How many tasks.
    tasks: u32,
}

impl Existing {
    /// Of a job that has nothing so far.
    pub fn job() -> Self {
        Self { is_there: true, ..Self::default() }
    }

    /// Takes note of the job's next array.
    pub fn add(&mut self, name: &str, count: u32, feeds: bool) {
        let place = u16::try_from(self.arrays_in_all).unwrap_or(u16::MAX);
        let first = self.tasks;
        self.arrays_in_all += 1;
        self.tasks = self.tasks.saturating_add(count);
        if name.is_empty() {
            return;
        }
        match self.arrays.iter_mut().find(|array| array.name == name) {
            // A large array was cut into pieces of one name.
            Some(same) if same.first + same.count == first && same.feeds == feeds => {
                same.count += count;
                same.pieces.push((place, first, count));
            }
            // Of two that are called alike the first is meant.
            Some(_) => {}
            None => {
                let (name, pieces) = (name.to_owned(), vec![(place, first, count)]);
                self.arrays.push(ExistingArray { name, first, count, pieces, feeds });
            }
        }
    }

    /// How many tasks it has.
    pub const fn count(&self) -> u32 {
        self.tasks
    }

    /// How many arrays it has.
    pub const fn arrays(&self) -> usize {
        self.arrays_in_all
    }
}
