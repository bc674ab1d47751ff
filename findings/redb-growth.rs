// package: redb = "=4.4.0"
// package: tempfile = "=3.23.0"
//! Ten values are written over and over. With durable commits the file stays small. Without, no page is used again, and
//! the file grows with each commit, until a durable one comes.

use redb::{Database, Durability, TableDefinition};

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("values");

fn bytes_after(commits: u64, durability: Durability) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.redb");
    let store = Database::create(&path).expect("created");
    for number in 0..commits {
        let mut change = store.begin_write().expect("begun");
        change.set_durability(durability).expect("set");
        change.open_table(TABLE).expect("opened").insert(number % 10, &[7; 1000][..]).expect("written");
        change.commit().expect("committed");
    }
    std::fs::metadata(&path).expect("there").len()
}

fn main() {
    let (durable, without) = (bytes_after(3000, Durability::Immediate), bytes_after(3000, Durability::None));
    println!("redb 4.4.0: after 3,000 commits of ten values, {durable} bytes; {without} without durability");
    assert!(without > 4 * durable, "it grows no longer");
}
