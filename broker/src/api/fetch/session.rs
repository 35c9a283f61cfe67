//! Fetch sessions (KIP-227): what a client reads is remembered, so that each further
//! Fetch names only what changed, and is answered only with what has news.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use protocol::ErrorCode;
use protocol::api::fetch::{FetchPartition, FetchRequest};
use uuid::Uuid;

/// The most partitions that one session remembers; a client that reads more does
/// without a session.
const PARTITIONS_MAX: usize = 100_000;

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
    by_id: HashMap<i32, (u64, Arc<Mutex<Session>>)>,
    /// Ids by when they were used last.
    by_use: BTreeMap<u64, i32>,
    uses: u64,
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

    /// Looks up or makes the request's session and brings it up to date. `fresh_id` is a
    /// random number that a new session may have.
    pub(super) fn begin(
        &self,
        request: &FetchRequest,
        version: i16,
        fresh_id: i32,
    ) -> Result<Begun, ErrorCode> {
        let ids = version >= 13;
        let mut cache = self.state.lock();
        if request.session_epoch <= 0 {
            cache.remove(request.session_id);
            let mut session = Session {
                ids,
                ..Session::default()
            };
            session.update(request);
            let wanted = session.wanted.clone();
            let kept = request.session_epoch == 0
                && !wanted.is_empty()
                && wanted.len() <= PARTITIONS_MAX
                && self.slots > 0;
            let session = kept.then(|| {
                session.next_epoch = 1;
                let id = cache.unused_id(fresh_id);
                let session = Arc::new(Mutex::new(session));
                cache.insert(id, &session, self.slots);
                (id, session)
            });
            return Ok(Begun {
                wanted,
                session,
                incremental: false,
            });
        }
        let id = request.session_id;
        let session = cache.touch(id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        drop(cache);
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
        if state.wanted.len() > PARTITIONS_MAX {
            drop(state);
            self.state.lock().remove(id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        let wanted = state.in_turn();
        drop(state);
        Ok(Begun {
            wanted,
            session: Some((id, session)),
            incremental: true,
        })
    }
}

impl Cache {
    fn unused_id(&self, fresh: i32) -> i32 {
        let mut id = (fresh & i32::MAX).max(1);
        while self.by_id.contains_key(&id) {
            id = (id.wrapping_add(1) & i32::MAX).max(1);
        }
        id
    }

    fn insert(&mut self, id: i32, session: &Arc<Mutex<Session>>, slots: usize) {
        while self.by_id.len() >= slots {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            self.by_id.remove(&oldest);
        }
        self.uses += 1;
        self.by_use.insert(self.uses, id);
        self.by_id.insert(id, (self.uses, Arc::clone(session)));
    }

    fn touch(&mut self, id: i32) -> Option<Arc<Mutex<Session>>> {
        let (used, session) = self.by_id.get_mut(&id)?;
        self.uses += 1;
        self.by_use.remove(used);
        *used = self.uses;
        self.by_use.insert(self.uses, id);
        Some(Arc::clone(session))
    }

    fn remove(&mut self, id: i32) {
        if let Some((used, _)) = self.by_id.remove(&id) {
            self.by_use.remove(&used);
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

    #[test]
    fn a_session_remembers_what_is_not_named_again() {
        let sessions = Sessions::new(2);
        let begun = sessions
            .begin(&request((0, 0), &[(0, 5), (1, 6)]), 12, 7)
            .unwrap();
        let (id, _) = begun.session.clone().unwrap();
        assert_eq!((id, begun.incremental), (7, false));
        let mut next = request((7, 1), &[(1, 9)]);
        let begun = sessions.begin(&next, 12, 0).unwrap();
        assert_eq!(offsets(&begun), [(0, 5), (1, 9)]);
        next.session_epoch = 2;
        next.topics.clear();
        next.forgotten_topics_data = vec![ForgottenTopic {
            topic: "t".into(),
            partitions: vec![0],
            ..Default::default()
        }];
        assert_eq!(offsets(&sessions.begin(&next, 12, 0).unwrap()), [(1, 9)]);
    }

    #[test]
    fn wrong_epochs_unknown_ids_and_mixed_topic_ids_are_told() {
        let sessions = Sessions::new(2);
        let begin = |session, version| {
            sessions
                .begin(&request(session, &[(0, 0)]), version, 7)
                .map(|_| ())
        };
        assert_eq!(begin((3, 1), 12), Err(ErrorCode::FetchSessionIdNotFound));
        begin((0, 0), 12).unwrap();
        assert_eq!(begin((7, 2), 12), Err(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(begin((7, 1), 13), Err(ErrorCode::FetchSessionTopicIdError));
        begin((7, 1), 12).unwrap();
        begin((7, -1), 12).unwrap();
        assert_eq!(begin((7, 2), 12), Err(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn the_session_used_longest_ago_makes_room() {
        let sessions = Sessions::new(2);
        for id in [1, 2] {
            sessions.begin(&request((0, 0), &[(0, 0)]), 12, id).unwrap();
        }
        sessions.begin(&request((1, 1), &[]), 12, 0).unwrap();
        sessions.begin(&request((0, 0), &[(0, 0)]), 12, 3).unwrap();
        assert_eq!(sessions.count(), 2);
        assert!(sessions.begin(&request((2, 1), &[]), 12, 0).is_err());
        assert!(sessions.begin(&request((1, 2), &[]), 12, 0).is_ok());
    }

    #[test]
    fn only_news_are_told() {
        let sessions = Sessions::new(1);
        let begun = sessions.begin(&request((0, 0), &[(0, 0)]), 12, 7).unwrap();
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
