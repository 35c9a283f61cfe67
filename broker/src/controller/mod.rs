//! What the cluster should look like: which topics may be made, and which broker holds
//! which replica. Pure; `metadata` writes what is decided here into the tree.

mod plan;

pub(crate) use plan::{TopicPlan, TopicWish, check_name, plan_partitions, plan_topic};
