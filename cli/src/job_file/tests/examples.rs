//! The examples of `docs/job-file.md`, the published schema, and the demo's workflow.

use serde_json::Value;

use super::*;
use crate::job_file::{is_job_file, model};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// The files that the page shows, by their names.
fn shown() -> Vec<(String, String)> {
    let page = fs::read_to_string(docs("job-file.md")).expect("read");
    let blocks = page.split("\n```").skip(1).step_by(2);
    let named = blocks.filter_map(|block| {
        let (information, content) = block.split_once('\n')?;
        let (_, name) = information.split_once(' ')?;
        Some((name.to_owned(), format!("{content}\n")))
    });
    named.collect()
}

fn example(name: &str) -> Plan {
    let shown = shown();
    let files: Vec<(&str, &str)> = shown.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (_, text) = files.iter().find(|(other, _)| *other == name).expect("it is shown");
    planned_with(text, &files).unwrap_or_else(|failure| panic!("{name}: {failure}"))
}

#[test]
fn every_example_comes_to_what_the_ledger_takes() {
    let mut names: Vec<String> = shown().into_iter().map(|(name, _)| name).collect();
    names.retain(|name| is_job_file(Path::new(name)) && name != "more.toml");
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let mut plan = example(&name);
        // The ledger of this test is at the beginning of time.
        plan.job.times.deadline = plan.job.times.deadline.map(|_| BlockTime(1_000_000));
        assert_eq!(check_by_ledger(&plan), Ok(()), "{name}");
    }
}

#[test]
fn the_examples_are_shown_as_the_page_says() {
    let shown = example("render.toml").to_string();
    assert!(shown.contains("tiles: 12 tasks of") && shown.contains("… and 9 more"), "{shown}");
    assert!(shown.contains("/in/tiles = all of tiles"), "{shown}");
    assert!(shown.contains("/in/first.rgb = tile.rgb out of tiles[0]"), "{shown}");
    let shown = example("folders.toml").to_string();
    assert!(shown.contains("/in/words = all in ") && shown.contains("/usr/share/words = all in "), "{shown}");
    assert!(shown.contains("/before = all\n") || shown.ends_with("/before = all"), "{shown}");
    let arguments = |name: &str, array: &str| -> Vec<Vec<String>> {
        let view = serde_json::to_value(example(name).view()).expect("JSON");
        let arrays = view["arrays"].as_array().expect("arrays").iter();
        let found = arrays.clone().find(|found| found["name"] == array).expect("there");
        let tasks = found["list"].as_array().expect("tasks").iter();
        tasks.map(|task| serde_json::from_value(task["arguments"].clone()).expect("texts")).collect()
    };
    assert_eq!(arguments("arrays.toml", "numbers")[2], ["number 30 in place 2"]);
    assert_eq!(arguments("arrays.toml", "cities"), [["Ghent", "265000"], ["Leuven", "103000"]]);
    assert_eq!(arguments("arrays.toml", "words")[1], ["two × 2"]);
    let sweep: Vec<String> = arguments("arrays.toml", "sweep").iter().map(|task| task.join(" ")).collect();
    let combinations = ["--size=1 --seed=a", "--size=2 --seed=a", "--size=2 --seed=b", "--size=3 --seed=c"];
    assert_eq!(sweep, combinations);
    assert_eq!(arguments("names.toml", "greet"), [["hello world", "costs $5, not ${who}", "--env"]]);
    assert_eq!(example("names.toml").job.name, "names-world");
    let shown = example("nightly.toml").to_string();
    assert!(shown.contains("runs at 30 3 * * 1-5 in UTC (catch-up once, overlap queue)"), "{shown}");
    assert_eq!(shown.matches("T03:30:00Z").count(), 5, "the next five occurrences: {shown}");
    let dot = example("failure.toml").dot();
    assert!(dot.contains("\"bad\" -> \"mend\" [label=fail, style=dotted];"), "{dot}");
}

#[test]
fn the_readmes_workflow_is_one() {
    let readme = fs::read_to_string(docs("../README.md")).expect("read");
    let section = readme.split("## Workflows").nth(1).expect("a section");
    let text = section.split("```").nth(1).and_then(|block| block.strip_prefix("toml\n")).expect("a workflow");
    let plan = planned_with(text, &[("texts/a.txt", "a"), ("texts/b.txt", "b")]).expect("good");
    assert_eq!((plan.count(), check_by_ledger(&plan)), (3, Ok(())));
}

