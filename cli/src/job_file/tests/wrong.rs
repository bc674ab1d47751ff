//! The messages about wrong files: where, what, and what to do next.

use meshwork_core::types::{Retry, Setback};

use super::{arrays, planned, planned_with};

/// The sentence's first line, without the file's name.
#[track_caller]
fn said_with(text: &str, files: &[(&str, &str)]) -> String {
    let failure = planned_with(text, files).expect_err(text);
    assert_eq!(failure.exit, crate::failure::Exit::Usage, "{failure}");
    let line = failure.sentence.lines().next().expect("a line");
    assert!(failure.sentence.contains('^'), "the place is shown: {failure}");
    line.split_once('/').map_or(line, |_| line.rsplit_once("/job.toml:").map_or(line, |(_, rest)| rest)).to_owned()
}

#[track_caller]
fn said(text: &str) -> String {
    said_with(text, &[])
}

#[track_caller]
fn assert_said(text: &str, place: &str, words: &[&str]) {
    let said = said(text);
    assert!(said.starts_with(&format!("{place}: ")), "{place} is not the place of {said:?}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

const NOOP: &str = "[defaults]\nprogram = \"noop.wasm\"\n";

#[test]
fn an_unknown_key_is_answered_with_the_closest() {
    assert_said("[tasks.a]\nprogramm = \"x\"\n", "2:1", &["`programm`", "did you mean `program`"]);
    assert_said("nmae = \"x\"\n", "1:1", &["`nmae`", "`name`"]);
}

#[test]
fn a_wrong_type_is_named() {
    assert_said("[tasks.a]\nprogram = 5\n", "2:11", &["the number `5`", "text, in quotes"]);
    assert_said("[tasks.a]\nprogram = \"noop.wasm\"\neach = 5\n", "3:8", &["the number `5`", "table"]);
    assert_said(&format!("{NOOP}[tasks.a]\ntimeout = \"soon\"\n"), "4:11", &["\"soon\"", "5m"]);
    assert_said(&format!("{NOOP}[tasks.a]\nmemory = \"much\"\n"), "4:10", &["\"much\"", "64MiB"]);
}

#[test]
fn statuses_that_mean_success_are_some_and_not_too_many() {
    assert_said(&format!("{NOOP}[tasks.a]\nsuccess = []\n"), "4:11", &["No status would mean success", "[0]"]);
    let many: Vec<String> = (0..257).map(|status| status.to_string()).collect();
    let text = format!("{NOOP}[tasks.a]\nsuccess = [{}]\n", many.join(", "));
    assert_said(&text, "4:11", &["too many statuses", "at most 256"]);
}

#[test]
fn an_unknown_task_is_answered_with_the_closest() {
    let text = format!("{NOOP}[tasks.tiles]\n[tasks.join]\nafter = [\"tile\"]\n");
    assert_said(&text, "5:10", &["`tile`", "did you mean `tiles`"]);
    let text = format!("{NOOP}[tasks.a]\ninputs = {{ x = {{ from = \"b\" }} }}\n");
    assert_said(&text, "4:25", &["`b`", "`a`"]);
}

#[test]
fn a_circle_is_named() {
    let text = format!("{NOOP}[tasks.a]\nafter = \"b\"\n[tasks.b]\nafter = \"a\"\n");
    assert_said(&text, "4:9", &["a -> b -> a"]);
    let text = format!("{NOOP}[tasks.a]\nafter = \"a\"\n");
    assert_said(&text, "4:9", &["a -> a"]);
    let circle = "[tasks.x]\nafter = \"c\"\n[tasks.a]\ninputs = { x = { from = \"b\" } }\n[tasks.b]\nafter-any = \"c\"\n\
                  [tasks.c]\nafter-fail = \"a\"\n";
    assert_said(&format!("{NOOP}{circle}"), "6:25", &["a -> b -> c -> a"]);
    let itself = format!("{NOOP}[tasks.a]\neach = {{ range = \"0..3\" }}\nafter = \"a[${{index}}]\"\n");
    assert_said(&itself, "5:9", &["wait for itself"]);
}

#[test]
fn a_mount_over_the_tasks_own_folders_or_another_input_is_refused_at_its_place() {
    let mounts = |mounts: &str| format!("{NOOP}[tasks.a]\nmounts = {{ {mounts} }}\n");
    for place in ["/out", "/tmp/x", "/in/x", "/", "share", "/a/../b"] {
        let text = mounts(&format!("\"{place}\" = {{ text = \"x\" }}"));
        assert_said(&text, "4:12", &["Nothing can be mounted at", place, "absolute path"]);
    }
    let text = mounts("\"/usr/share\" = { text = \"x\" }, \"/usr/share/x\" = { text = \"x\" }");
    assert_said(&text, "4:43", &["/usr/share/x, below another"]);
    let text = format!("{NOOP}[tasks.a]\ninputs = {{ \"/share\" = {{ text = \"x\" }} }}\n");
    assert_said(&text, "4:12", &["\"/share\" is not a path below /in"]);
}

#[test]
fn a_folder_that_is_none_and_an_input_of_two_kinds_are_refused_at_their_place() {
    let inputs = |source: &str| format!("{NOOP}[tasks.a]\ninputs = {{ x = {{ {source} }} }}\n");
    assert_said(&inputs("folder = \"none\""), "4:27", &["none cannot be read", "relative to the job file"]);
    assert_said(&inputs("folder = \"noop.wasm\""), "4:27", &["noop.wasm cannot be read"]);
    assert_said(&inputs("folder = \"x\", text = \"y\""), "4:16", &["exactly one of `folder`"]);
    assert_said(&inputs("folder = \"x\", file = \"y\""), "4:16", &["exactly one of `folder`"]);
    let text = format!("{NOOP}[tasks.a]\nstdin = {{ folder = \"x\" }}\n");
    assert_said(&text, "4:9", &["a file or a text"]);
    let text = format!("{NOOP}[tasks.a]\nargv0 = \"a\\u0000\"\n");
    assert_said(&text, "4:9", &["cannot be a program's name"]);
}

#[test]
fn a_missing_file_is_named() {
    assert_said("[tasks.a]\nprogram = \"nothing.wasm\"\n", "2:11", &["nothing.wasm", "relative to the job file"]);
    let text = format!("{NOOP}[tasks.a]\ninputs = {{ x = \"nothing\" }}\n");
    assert_said(&text, "4:16", &["nothing", "relative to the job file"]);
    assert_said(&format!("{NOOP}[tasks.a]\neach = {{ files = \"*.none\" }}\n"), "4:18", &["No file matches"]);
    assert_said(&format!("{NOOP}[tasks.a]\neach = {{ csv = \"none.csv\" }}\n"), "4:16", &["none.csv"]);
    assert_said("[tasks.a]\n", "1:8", &["`a` has no program"]);
}

#[test]
fn two_inputs_of_one_path_are_refused() {
    let one = format!("{NOOP}[tasks.a]\ninputs = {{ x = {{ text = \"1\" }}, \"x/y\" = {{ text = \"2\" }} }}\n");
    assert_said(&one, "4:32", &["/in/x/y", "below another"]);
    let text = format!(
        "{NOOP}[tasks.a]\neach = {{ range = \"0..3\" }}\ninputs = {{ \"1\" = {{ text = \"1\" }}, \"${{index}}\" = {{ text = \"2\" }} }}\n"
    );
    assert_said(&text, "5:34", &["/in/1", "otherwise"]);
    assert_said(&format!("{NOOP}[tasks.a]\ninputs = {{ \"../x\" = {{ text = \"\" }} }}\n"), "4:12", &["../x"]);
}

#[test]
fn an_unknown_name_in_a_text_is_answered_with_the_closest() {
    let text = format!("{NOOP}[parameters]\nscene = 1\n[tasks.a]\narguments = [\"x\", \"${{scen}}\"]\n");
    assert_said(&text, "6:19", &["`scen`", "`scene`"]);
    let text = format!("{NOOP}[tasks.a]\neach = {{ range = \"0..3\" }}\nenvironment = {{ X = \"${{index}}\" }}\n");
    assert_said(&text, "5:21", &["all tasks of the array"]);
}

#[test]
fn too_many_tasks_are_counted_before_they_are_made() {
    let text = format!("{NOOP}[tasks.a]\neach = {{ range = \"0..1000000000000\" }}\n");
    assert_said(&text, "4:18", &["1000000000000", "100000"]);
    let many = "[tasks.a]\neach = { range = \"0..60000\" }\n[tasks.b]\neach = { range = \"0..60000\" }\n";
    assert_said(&format!("{NOOP}{many}"), "5:8", &["`b`", "120000"]);
    let matrix = "each = { matrix = { a = [1, 2, 3, 4, 5, 6, 7, 8, 9], b = [1, 2, 3, 4, 5, 6, 7, 8, 9], \
                  c = [1, 2, 3, 4, 5, 6, 7, 8, 9], d = [1, 2, 3, 4, 5, 6, 7, 8, 9], \
                  e = [1, 2, 3, 4, 5, 6, 7, 8, 9], f = [1, 2, 3, 4, 5, 6, 7, 8, 9] } }";
    assert_said(&format!("{NOOP}[tasks.a]\n{matrix}\n"), "4:19", &["531441"]);
    assert_said("name = \"none\"\n", "1:1", &["no tasks"]);
}

#[test]
fn rows_are_pointed_at_in_their_own_file() {
    let csv = |table: &str| {
        let text = format!("{NOOP}[tasks.a]\neach = {{ csv = \"t.csv\" }}\narguments = \"${{b}}\"\n");
        said_with(&text, &[("t.csv", table)])
    };
    let said = csv("a,b\n1,2\n3\n");
    assert!(said.contains("t.csv:3:1: This row has 1 columns"), "{said}");
    let said = csv("a,a\n1,2\n");
    assert!(said.contains("t.csv:1:1: Column 2"), "{said}");
    let text = format!("{NOOP}[tasks.a]\neach = {{ jsonl = \"t.jsonl\" }}\narguments = \"${{b}}\"\n");
    let said = said_with(&text, &[("t.jsonl", "{\"b\": 1}\n\n{\"a\": 2}\n")]);
    assert!(said.contains("t.jsonl:3:1: There is no `b` here"), "{said}");
    let said = said_with(&text, &[("t.jsonl", "{\"b\": 1}\n[2]\n")]);
    assert!(said.contains("t.jsonl:2:1: This line is not a JSON object"), "{said}");
    assert!(csv("a,b\n").contains("no task at all"));
}

#[test]
fn references_that_cannot_be_are_refused() {
    let arrays = format!("{NOOP}[tasks.a]\neach = {{ range = \"0..3\" }}\n[tasks.b]\neach = {{ range = \"0..4\" }}\n");
    assert_said(&format!("{arrays}after = {{ each-of = \"a\" }}\n"), "7:9", &["`b` has 4 tasks and `a` 3"]);
    assert_said(&format!("{arrays}after = \"a[3]\"\n"), "7:9", &["3 tasks", "0 to 2"]);
    let takes = format!("{arrays}inputs = {{ \"${{index}}\" = {{ from = \"a\" }} }}\n");
    assert_said(&takes, "7:34", &["all tasks alike"]);
    assert_said(&format!("{arrays}inputs = {{ x = {{ from = \"a[0, 1]\" }} }}\n"), "7:25", &["one place"]);
    assert_said(&format!("{arrays}inputs = {{ x = {{ }} }}\n"), "7:16", &["exactly one of"]);
    assert_said(&format!("{NOOP}[tasks.\"a b\"]\n"), "3:8", &["cannot be a task's name"]);
}

#[test]
fn what_a_network_does_not_allow_is_said_at_its_place() {
    assert_said(&format!("{NOOP}[tasks.a]\nretries = 1000\n"), "4:11", &["at most 100"]);
    assert_said(&format!("{NOOP}[tasks.a]\ntimeout = \"2days\"\n"), "4:11", &["1day"]);
    assert_said(&format!("{NOOP}[tasks.a]\nmemory = \"1MiB\"\noutput-limit = \"2MiB\"\n"), "5:16", &["memory"]);
    assert_said(&format!("deadline = \"2001-01-01T00:00:00Z\"\n{NOOP}[tasks.a]\n"), "1:12", &["passed"]);
    assert_said(&format!("after = \"tiles\"\n{NOOP}[tasks.a]\n"), "1:9", &["not a job"]);
}

#[test]
fn a_program_that_is_none_is_refused() {
    let failure =
        planned_with("[tasks.a]\nprogram = \"x.wasm\"\n", &[("x.wasm", "#!/bin/sh\n")]).expect_err("no module");
    assert!(failure.sentence.contains("x.wasm") && failure.sentence.contains("WebAssembly"), "{failure}");
    assert!(planned("").is_err());
}

#[test]
fn a_job_recurs_by_an_expression_and_known_policies() {
    let recurs = |more: &str| format!("[recurs]\n{more}\n[tasks.a]\nprogram = \"noop.wasm\"\n");
    assert_said(&recurs("cron = \"0 25 * * *\""), "2:8", &["\"0 25 * * *\"", "UTC", "*/15"]);
    assert_said(&recurs("cron = \"0 0 30 2 *\""), "2:8", &["never comes"]);
    assert_said(&recurs("cron = \"@daily\"\noverlap = \"never\""), "3:11", &["\"never\"", "queue, alongside"]);
    assert_said(&recurs("cron = \"@daily\"\ncatch-up = \"queue\""), "3:12", &["skip, once, all"]);
    assert_said(&recurs("cron = \"@daily\"\nruns = 0"), "3:8", &["at least once"]);
    assert_said(&recurs("cron = \"@daily\"\nuntil = \"1ms\""), "3:9", &["No occurrence is left"]);
    assert_said(&recurs("overlap = \"skip\""), "1:1", &["says not when", "cron"]);
    assert_said(&recurs("crom = \"@daily\""), "2:1", &["`crom`", "`cron`"]);
    let daily = recurs("cron = \"@daily\"");
    assert_said(&format!("not-before = \"1h\"\n{daily}"), "1:14", &["recurs", "`from`"]);
    assert_said(&format!("after = \"abcd\"\n{daily}"), "1:9", &["recurs"]);
    assert_said(&format!("deadline = \"2030-01-31T18:00:00Z\"\n{daily}"), "1:12", &["is not a time"]);
}

#[test]
fn rules_for_setbacks_have_known_kinds_and_bounds() {
    let rule = |kind: &str, more: &str| format!("{NOOP}[tasks.a.recovery.{kind}]\n{more}\n");
    assert_said(&rule("lots", "retries = 1"), "3:19", &["`lots`", "lost, drained"]);
    assert_said(&rule("lost", "retries = 1000"), "4:11", &["at most 100"]);
    assert_said(&rule("trapped", "jitter-percent = 101"), "4:18", &["at most 100"]);
    let text = "[defaults]\nprogram = \"noop.wasm\"\nrecovery = { lost = { retries = 1 }, exited = { delay = \"5s\" } }\n\
                [tasks.a.recovery.lost]\nretries = 2\njitter-percent = 50\nelsewhere = true\nrestart = true\n";
    let plan = planned(text).expect("good");
    let arrays = arrays(&plan);
    let lost = Retry { jitter_permille: 500, elsewhere: true, restarts: true, ..Retry::of(2, 1000) };
    let rules = [(Setback::Lost, lost), (Setback::Exited, Retry::of(0, 5000))];
    assert_eq!(arrays[0].spec.recovery, rules.into());
}

#[test]
fn that_tasks_may_ask_for_others_and_for_how_many_go_together() {
    assert_said(&format!("{NOOP}[tasks.a]\nspawns = true\n"), "1:1", &["spawn-max"]);
    assert_said(&format!("spawn-max = 5\n{NOOP}[tasks.a]\n"), "1:13", &["spawns = true"]);
    let plan = planned(&format!("spawn-max = 5\n{NOOP}[tasks.a]\nspawns = true\n")).expect("good");
    assert_eq!((plan.job.spawns_max, arrays(&plan)[0].spec.spawns), (5, true));
}

#[test]
fn a_quote_that_is_not_closed_is_found_in_its_line() {
    let text = format!("{NOOP}[tasks.a]\neach = {{ csv = \"rows.csv\" }}\n");
    let said = said_with(&text, &[("rows.csv", "city,people\nGhent,1\n\"Leuven,2\nBruges,3\n")]);
    assert!(said.contains("rows.csv:3:1: A quote is opened here and never closed"), "{said}");
}

#[test]
fn variables_that_the_worker_sets_are_not_a_job_files() {
    assert_said(&format!("{NOOP}[tasks.a]\nenvironment = {{ MESHWORK_TASK_INDEX = 7 }}\n"), "4:17", &["MESHWORK_"]);
}

#[test]
fn all_missed_occurrences_cannot_run_where_they_skip_each_other() {
    let with = |overlap: &str| {
        format!("[recurs]\ncron = \"@daily\"\ncatch-up = \"all\"\noverlap = {overlap:?}\n{NOOP}[tasks.a]\n")
    };
    assert_said(&with("skip"), "4:11", &["queue"]);
    assert_said(&with("cancel"), "4:11", &["queue"]);
    assert!(planned(&with("queue")).is_ok());
    let alone = format!("[recurs]\ncron = \"@daily\"\ncatch-up = \"all\"\n{NOOP}[tasks.a]\n");
    let recurs = planned(&alone).expect("good").job.recurs.expect("it recurs");
    assert_eq!(recurs.overlap, meshwork_core::types::Overlap::Queue);
}
