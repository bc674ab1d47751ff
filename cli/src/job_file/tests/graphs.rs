//! The arrays that files come out as, in an order that the ledger accepts.

use std::fmt::Write;

use meshwork_core::types::{After, Edges, OutputOf, Producer, When};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;
use crate::job_file::planned::{PlannedArray, PlannedPart, PlannedSource};

#[test]
fn tasks_that_differ_in_nothing_are_only_counted() {
    let plan = good("[tasks.a]\nprogram = \"noop.wasm\"\neach = { range = \"0..100000\" }\n");
    assert!(matches!(plan.arrays[0].tasks, PlannedTasks::Repeat(100_000)));
    assert_eq!(check_by_ledger(&plan), Ok(()));
}

#[test]
fn what_is_alike_is_said_once() {
    let plan = good(
        "[parameters]\nscene = \"small\"\n[tasks.tiles]\nprogram = \"echo.wasm\"\neach = { range = \"5..8\" }\n\
         arguments = [\"--scene\", \"${scene}\", \"--tile\", \"${index}\", \"end\"]\ninputs = { s = { text = \"${scene}\" } }\n",
    );
    let [array] = &plan.arrays[..] else { panic!("{plan:?}") };
    assert_eq!(array.arguments, ["--scene", "small", "--tile"]);
    let PlannedTasks::Each(parts) = &array.tasks else { panic!("{array:?}") };
    assert_eq!(parts[1].arguments, ["6", "end"]);
    assert_eq!(array.inputs.len(), 1);
    assert_eq!(check_by_ledger(&plan), Ok(()));
}

#[test]
fn everyone_stands_after_whom_it_waits_for() {
    let plan = good(
        "[defaults]\nprogram = \"noop.wasm\"\n[tasks.c]\nafter = [\"b\"]\ninputs = { a = { from = \"a\" }, one = { from = \"a[2]\", file = \"x\" } }\n\
         [tasks.b]\neach = { range = \"0..3\" }\nafter-any = { each-of = \"a\" }\nafter-fail = \"z\"\n\
         inputs = { mine = { each-of = \"a\" } }\n[tasks.a]\neach = { range = \"0..3\" }\n[tasks.z]\n",
    );
    let names: Vec<&str> = plan.arrays.iter().map(|array| array.name.as_str()).collect();
    assert_eq!(names, ["a", "z", "b", "c"]);
    let [a, z, b, c] = &plan.arrays[..] else { panic!("{plan:?}") };
    assert_eq!((a.feeds, z.feeds, b.feeds, c.feeds), (true, false, false, false));
    assert_eq!((a.first, z.first, b.first, c.first), (0, 3, 4, 7));
    let waits = [After { array: 0, each: true, when: When::Any }, After { array: 1, each: false, when: When::Fail }];
    assert_eq!(b.after, waits);
    let output = |of, file: Option<&str>| OutputOf { of, file: file.map(str::to_owned) };
    let sources = |array: &PlannedArray| -> Vec<OutputOf> {
        let outputs = array.inputs.iter().filter_map(|input| match &input.source {
            PlannedSource::Output(output) => Some(output.clone()),
            PlannedSource::Content(_) => None,
        });
        outputs.collect()
    };
    assert_eq!(sources(b), [output(Producer::Same(0), None)]);
    assert_eq!(sources(c), [output(Producer::All(0), None), output(Producer::Task(2), Some("x"))]);
    assert_eq!(check_by_ledger(&plan), Ok(()));
}

#[test]
fn rows_may_say_whom_their_tasks_wait_for() {
    let text = "[tasks.n]\nprogram = \"echo.wasm\"\neach = { csv = \"n.csv\" }\nafter = \"n[${parents}]\"\n\
                after-any = [\"n[${others}]\"]\n";
    let table = "parents,others\n,\n0,\n0 1,\n1..3,0\n";
    let plan = planned_with(text, &[("n.csv", table)]).expect("good");
    let PlannedTasks::Each(parts) = &plan.arrays[0].tasks else { panic!("{plan:?}") };
    let ok: Vec<&[u32]> = parts.iter().map(|part| &part.after.ok[..]).collect();
    assert_eq!(ok, [&[][..], &[0], &[0, 1], &[1, 2]]);
    assert_eq!(parts[3].after, Edges { ok: vec![1, 2], any: vec![0], fail: vec![] });
    assert_eq!(check_by_ledger(&plan), Ok(()));
}

