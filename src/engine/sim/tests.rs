//! Laws of the simulation itself.
