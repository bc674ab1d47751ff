//! The calls that do not touch descriptors' contents: arguments, environment, clock, randomness, waiting, ending.

use std::time::Duration;

use wasmtime::Linker;

use super::{
    State,
    clock::TICK_NS,
    errno::{Answer, End, Errno},
    functions,
    memory::{Memory, entry, u32_in, u64_in},
};

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    functions! { linker:
        args_sizes_get(memory, state, count: u32, bytes: u32) {
            sizes(memory, &state.arguments, count, bytes)
        }
        args_get(memory, state, pointers: u32, text: u32) {
            let moved = strings(memory, &state.arguments, pointers, text)?;
            state.charge(moved);
            Ok(())
        }
        environ_sizes_get(memory, state, count: u32, bytes: u32) {
            sizes(memory, &state.environment, count, bytes)
        }
        environ_get(memory, state, pointers: u32, text: u32) {
            let moved = strings(memory, &state.environment, pointers, text)?;
            state.charge(moved);
            Ok(())
        }
        clock_res_get(memory, _state, clock: u32, out: u32) {
            ClockId::from_number(clock)?;
            memory.write_u64(out, TICK_NS)
        }
        clock_time_get(memory, state, clock: u32, _precision: u64, out: u32) {
            let clock = ClockId::from_number(clock)?;
            state.clock.look();
            memory.write_u64(out, clock.time(state))
        }
        random_get(memory, state, start: u32, bytes: u32) {
            let buffer = memory.slice(start, bytes)?;
            state.random.fill(buffer);
            // Making randomness costs about as much as moving sixteen times as many bytes.
            state.charge(u64::from(bytes) * 16);
            Ok(())
        }
        sched_yield(_memory, _state) {
            Ok(())
        }
        poll_oneoff(memory, state, subscriptions: u32, events: u32, count: u32, out: u32) {
            poll(memory, state, subscriptions, events, count, out)
        }
        proc_raise(_memory, _state, _signal: u32) {
            Err(Errno::NotSupported.into())
        }
        sock_accept(_memory, state, number: u32, _flags: u32, _out: u32) {
            not_a_socket(state, number)
        }
        sock_recv(_memory, state, number: u32, _list: u32, _count: u32, _flags: u32, _bytes: u32, _out: u32) {
            not_a_socket(state, number)
        }
        sock_send(_memory, state, number: u32, _list: u32, _count: u32, _flags: u32, _out: u32) {
            not_a_socket(state, number)
        }
        sock_shutdown(_memory, state, number: u32, _how: u32) {
            not_a_socket(state, number)
        }
    }
    linker.func_wrap(super::MODULE, "proc_exit", |status: i32| -> wasmtime::Result<()> {
        Err(wasmtime::Error::new(End::Exited(status)))
    })?;
    Ok(())
}

fn not_a_socket(state: &State, number: u32) -> Answer {
    state.descriptors.get(number)?;
    Err(Errno::NotSocket.into())
}

fn sizes(memory: &mut Memory<'_>, strings: &[String], count: u32, bytes: u32) -> Answer {
    let total: usize = strings.iter().map(|string| string.len() + 1).sum();
    memory.write_u32(count, u32::try_from(strings.len()).map_err(|_| Errno::TooLarge)?)?;
    memory.write_u32(bytes, u32::try_from(total).map_err(|_| Errno::TooLarge)?)
}

/// Writes strings, each with a zero after it, and pointers to them. Returns the number of bytes written.
fn strings(memory: &mut Memory<'_>, strings: &[String], pointers: u32, text: u32) -> Answer<u64> {
    let mut at = text;
    for (index, string) in strings.iter().enumerate() {
        memory.write_u32(entry(pointers, index as u32, 4)?, at)?;
        memory.write(at, string.as_bytes())?;
        let end = entry(at, string.len() as u32, 1)?;
        memory.write(end, &[0])?;
        at = entry(end, 1, 1)?;
    }
    Ok(u64::from(at - text))
}

#[derive(Clone, Copy)]
enum ClockId {
    Realtime,
    /// Also serves as a program's processor time.
    Monotonic,
}

impl ClockId {
    fn from_number(number: u32) -> Answer<Self> {
        match number {
            0 => Ok(Self::Realtime),
            1..=3 => Ok(Self::Monotonic),
            _ => Err(Errno::Invalid.into()),
        }
    }

    fn time(self, state: &State) -> u64 {
        match self {
            Self::Realtime => state.clock.now_ns(),
            Self::Monotonic => state.clock.passed_ns(),
        }
    }
}

const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;
/// The most things that a program may wait for at once.
const SUBSCRIPTIONS_MAX: u32 = 4096;

enum Subscription {
    /// Until this many nanoseconds from now.
    Clock(u64),
    /// Until something can be read or written.
    Descriptor { number: u32, kind: u8 },
}

fn subscription(memory: &Memory<'_>, state: &State, list: u32, index: u32) -> Answer<(u64, Subscription)> {
    let bytes: [u8; SUBSCRIPTION_BYTES as usize] = memory.array(entry(list, index, SUBSCRIPTION_BYTES)?)?;
    let subscription = match bytes[8] {
        0 => {
            let clock = ClockId::from_number(u32_in(&bytes, 16))?;
            let absolute = bytes[40] & 1 == 1;
            let timeout = u64_in(&bytes, 24);
            Subscription::Clock(if absolute { timeout.saturating_sub(clock.time(state)) } else { timeout })
        }
        kind @ (1 | 2) => Subscription::Descriptor { number: u32_in(&bytes, 16), kind },
        _ => return Err(Errno::Invalid.into()),
    };
    Ok((u64_in(&bytes, 0), subscription))
}

/// Waits for the first of several things. Files are always ready. A wait for the clock is a real one, so that a
/// sleeping program uses no processor; it ends when the run's wall time ends.
fn poll(memory: &mut Memory<'_>, state: &mut State, list: u32, events: u32, count: u32, out: u32) -> Answer {
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Err(Errno::Invalid.into());
    }
    state.charge(u64::from(count) * u64::from(SUBSCRIPTION_BYTES) * 2);
    state.clock.look();
    let mut wait_ns = u64::MAX;
    for index in 0..count {
        wait_ns = wait_ns.min(match subscription(memory, state, list, index)?.1 {
            Subscription::Clock(ns) => ns,
            Subscription::Descriptor { .. } => 0,
        });
    }
    let mut ready = Vec::new();
    for index in 0..count {
        let (user, subscription) = subscription(memory, state, list, index)?;
        let mut event = [0_u8; EVENT_BYTES as usize];
        event[..8].copy_from_slice(&user.to_le_bytes());
        match subscription {
            Subscription::Clock(ns) if ns > wait_ns => continue,
            Subscription::Clock(_) => {}
            Subscription::Descriptor { number, kind } => {
                event[10] = kind;
                if state.descriptors.get(number).is_err() {
                    event[8] = Errno::BadDescriptor as u8;
                }
            }
        }
        // Not written yet: the lists may overlap, and all requests must be read before any is answered.
        ready.push(event);
    }
    state.deadline.sleep(Duration::from_nanos(wait_ns))?;
    state.clock.pass(wait_ns);
    for (index, event) in ready.iter().enumerate() {
        memory.write(entry(events, index as u32, EVENT_BYTES)?, event)?;
    }
    memory.write_u32(out, ready.len() as u32)
}
