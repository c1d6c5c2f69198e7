//! The agent's door: an HTTP server over what it knows (`agent::board`) and what may be asked of it (`agent::desk`).
//!
//! There are two ways in. The socket `agent.sock` in the state folder is for whoever may write there, and has the command
//! line as its client (`client`). The network listener is for everybody else, is off unless agent.yaml names an address,
//! and speaks TLS beyond this host. Behind both is one router, made of one table (`routes`), before which one guard stands
//! (`guard`).
//!
//! It decides nothing about stacks, never waits for the agent, and never lets it wait.

mod limits;
mod crowd;
mod problem;
mod token;
mod caller;
mod site;
mod routes;
mod guard;
mod health;
mod look;
mod orders;
mod events;
mod page;
mod hooks;
mod openapi;
mod connection;
mod server;
pub mod client;

pub use hooks::{HookError, Unfit};
pub use limits::{Limits, Rate};
pub use look::Deploy;
pub use openapi::description;
pub use problem::Problem;
pub use routes::{Access, ROUTES, Route};
pub use server::{ServeError, Server, Settings};
pub use site::Metrics;
pub use token::{hash_text, new_token};

/// The socket, in the state folder.
pub const SOCKET: &str = "agent.sock";
