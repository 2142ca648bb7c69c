//! The real broker under a seed.
