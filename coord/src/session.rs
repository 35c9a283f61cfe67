//! When sessions end by silence. Pure: who was heard of when goes in, who is overdue comes out.
//!
//! The sessions themselves are in the tree; this table is the leader's, and starts anew with each leader. A session
//! that lives in this very process is pinned: it ends when it is dropped, not by the clock.

use std::collections::{BTreeMap, BTreeSet};

/// The clocks of the sessions. Times are milliseconds of one clock that never goes back.
#[derive(Debug, Default)]
pub(crate) struct SessionClocks {
    /// The timeout and, unless pinned, the deadline of each.
    sessions: BTreeMap<i64, (u32, Option<i64>)>,
    deadlines: BTreeSet<(i64, i64)>,
}

impl SessionClocks {
    /// Begins a session's clock at `now`, or begins it anew.
    pub(crate) fn open(&mut self, id: i64, timeout_ms: u32, now: i64) {
        self.set(
            id,
            timeout_ms,
            Some(now.saturating_add(i64::from(timeout_ms))),
        );
    }

    /// Enters a session without a clock.
    pub(crate) fn pin(&mut self, id: i64, timeout_ms: u32) {
        self.set(id, timeout_ms, None);
    }

    /// The session was heard of, at `now` or before. Returns false for one that is not here.
    pub(crate) fn touch(&mut self, id: i64, now: i64) -> bool {
        let Some((timeout_ms, deadline)) = self.sessions.get(&id).copied() else {
            return false;
        };
        if deadline.is_some_and(|deadline| deadline < now.saturating_add(i64::from(timeout_ms))) {
            self.open(id, timeout_ms, now);
        }
        true
    }

    /// The session has ended.
    pub(crate) fn close(&mut self, id: i64) {
        if let Some((_, Some(deadline))) = self.sessions.remove(&id) {
            self.deadlines.remove(&(deadline, id));
        }
    }

    /// The sessions whose deadline has come, oldest first.
    pub(crate) fn overdue(&self, now: i64) -> Vec<i64> {
        let come = self.deadlines.range(..=(now, i64::MAX));
        come.map(|(_, id)| *id).collect()
    }

    /// The same; and they stay in the table, on a new clock, until their end is
    /// committed: a proposal that is lost is made again.
    pub(crate) fn expired(&mut self, now: i64) -> Vec<i64> {
        let overdue = self.overdue(now);
        for id in &overdue {
            self.touch(*id, now);
        }
        overdue
    }

    /// Nobody was listened to for so long (the process stood still), so nobody was silent: all get the time back.
    pub(crate) fn forgive(&mut self, ms: i64) {
        let later = |deadline: i64| deadline.saturating_add(ms);
        for (_, deadline) in self.sessions.values_mut() {
            *deadline = deadline.map(later);
        }
        let deadlines = std::mem::take(&mut self.deadlines);
        let shifted = deadlines.into_iter().map(|(at, id)| (later(at), id));
        self.deadlines = shifted.collect();
    }

    /// When the next deadline is.
    pub(crate) fn next_deadline(&self) -> Option<i64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn set(&mut self, id: i64, timeout_ms: u32, deadline: Option<i64>) {
        self.close(id);
        self.sessions.insert(id, (timeout_ms, deadline));
        self.deadlines
            .extend(deadline.map(|deadline| (deadline, id)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_expires_its_timeout_after_it_was_last_heard_of() {
        let mut clocks = SessionClocks::default();
        clocks.open(1, 100, 0);
        clocks.open(2, 50, 0);
        clocks.pin(3, 10);
        assert_eq!(clocks.next_deadline(), Some(50));
        assert!(clocks.touch(2, 40));
        assert!(clocks.touch(2, 20), "news of before");
        assert!(clocks.touch(3, 40));
        assert!(!clocks.touch(4, 40));
        assert!(clocks.expired(89).is_empty());
        assert_eq!(clocks.expired(100), [2, 1]);
        assert_eq!(
            clocks.next_deadline(),
            Some(150),
            "asked for again until it is closed"
        );
        clocks.forgive(70);
        assert!(clocks.expired(219).is_empty());
        assert_eq!(clocks.next_deadline(), Some(220));
        clocks.close(2);
        clocks.close(1);
        assert_eq!(
            (clocks.next_deadline(), clocks.expired(i64::MAX)),
            (None, vec![])
        );
    }
}
