//! Placeholder until the law is written below.