#[test]
fn a_parameter_can_be_set() {
    let directory = directory();
    let path = directory.path().join("job.toml");
    fs::write(&path, "name = \"${a}${b}\"\n[parameters]\na = 1\nb = \"${a}\"\n[tasks.x]\nprogram = \"noop.wasm\"\n")
        .expect("written");
    let set =
        |name: &str| plan(&path, &[(name.to_owned(), "7".to_owned())], &LedgerLimits::default(), &Existing::default());
    assert_eq!(set("a").expect("good").job.name, "77");
    assert_eq!(set("b").expect("good").job.name, "17");
    assert!(set("c").expect_err("unknown").sentence.contains("--set gives `c`"));
}

#[test]
fn the_published_schema_is_that_of_the_types() {
    let published = fs::read_to_string(docs("job.schema.json")).unwrap_or_default();
    if published != model::schema() && std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(docs("job.schema.json"), model::schema()).expect("written");
    }
    let advice = "run the tests with UPDATE_SCHEMA=1 to write docs/job.schema.json anew";
    assert!(published == model::schema() || std::env::var_os("UPDATE_SCHEMA").is_some(), "{advice}");
}

#[test]
fn the_examples_are_valid_by_the_schema_and_wrong_files_are_not() {
    let schema: Value = serde_json::from_str(&model::schema()).expect("JSON");
    let check = |text: &str| {
        let value: toml::Value = toml::from_str(text).expect("TOML");
        is_valid(&schema, &schema, &serde_json::to_value(value).expect("JSON"))
    };
    for (name, text) in shown().iter().filter(|(name, _)| is_job_file(Path::new(name))) {
        assert!(check(text), "{name}");
    }
    assert!(check(&fs::read_to_string(programs().join("demo.toml")).expect("read")));
    for wrong in [
        "x = 1",
        "[tasks.a]\nprogramm = \"x\"",
        "[tasks.a]\nretries = \"2\"",
        "[tasks.a]\neach = { ranges = \"0..3\" }",
    ] {
        assert!(!check(wrong), "{wrong}");
    }
}

/// Whether a value is valid by a schema: of JSON Schema, what the published one uses.
fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    const KNOWN: [&str; 17] = [
        "$schema",
        "$defs",
        "$ref",
        "title",
        "description",
        "default",
        "format",
        "type",
        "properties",
        "additionalProperties",
        "required",
        "items",
        "anyOf",
        "minimum",
        "maximum",
        "enum",
        "const",
    ];
    let Value::Object(rules) = schema else { return schema.as_bool().unwrap_or(true) };
    let unknown: Vec<&String> = rules.keys().filter(|key| !KNOWN.contains(&key.as_str())).collect();
    assert!(unknown.is_empty(), "the schema uses {unknown:?}, which this test does not know");
    let is_of = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    };
    rules.iter().all(|(key, rule)| match (key.as_str(), value) {
        ("$ref", _) => {
            let pointer = rule.as_str().and_then(|rule| rule.strip_prefix('#')).expect("a local reference");
            is_valid(root, root.pointer(pointer).expect("a definition"), value)
        }
        ("type", _) => match rule {
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is_of),
            kind => is_of(kind.as_str().expect("a type")),
        },
        ("anyOf", _) => rule.as_array().expect("schemas").iter().any(|rule| is_valid(root, rule, value)),
        ("properties", Value::Object(entries)) => {
            entries.iter().all(|(name, value)| rule.get(name).is_none_or(|rule| is_valid(root, rule, value)))
        }
        ("additionalProperties", Value::Object(entries)) => {
            let known = |name: &String| rules.get("properties").is_some_and(|known| known.get(name).is_some());
            entries.iter().filter(|(name, _)| !known(name)).all(|(_, value)| is_valid(root, rule, value))
        }
        ("required", Value::Object(entries)) => {
            rule.as_array().expect("names").iter().filter_map(Value::as_str).all(|name| entries.contains_key(name))
        }
        ("items", Value::Array(items)) => items.iter().all(|item| is_valid(root, rule, item)),
        ("minimum", Value::Number(number)) => number.as_f64() >= rule.as_f64(),
        ("maximum", Value::Number(number)) => number.as_f64() <= rule.as_f64(),
        _ => true,
    })
}
