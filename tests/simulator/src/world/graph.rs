//! Random graphs of tasks, such as people might submit.

use std::sync::Arc;

use meshwork_core::types::{After, Array, Edges, Part, TaskSpec, Tasks, When};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;

/// The ending that a dependency requires: mostly success.
pub(super) const WHENS: [When; 4] = [When::Ok, When::Ok, When::Any, When::Fail];

/// Some arrays, each depending on some of those before it or on single tasks. `spec` makes the common part of
/// their tasks, for tasks that fail or do not.
pub(super) fn draw(random: &mut Pcg64Mcg, spec: impl Fn(bool) -> Arc<TaskSpec>) -> Vec<Array> {
    let mut arrays: Vec<Array> = Vec::new();
    let mut tasks = 0;
    for _ in 0..random.random_range(2..6) {
        let count: u32 = random.random_range(1..5);
        let mut after = Vec::new();
        for _ in 0..random.random_range(0..3) {
            if arrays.is_empty() {
                break;
            }
            let array = random.random_range(0..arrays.len());
            let each = random.random_ratio(1, 2) && arrays[array].tasks.count() == count as usize;
            after.push(After { array: array as u16, each, when: WHENS[random.random_range(0..4)] });
        }
        let mut part = |place: u32| {
            let mut edges = Edges::default();
            for _ in 0..random.random_range(0..3) {
                if tasks + place > 0 {
                    let before = random.random_range(0..tasks + place);
                    match WHENS[random.random_range(0..4)] {
                        When::Ok => edges.ok.push(before),
                        When::Any => edges.any.push(before),
                        When::Fail => edges.fail.push(before),
                    }
                }
            }
            Part { after: edges, ..Part::default() }
        };
        let parts: Vec<Part> = (0..count).map(&mut part).collect();
        let differ = parts.iter().any(|part| !part.after.is_empty());
        let own = if differ { Tasks::Each(parts) } else { Tasks::Repeat(count) };
        arrays.push(Array {
            name: String::new(),
            spec: spec(random.random_ratio(1, 5)),
            tasks: Arc::new(own),
            after,
            feeds: false,
        });
        tasks += count;
    }
    arrays
}