#[test]
fn more_single_tasks_than_arrays_become_few_arrays() {
    let mut text = "[defaults]\nprogram = \"echo.wasm\"\n[tasks.all]\nafter-any = [\"t9999\", \"t1\"]\n\
                    inputs = { last = { from = \"t9999\" } }\n"
        .to_owned();
    for index in (0..10_000).rev() {
        let _ = writeln!(text, "[tasks.t{index}]\narguments = \"number {index}\"");
        if index > 0 {
            let _ = writeln!(text, "after = \"t{}\"", index - 1);
        }
    }
    let plan = good(&text);
    assert_eq!((plan.count(), plan.arrays.len()), (10_001, 2));
    let [chain, all] = &plan.arrays[..] else { panic!("two") };
    assert_eq!((parts(&chain.tasks).0, parts(&chain.tasks).2), (10_000, 9_999));
    assert_eq!((chain.members.len(), chain.members[3].as_str(), chain.feeds), (10_000, "t3", true));
    let PlannedTasks::Each(of_all) = &all.tasks else { panic!("{all:?}") };
    assert_eq!(of_all[0].after.any, [1, 9_999]);
    assert_eq!(check_by_ledger(&plan), Ok(()));
}

#[test]
fn a_graph_of_a_hundred_thousand_nodes_is_admitted_in_pieces() {
    let mut table = "name,parents\n".to_owned();
    for index in 0..100_000_u32 {
        let parents = match index {
            0 => String::new(),
            _ => format!("{} {}", index - 1, index / 2),
        };
        let _ = writeln!(table, "the node number {index},{parents}");
    }
    let text = "[defaults]\nprogram = \"echo.wasm\"\n[tasks.n]\neach = { csv = \"n.csv\" }\narguments = \"${name}\"\n\
                after = \"n[${parents}]\"\n";
    let plan = planned_with(text, &[("n.csv", &table)]).expect("good");
    assert_eq!(plan.count(), 100_000);
    assert!(plan.arrays.len() > 2, "{} arrays", plan.arrays.len());
    let bytes_max = LedgerLimits::default().transaction_bytes_max;
    assert!(arrays(&plan).into_iter().all(|array| encoded(vec![array]) <= bytes_max));
    assert_eq!(check_by_ledger(&plan), Ok(()));
}

#[test]
fn an_array_in_pieces_can_be_waited_for_and_taken_from() {
    let mut table = "name\n".to_owned();
    let long = "x".repeat(400);
    (0..5_000).for_each(|index| table.push_str(&format!("{long}{index}\n")));
    let each = "each = { csv = \"n.csv\" }\narguments = \"${name}\"\n";
    let text = format!(
        "[defaults]\nprogram = \"echo.wasm\"\n[tasks.n]\n{each}[tasks.next]\n{each}after = {{ each-of = \"n\" }}\n\
         [tasks.short]\neach = {{ range = \"0..5000\" }}\ninputs = {{ x = {{ each-of = \"n\" }}, y = {{ from = \"n[4999]\" }} }}\n\
         [tasks.last]\nafter = \"n\"\nafter-any = \"next\"\n"
    );
    let plan = planned_with(&text, &[("n.csv", &table)]).expect("good");
    let named = |name: &str| plan.arrays.iter().filter(|array| array.name == name).collect::<Vec<_>>();
    let (n, next) = (named("n"), named("next"));
    assert!(n.len() > 2 && next.len() == n.len(), "{} {}", n.len(), next.len());
    assert!(n.iter().all(|array| array.feeds));
    let task = |array: &PlannedArray, place: usize| -> PlannedPart {
        let PlannedTasks::Each(parts) = &array.tasks else { panic!("{array:?}") };
        parts[place].clone()
    };
    assert_eq!(task(next[1], 0).after.ok, [next[0].tasks.count()]);
    let short = task(named("short")[0], 4_000);
    assert!(
        matches!(&short.inputs[0].source, PlannedSource::Output(OutputOf { of: Producer::Task(4_000), .. })),
        "{short:?}"
    );
    assert_eq!(named("last")[0].after.len(), n.len() + next.len());
    assert_eq!(check_by_ledger(&plan), Ok(()));
    let takes_all = format!("{text}inputs = {{ x = {{ from = \"n\" }} }}\n");
    let failure = planned_with(&takes_all, &[("n.csv", &table)]).expect_err("too large");
    assert!(failure.sentence.contains("too large for one transaction"), "{failure}");
}

#[test]
fn an_array_that_waits_for_many_single_tasks_waits_for_each() {
    let mut text = "[defaults]\nprogram = \"noop.wasm\"\n[tasks.end]\nafter = [".to_owned();
    (0..200).for_each(|index| text.push_str(&format!("\"t{index}\", ")));
    text.push_str("]\n");
    (0..200).for_each(|index| text.push_str(&format!("[tasks.t{index}]\n")));
    let plan = good(&text);
    let end = plan.arrays.last().expect("one");
    assert_eq!((end.after.len(), parts(&end.tasks).2), (0, 200));
    assert_eq!(check_by_ledger(&plan), Ok(()));
}

