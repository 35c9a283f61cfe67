//! Whole-system tests: real processes, crashes, power loss.
