//! An authority that goes on from an old copy of its data.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    mesh::path,
    running::{local_mesh, run},
};

/// How long the slowest machine may take for anything here.
const LONG: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_volunteer_that_sees_two_histories_says_so_and_names_who_signed_both() {
    let mut mesh = local_mesh("forked", 1, 1).await;
    let (authority, volunteer) = (mesh.peers()[0].home().to_owned(), mesh.peers()[1].home().to_owned());
    let copy = mesh.root().join("copy");
    mesh.peer_mut(0).kill();
    let copied = Command::new("cp").args(["-a", path(&authority), path(&copy)]).status();
    assert!(copied.is_ok_and(|copied| copied.success()));
    mesh.restart_killed().await.expect("from disk");
    // The old copy is to be well behind, so that it is up before it passes what is final.
    let height = async |mesh: &meshwork::local_mesh::LocalMesh| {
        mesh.peers()[1].client().expect("running").status().await.expect("it answers").height.0
    };
    let (before, until) = (height(&mesh).await, Instant::now() + LONG);
    while height(&mesh).await < before + 60 {
        assert!(Instant::now() < until, "the network goes on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    mesh.peer_mut(0).kill();
    fs::remove_dir_all(&authority).expect("removed");
    fs::rename(&copy, &authority).expect("put back");
    mesh.restart_killed().await.expect("from the old copy");
    let until = Instant::now() + LONG;
    while run(&volunteer, &["health"], LONG).status == Some(0) {
        assert!(Instant::now() < until, "it never sees the other history");
        std::thread::sleep(Duration::from_millis(200));
    }
    run(&volunteer, &["health"], LONG).bad(1, &["two histories", "Signed for both: authority-1."]);
    assert!(run(&volunteer, &["status"], LONG).good().contains("two histories"));
    assert!(fs::read_to_string(volunteer.join("log")).expect("a log").contains("two histories"));
}
