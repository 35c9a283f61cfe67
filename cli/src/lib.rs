//! What the programs `milena` and `logship` are made of. Thin over `client`: what talks to brokers lives
//! there; here live the command line, what is printed, the file shipper, and the jq and child-process
//! steps of stages.

pub mod command;
pub mod shipper;
pub mod stage;
