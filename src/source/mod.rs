//! A configuration repository, read without ever checking anything out.
//!
//! [`Repository`] stands for a bare repository, a repository with a work tree, or a plain folder on this machine. It
//! finds commits and hands out their files as a [`crate::model::tree::FileTree`], straight from the object database:
//! no checkout, hook, filter or submodule ever runs, and nothing is written. [`watch()`] tells that something may have
//! changed. A repository on a server ([`remote`]) is a bare one that is fetched into and then opened here like any other.
//! [`verify`] says who signed a commit.
//!
//! Whoever may push decides every byte that is read here. So links are never followed, sizes are bounded, and texts of
//! commits lose what could deceive a terminal.
//!
//! All functions block on files: call them where blocking is allowed.

mod error;
mod commit;
mod repository;
mod walk;
mod commit_tree;
mod work_tree;
mod watch;
pub mod remote;
pub mod verify;

pub use commit::Commit;
pub use commit_tree::CommitTree;
pub use error::SourceError;
pub use repository::{Kind, Repository};
pub use watch::{Watch, watch};
pub use work_tree::{WorkTree, folder_tree};
