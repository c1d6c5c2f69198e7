//! Tells people and programs what happens: chats, mail, webhooks, the status of commits.
//!
//! ```text
//!  agent ── Happening ──▶ Announcer ── Message ──▶ outbox in the ledger ──▶ deliver ──▶ receivers
//!                         (decides what is news)   (durable, one queue each)  (network, retries)
//! ```
//!
//! The agent is never delayed: whoever announces writes a row and goes on, and each receiver has a queue and a task of its
//! own. A message is told once, for its key is kept; one that was sent in the very moment in which the agent died is sent
//! again, with the same id. What is bad for a moment only is not told at all, and what was told as bad is told when it is
//! over. Nothing is decided by what is here, and no address but the configured ones is ever asked.

mod announcer;
mod deliver;
mod digest;
mod ended;
mod guard;
mod mail;
mod message;
mod outbox;
mod post;
mod render;
mod text;

pub use announcer::{Announcer, Subject};
pub use deliver::{Pace, deliver};
pub use digest::digests;
pub use guard::{Refused, checked_url, is_forbidden};
pub use message::{CommitNote, Event, ImageChange, Message};
pub use outbox::Outbox;