#[test]
fn what_is_added_may_name_what_is_there() {
    let mut existing = Existing::job();
    existing.add("first", 3, true);
    existing.add("", 2, false);
    existing.add("big", 4, false);
    existing.add("big", 4, false);
    let directory = directory();
    let path = directory.path().join("more.toml");
    let added = |text: &str| {
        fs::write(&path, format!("[defaults]\nprogram = \"noop.wasm\"\n{text}")).expect("written");
        plan(&path, &[], &LedgerLimits::default(), &existing)
    };
    let more = added(
        "[tasks.x]\nafter = [\"big\", \"first[1]\"]\ninputs = { all = { from = \"first\" } }\n[tasks.y]\nafter = \"x\"\n",
    );
    let added_to = more.expect("good");
    let [x, y] = &added_to.arrays[..] else { panic!("{added_to:?}") };
    assert_eq!((x.first, y.first), (13, 14));
    assert_eq!(x.after.iter().map(|after| after.array).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(y.after[0].array, 4);
    let taken = added("[tasks.x]\ninputs = { all = { from = \"big[0]\" } }\n").expect_err("nothing is kept");
    assert!(taken.sentence.contains("feeds = true"), "{taken}");
    assert!(added("[tasks.first]\n").expect_err("twice").sentence.contains("already"));
    fs::write(&path, "open = \"1h\"\n[tasks.x]\nprogram = \"noop.wasm\"\n").expect("written");
    let timed = plan(&path, &[], &LedgerLimits::default(), &existing).expect_err("it is open already");
    assert!(timed.sentence.contains("settled when the job was submitted"), "{timed}");
}

/// A file of many single tasks of few kinds that wait for, and take from, some before them; in any order.
fn random_file(random: &mut StdRng, tasks: usize) -> String {
    let mut sections = Vec::new();
    for index in 0..tasks {
        let program = ["echo", "noop", "wordcount"][random.random_range(0..3)];
        let mut section = format!("[tasks.t{index}]\nprogram = \"{program}.wasm\"\narguments = \"{index}\"\n");
        for key in ["after", "after-any", "after-fail"] {
            let others: Vec<String> = (0..random.random_range(0..3))
                .filter(|_| index > 0)
                .map(|_| format!("\"t{}\"", random.random_range(0..index)))
                .collect();
            if !others.is_empty() {
                let _ = writeln!(section, "{key} = [{}]", others.join(", "));
            }
        }
        // Taking an output goes one deeper in the graph each time, and each depth needs an array.
        if index > 0 && random.random_range(0..50) == 0 {
            let _ = writeln!(section, "inputs = {{ x = {{ from = \"t{}\" }} }}", random.random_range(0..index));
        }
        sections.push(section);
    }
    for index in (1..sections.len()).rev() {
        sections.swap(index, random.random_range(0..=index));
    }
    sections.concat()
}

#[test]
fn the_ledger_takes_random_graphs_however_they_are_grouped() {
    for seed in 0..6 {
        let mut random = StdRng::seed_from_u64(seed);
        let tasks = [50, 3_000, 4_500, 6_000][random.random_range(0..4)];
        let plan = good(&random_file(&mut random, tasks));
        assert_eq!(plan.count() as usize, tasks, "seed {seed}");
        assert_eq!(check_by_ledger(&plan), Ok(()), "seed {seed} with {tasks} tasks in {} arrays", plan.arrays.len());
    }
}

/// The arguments of each task of the only array.
fn own_arguments(text: &str, files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let plan = super::planned_with(text, files).unwrap_or_else(|failure| panic!("{failure}\n{text}"));
    match &plan.arrays[0].tasks {
        PlannedTasks::Each(parts) => parts.iter().map(|part| part.arguments.clone()).collect(),
        PlannedTasks::Repeat(_) => vec![plan.arrays[0].arguments.clone()],
    }
}

#[test]
fn numbers_keep_their_spelling() {
    let head = "[parameters]\nversion = 3.10\nbig = 340282366920938463463374607431768211455\n\
                [tasks.a]\nprogram = \"noop.wasm\"\n";
    let matrix = "each = { matrix = { x = [1.0, 1e-7, 0xff, 1_000, +5] }, exclude = [{ x = 1_000 }], include = [{ x = 2.50 }] }\n";
    let text = format!("{head}{matrix}arguments = [\"${{x}}\", \"${{version}}\", \"${{big}}\"]\n");
    let of = |x: &str| vec![x.to_owned(), "3.10".into(), "340282366920938463463374607431768211455".into()];
    assert_eq!(own_arguments(&text, &[]), ["1.0", "1e-7", "0xff", "+5", "2.50"].map(of));

    let rows = "{\"n\": 1E2, \"m\": 184467440737095516160}\n{\"n\": 1.50, \"m\": true}\n{\"n\": \"x\", \"m\": [1.0]}\n";
    let text =
        "[tasks.a]\nprogram = \"noop.wasm\"\neach = { jsonl = \"rows.jsonl\" }\narguments = [\"${n}\", \"${m}\"]\n";
    let read = own_arguments(text, &[("rows.jsonl", rows)]);
    assert_eq!(read, [["1E2", "184467440737095516160"], ["1.50", "true"], ["x", "[1.0]"]]);
}
