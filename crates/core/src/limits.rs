//! Limits and defaults, each with its unit and source.
