//! The commands, one file each.

pub mod amend;
pub mod bench;
pub mod cancel;
pub mod check;
pub mod demo;
pub mod explain;
pub mod genesis;
pub mod govern;
pub mod health;
pub mod hold;
pub mod init;
pub mod jobs;
pub mod logs;
pub mod peers;
pub mod quota;
pub mod recurring;
pub mod result;
mod result_directory;
pub mod selection;
pub mod status;
pub mod submit;
pub mod timeline;
pub mod up;
pub mod usage;
pub mod verify;
pub mod wait;
pub mod workers;
