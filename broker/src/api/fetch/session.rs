//! Fetch sessions (KIP-227): what a client reads is remembered, so that each further
//! Fetch names only what changed, and is answered only with what has news.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::ErrorCode;
use protocol::api::fetch::{FetchPartition, FetchRequest};
use uuid::Uuid;

/// The most partitions that one fetch may name.
const PARTITIONS_MAX: usize = 100_000;
/// The most partitions that all sessions remember together.
const REMEMBERED_MAX: usize = 1_000_000;
/// A session that was silent for so long makes room for another.
const STALE_AFTER_MS: i64 = 120_000;

/// A topic as the request names it: by name below version 13, by id from there on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum TopicKey {
    Name(Arc<str>),
    Id(Uuid),
}

/// One partition to read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    pub(super) topic: TopicKey,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) max_bytes: i32,
    pub(super) leader_epoch: i32,
    /// What the client was told last: high watermark and log start; none before the
    /// first answer.
    told: Option<(i64, i64)>,
}

/// The sessions of all clients.
#[derive(Debug)]
pub(crate) struct Sessions {
    slots: usize,
    state: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    by_id: HashMap<i32, Cached>,
    /// Ids by when they were used last.
    by_use: BTreeMap<u64, i32>,
    uses: u64,
    /// Partitions of all sessions, as of their last use.
    remembered: usize,
}

#[derive(Debug)]
struct Cached {
    used: u64,
    used_ms: i64,
    partitions: usize,
    session: Arc<Mutex<Session>>,
}

/// What one client reads.
#[derive(Debug, Default)]
pub(super) struct Session {
    next_epoch: i32,
    ids: bool,
    places: HashMap<(TopicKey, i32), usize>,
    wanted: Vec<Wanted>,
    /// Where the next answer begins, so that no partition starves behind a busy one.
    first: usize,
}

/// A Fetch after its session was looked up.
pub(super) struct Begun {
    pub(super) wanted: Vec<Wanted>,
    /// The session's id and state; none for a fetch without one.
    pub(super) session: Option<(i32, Arc<Mutex<Session>>)>,
    /// Whether only news are told.
    pub(super) incremental: bool,
}

impl Sessions {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots,
            state: Mutex::default(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.state.lock().by_id.len()
    }

    /// Looks up or makes the request's session and brings it up to date.
    pub(super) fn begin(
        &self,
        request: &FetchRequest,
        version: i16,
        now_ms: i64,
    ) -> Result<Begun, ErrorCode> {
        let ids = version >= 13;
        let named: usize = request.topics.iter().map(|t| t.partitions.len()).sum();
        if named > PARTITIONS_MAX {
            return Err(ErrorCode::InvalidRequest);
        }
        if request.session_epoch <= 0 {
            return Ok(self.begin_anew(request, ids, now_ms));
        }
        let id = request.session_id;
        let session = self
            .state
            .lock()
            .touch(id, now_ms)
            .ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let mut state = session.lock();
        if state.ids != ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        if state.next_epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        state.next_epoch = match request.session_epoch {
            i32::MAX => 1,
            epoch => epoch + 1,
        };
        state.update(request);
        let (wanted, partitions) = (state.in_turn(), state.wanted.len());
        drop(state);
        let kept = partitions > 0 && self.state.lock().resize(id, partitions);
        Ok(Begun {
            wanted,
            session: kept.then_some((id, session)),
            incremental: true,
        })
    }

    /// A fetch that names all it reads; with epoch 0 it asks for a session.
    fn begin_anew(&self, request: &FetchRequest, ids: bool, now_ms: i64) -> Begun {
        if request.session_id != 0 {
            self.state.lock().remove(request.session_id);
        }
        let mut session = Session {
            ids,
            next_epoch: 1,
            ..Session::default()
        };
        session.update(request);
        let wanted = session.wanted.clone();
        let asked = request.session_epoch == 0 && !wanted.is_empty();
        let session = asked
            .then(|| self.state.lock().insert(session, self.slots, now_ms))
            .flatten();
        Begun {
            wanted,
            session,
            incremental: false,
        }
    }
}

