//! Tests through real processes of the program, as a person would run them. Bounded in time; nothing is left running.

mod checkpoints;
mod command_line;
mod control;
mod copies;
mod explained;
mod faults;
mod governed;
mod health;
mod mesh;
mod readme;
mod running;
mod syncing;
mod usage;
mod workflows;
