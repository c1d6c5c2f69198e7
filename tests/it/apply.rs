//! Deploys on a simulated host, with the real planner: in order, with a way back, and through crashes and faults.

pub mod bench;
mod deploys;
mod failures;
mod grants;
mod holds;
mod live;
mod networks;
mod onward;
mod images;
mod restarts;
mod returning;
mod strategies;
mod sweep;
mod tasks;
mod real;
