//! The agent's HTTP server, asked over real sockets on loopback.

mod rig;
mod table;
mod inputs;
mod hooks;
mod listening;
mod flood;
mod description;
mod tokens;
mod together;
