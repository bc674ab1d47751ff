//! The demo's program, whose tiles must fit together whatever their size.

use super::*;

#[tokio::test]
async fn tiles_of_a_picture_fit_together() {
    let bench = Bench::new(1);
    let render = async |tile: &str| {
        let mut execution = program("render");
        let text = format!("image 960 540\ntile {tile}\n");
        execution.inputs = vec![("tile".to_owned(), bench.file("tile", text).into())];
        let ran = bench.run(execution).await;
        let files = ran.left.files;
        assert_eq!(files[0].0, "tile.rgb");
        files[0].1.clone()
    };
    render("0 0 1 1").await;
    let (left, right) = (render("448 256 32 32").await, render("480 256 32 32").await);
    let both = render("448 256 64 32").await;
    let joined: Vec<u8> =
        left.chunks(96).zip(right.chunks(96)).flat_map(|(one, other)| [one, other].concat()).collect();
    assert!(both == joined);
}
