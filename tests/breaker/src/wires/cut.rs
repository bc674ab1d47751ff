//! Cut cables: rules drop packets between one host and some others.

use std::net::Ipv4Addr;

use meshwork::failure::Done;

use super::{TABLE, inside};

/// The direction in which a cable is cut, seen from its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nothing comes in or goes out.
    Both,
    /// Nothing comes in: it is deaf.
    In,
    /// Nothing goes out: it is mute.
    Out,
}

/// Cuts the cable between the host of a process and others.
///
/// # Errors
/// The system refuses.
pub(crate) fn cut(pid: u32, others: &[Ipv4Addr], way: Way) -> Done {
    inside(pid, "nft", &["-f", "-"], &rules(others, way)).map(|_| ())
}

/// Mends every cable of the host of a process.
///
/// # Errors
/// The system refuses.
pub(crate) fn mend(pid: u32) -> Done {
    // Declared first, because a table that is not there cannot be deleted.
    inside(pid, "nft", &["-f", "-"], &format!("table inet {TABLE} {{}}\ndelete table inet {TABLE}\n")).map(|_| ())
}

fn rules(others: &[Ipv4Addr], way: Way) -> String {
    let set: Vec<String> = others.iter().map(ToString::to_string).collect();
    let set = set.join(", ");
    let chain = |hook: &str, side: &str, is_cut: bool| {
        let rule = if is_cut && !set.is_empty() { format!("ip {side} {{ {set} }} drop\n") } else { String::new() };
        format!("chain {hook} {{\ntype filter hook {hook} priority 0\n{rule}}}\n")
    };
    let incoming = chain("input", "saddr", way != Way::Out);
    let outgoing = chain("output", "daddr", way != Way::In);
    format!("table inet {TABLE} {{}}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n{incoming}{outgoing}}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_names_whom_it_is_from_and_which_way() {
        let others = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        let both = rules(&others, Way::Both);
        assert!(both.contains("ip saddr { 10.0.0.1, 10.0.0.2 } drop"), "{both}");
        assert!(both.contains("ip daddr { 10.0.0.1, 10.0.0.2 } drop"), "{both}");
        assert!(!rules(&others, Way::In).contains("daddr"));
        assert!(!rules(&others, Way::Out).contains("saddr"));
    }
}
