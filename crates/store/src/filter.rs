//! The list filter.
