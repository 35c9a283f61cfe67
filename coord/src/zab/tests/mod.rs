//! The rules of ZAB that were learnt the hard way, one test for each, and what else can be seen of one member alone.
//! What many members do together is the simulator's.

mod probe;
mod rules_broadcast;
mod rules_recovery;
mod rules_synchronization;
mod single;
