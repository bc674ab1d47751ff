//! A node that is stuck is not healthy, though it answers.

use std::time::{Duration, Instant};

use crate::running::{local_mesh, run};

const LONG: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_healthy_while_it_goes_on_with_the_network() {
    let mut mesh = local_mesh("health", 1, 1).await;
    let home = mesh.peers()[1].home().to_owned();
    let health = |stuck_after: &str| run(&home, &["health", "--stuck-after", stuck_after], LONG);
    assert_eq!(health("30s").good(), "healthy");
    mesh.peer_mut(0).kill();
    let until = Instant::now() + LONG;
    while health("2s").status == Some(0) {
        assert!(Instant::now() < until, "no authority is left, and it is healthy");
        std::thread::sleep(Duration::from_millis(200));
    }
    health("2s").bad(1, &["stuck", "no block", "authorities"]);
    mesh.peer_mut(1).kill();
    health("2s").bad(4, &[]);
}