impl Cache {
    /// Keeps a session if there is room or a stale one to make some; a live one is never
    /// thrown out, or clients would throw out one another for ever.
    fn insert(
        &mut self,
        session: Session,
        slots: usize,
        now_ms: i64,
    ) -> Option<(i32, Arc<Mutex<Session>>)> {
        let partitions = session.wanted.len();
        while self.by_id.len() >= slots || self.remembered + partitions > REMEMBERED_MAX {
            let (_, &oldest) = self.by_use.first_key_value()?;
            if now_ms - self.by_id.get(&oldest)?.used_ms < STALE_AFTER_MS {
                return None;
            }
            self.remove(oldest);
        }
        let id = self.unused_id();
        self.uses += 1;
        let session = Arc::new(Mutex::new(session));
        self.by_use.insert(self.uses, id);
        self.by_id.insert(
            id,
            Cached {
                used: self.uses,
                used_ms: now_ms,
                partitions,
                session: Arc::clone(&session),
            },
        );
        self.remembered += partitions;
        Some((id, session))
    }

    /// Random, so that a session of the broker's last run is not taken for one of this.
    fn unused_id(&self) -> i32 {
        loop {
            let id = uuid::Uuid::new_v4().as_fields().0 as i32 & i32::MAX;
            if id != 0 && !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    fn touch(&mut self, id: i32, now_ms: i64) -> Option<Arc<Mutex<Session>>> {
        let cached = self.by_id.get_mut(&id)?;
        self.uses += 1;
        self.by_use.remove(&cached.used);
        cached.used = self.uses;
        cached.used_ms = now_ms;
        self.by_use.insert(self.uses, id);
        Some(Arc::clone(&cached.session))
    }

    /// Notes how many partitions a session has now; false, and it is gone, if that is more
    /// than there is room for.
    fn resize(&mut self, id: i32, partitions: usize) -> bool {
        let Some(cached) = self.by_id.get_mut(&id) else {
            return false;
        };
        self.remembered = self.remembered + partitions - cached.partitions;
        cached.partitions = partitions;
        let fits = partitions <= PARTITIONS_MAX && self.remembered <= REMEMBERED_MAX;
        if !fits {
            self.remove(id);
        }
        fits
    }

    fn remove(&mut self, id: i32) {
        if let Some(cached) = self.by_id.remove(&id) {
            self.by_use.remove(&cached.used);
            self.remembered -= cached.partitions;
        }
    }
}

impl Session {
    /// Takes in what the request adds, changes and forgets.
    fn update(&mut self, request: &FetchRequest) {
        for topic in &request.topics {
            let key = self.key(&topic.topic, topic.topic_id);
            for partition in &topic.partitions {
                self.want(&key, partition);
            }
        }
        for topic in &request.forgotten_topics_data {
            let key = self.key(&topic.topic, topic.topic_id);
            for &partition in &topic.partitions {
                self.forget(&(key.clone(), partition));
            }
        }
    }

    /// Copies the name, as it would keep the request's whole frame alive.
    fn key(&self, name: &str, id: Uuid) -> TopicKey {
        if self.ids {
            TopicKey::Id(id)
        } else {
            TopicKey::Name(name.into())
        }
    }

    fn want(&mut self, topic: &TopicKey, asked: &FetchPartition) {
        let wanted = Wanted {
            topic: topic.clone(),
            partition: asked.partition,
            offset: asked.fetch_offset,
            max_bytes: asked.partition_max_bytes,
            leader_epoch: asked.current_leader_epoch,
            told: None,
        };
        match self.places.get(&(topic.clone(), asked.partition)) {
            Some(&place) => {
                let told = self.wanted[place].told;
                self.wanted[place] = Wanted { told, ..wanted };
            }
            None => {
                let place = self.wanted.len();
                self.places.insert((topic.clone(), asked.partition), place);
                self.wanted.push(wanted);
            }
        }
    }

    fn forget(&mut self, key: &(TopicKey, i32)) {
        let Some(place) = self.places.remove(key) else {
            return;
        };
        self.wanted.swap_remove(place);
        if let Some(moved) = self.wanted.get(place) {
            self.places
                .insert((moved.topic.clone(), moved.partition), place);
        }
    }

    fn in_turn(&self) -> Vec<Wanted> {
        let first = if self.wanted.is_empty() {
            0
        } else {
            self.first % self.wanted.len()
        };
        let (head, tail) = self.wanted.split_at(first);
        [tail, head].concat()
    }

    /// Notes what a partition's answer says; true if that is news to the client.
    pub(super) fn tell(&mut self, wanted: &Wanted, now: Told) -> bool {
        let Some(&place) = self.places.get(&(wanted.topic.clone(), wanted.partition)) else {
            return true;
        };
        if now.has_records {
            self.first = place + 1;
        }
        let told = (now.high_watermark, now.log_start);
        let before = self.wanted[place].told.replace(told);
        if now.failed {
            // An error is told until it has passed.
            self.wanted[place].told = None;
        }
        now.has_records || now.failed || before != Some(told)
    }
}

/// What an answer says of one partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) high_watermark: i64,
    pub(super) log_start: i64,
    pub(super) has_records: bool,
    pub(super) failed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::api::fetch::{FetchTopic, ForgottenTopic};

    fn request(session: (i32, i32), partitions: &[(i32, i64)]) -> FetchRequest {
        FetchRequest {
            session_id: session.0,
            session_epoch: session.1,
            topics: vec![FetchTopic {
                topic: "t".into(),
                partitions: partitions
                    .iter()
                    .map(|&(partition, fetch_offset)| FetchPartition {
                        partition,
                        fetch_offset,
                        ..Default::default()
                    })
                    .collect(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn offsets(begun: &Begun) -> Vec<(i32, i64)> {
        begun
            .wanted
            .iter()
            .map(|w| (w.partition, w.offset))
            .collect()
    }

    fn opened(sessions: &Sessions, now_ms: i64) -> Option<i32> {
        let begun = sessions.begin(&request((0, 0), &[(0, 0)]), 12, now_ms);
        begun.unwrap().session.map(|(id, _)| id)
    }

    #[test]
    fn a_session_remembers_what_is_not_named_again() {
        let sessions = Sessions::new(2);
        let first = request((0, 0), &[(0, 5), (1, 6)]);
        let begun = sessions.begin(&first, 12, 0).unwrap();
        assert!(!begun.incremental);
        let (id, _) = begun.session.unwrap();
        let mut next = request((id, 1), &[(1, 9)]);
        let begun = sessions.begin(&next, 12, 0).unwrap();
        assert_eq!(offsets(&begun), [(0, 5), (1, 9)]);
        next.session_epoch = 2;
        next.topics.clear();
        let forgotten = |partitions| {
            vec![ForgottenTopic {
                topic: "t".into(),
                partitions,
                ..Default::default()
            }]
        };
        next.forgotten_topics_data = forgotten(vec![0]);
        assert_eq!(offsets(&sessions.begin(&next, 12, 0).unwrap()), [(1, 9)]);
        next.session_epoch = 3;
        next.forgotten_topics_data = forgotten(vec![1]);
        let emptied = sessions.begin(&next, 12, 0).unwrap();
        assert!(emptied.session.is_none(), "a session of nothing is closed");
    }

    #[test]
    fn wrong_epochs_unknown_ids_and_mixed_topic_ids_are_told() {
        let sessions = Sessions::new(2);
        let begin = |session, version| {
            let begun = sessions.begin(&request(session, &[(0, 0)]), version, 0);
            begun.map(|_| ())
        };
        assert_eq!(begin((3, 1), 12), Err(ErrorCode::FetchSessionIdNotFound));
        let id = opened(&sessions, 0).unwrap();
        assert_eq!(begin((id, 2), 12), Err(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(begin((id, 1), 13), Err(ErrorCode::FetchSessionTopicIdError));
        begin((id, 1), 12).unwrap();
        begin((id, -1), 12).unwrap();
        assert_eq!(begin((id, 2), 12), Err(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn only_a_stale_session_makes_room() {
        let sessions = Sessions::new(2);
        let (first, second) = (opened(&sessions, 0), opened(&sessions, 0));
        assert_eq!(opened(&sessions, 0), None);
        let touched = request((first.unwrap(), 1), &[]);
        sessions.begin(&touched, 12, STALE_AFTER_MS).unwrap();
        assert!(opened(&sessions, STALE_AFTER_MS).is_some());
        let gone = request((second.unwrap(), 1), &[]);
        assert!(sessions.begin(&gone, 12, STALE_AFTER_MS).is_err());
        assert_eq!(opened(&sessions, STALE_AFTER_MS), None);
    }

    #[test]
    fn only_news_are_told() {
        let sessions = Sessions::new(1);
        let begun = sessions.begin(&request((0, 0), &[(0, 0)]), 12, 0).unwrap();
        let (_, session) = begun.session.unwrap();
        let mut session = session.lock();
        let wanted = &begun.wanted[0];
        let quiet = Told {
            high_watermark: 3,
            log_start: 0,
            has_records: false,
            failed: false,
        };
        assert!(session.tell(wanted, quiet), "the first answer is news");
        assert!(!session.tell(wanted, quiet));
        let failed = Told {
            failed: true,
            ..quiet
        };
        assert!(session.tell(wanted, failed));
        assert!(
            session.tell(wanted, quiet),
            "that an error has passed is news"
        );
        let moved = Told {
            high_watermark: 4,
            ..quiet
        };
        assert!(session.tell(wanted, moved));
    }
}
