//! Everything that is tested from outside of the library, in one binary: each further one would link the lot again.
mod manifests;
