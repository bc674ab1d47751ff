//! Tests that run the program in real processes, as a person would. Each is bounded in time and leaves nothing
//! running.

mod checkpoints;
mod command_line;
mod control;
mod deadly;
mod explained;
mod faults;
mod forked;
mod governed;
mod health;
mod mesh;
mod people;
mod readme;
mod replicas;
mod running;
mod speculation;
mod statuses;
mod syncing;
mod tiny;
mod trees;
mod twins;
mod usage;
mod workflows;
