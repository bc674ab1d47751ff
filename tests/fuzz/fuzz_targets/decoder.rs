//! Runs one decoder under libFuzzer. The environment variable `DECODER` names it.
#![no_main]

use std::{env, sync::OnceLock};

use libfuzzer_sys::fuzz_target;
use meshwork_decoders::{Target, network::network};

static TARGET: OnceLock<&Target> = OnceLock::new();

fn init() {
    let name = env::var("DECODER").expect("DECODER is the name of a target");
    let target = Target::named(&name).unwrap_or_else(|| panic!("{name:?} is no target"));
    // The network in miniature runs first, so that no input pays for it.
    let _ = network();
    TARGET.set(target).expect("this is done once");
}

fuzz_target!(init: init(), |bytes: &[u8]| {
    let target = TARGET.get().expect("it is known from the start");
    let _ = target.run(bytes);
});
