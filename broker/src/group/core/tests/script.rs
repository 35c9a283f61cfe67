//! A shard that follows a script. Commands, one a line, go in; each comes back with what it led to
//! beneath it, in the words of `told`:
//!
//! ```text
//! join a v4 topics=t,u      JoinGroup by client `a` (answers' ids and generations are kept)
//!   options: v0|v4|v9  i=INSTANCE  p=NAME:METADATA,…  type=TYPE  id=ID  session=MS  rebalance=MS
//! sync a a=x b=y            SyncGroup with assignments, `*` to give each its own id
//!   options: gen=N  name=PROTOCOL
//! beat a                    Heartbeat                      options: gen=N  i=INSTANCE
//! leave a b i=INSTANCE      LeaveGroup
//! commit a t-0=5:metadata   OffsetCommit; `commit - t-0=5` without a group's member
//! delete-offsets t-0        delete    topic-deleted t      settle
//! +500                      time passes, deadline by deadline
//! hold / ack / fail ERROR   stop acking writes at once; end the oldest write, which a time-out
//!                           leaves in the log
//! restart                   a new shard from what was acked
//! show                      the group
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use protocol::error::ErrorCode;
use uuid::Uuid;

use super::told::{self, short};
use crate::group::core::{
    Action, CommitOffset, CommitRequest, Config, DeleteOffsetsRequest, Event, JoinRequest,
    LeaveRequest, Leaver, Now, Record, Reply, ReplyTo, Shard, SyncRequest, Token,
};

/// Runs a script against a new shard and compares all that happened.
pub(super) fn check(lines: &str, expected: &expect_test::Expect) {
    check_with(Config::default(), lines, expected);
}

pub(super) fn check_with(config: Config, lines: &str, expected: &expect_test::Expect) {
    let mut script = Script::new(config);
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let _ = writeln!(script.out, "{line}");
        script.run(line);
    }
    if !script.waiting.is_empty() {
        let _ = writeln!(
            script.out,
            "waiting: {}",
            script.waiting.into_values().collect::<Vec<_>>().join(" ")
        );
    }
    expected.assert_eq(&script.out);
}

/// What a client knows.
#[derive(Default, Clone)]
pub(super) struct Client {
    id: String,
    /// The members that it was told of as their leader.
    members: Vec<String>,
    instance: Option<String>,
    generation: i32,
}

pub(super) struct Script {
    config: Config,
    pub(super) shard: Shard,
    pub(super) now: Now,
    clients: BTreeMap<String, Client>,
    pub(super) waiting: BTreeMap<ReplyTo, String>,
    replies: u64,
    ids: u128,
    pub(super) hold: bool,
    pub(super) writes: VecDeque<(Token, Arc<[Record]>)>,
    pub(super) log: Vec<Record>,
    pub(super) out: String,
}

impl Script {
    pub(super) fn new(config: Config) -> Self {
        let now = Now {
            ticks_ms: 0,
            wall_ms: 1_000_000,
        };
        let mut shard = Shard::new(config.clone());
        shard.loaded(now);
        Self {
            config,
            shard,
            now,
            clients: BTreeMap::new(),
            waiting: BTreeMap::new(),
            replies: 0,
            ids: 0,
            hold: false,
            writes: VecDeque::new(),
            log: Vec::new(),
            out: String::new(),
        }
    }

    pub(super) fn run(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap();
        let words: Vec<&str> = words.collect();
        if let Some(ms) = command.strip_prefix('+') {
            return self.pass(ms.parse().unwrap());
        }
        match command {
            "join" => self.join(words[0], &words[1..]),
            "sync" => self.sync(words[0], &words[1..]),
            "beat" => self.beat(words[0], &words[1..]),
            "leave" => self.leave(&words),
            "commit" => self.commit(words[0], &words[1..]),
            "delete-offsets" => {
                let partitions = words.iter().map(|word| partition(word)).collect();
                let request = DeleteOffsetsRequest {
                    group: "g".into(),
                    partitions,
                };
                self.ask("delete-offsets", |to| Event::DeleteOffsets(request, to));
            }
            "delete" => self.ask("delete", |to| Event::DeleteGroup {
                group: "g".into(),
                reply_to: to,
            }),
            "settle" => self.ask("settle", |to| Event::Settle {
                group: "g".into(),
                reply_to: to,
            }),
            "topic-deleted" => self.event(Event::TopicDeleted(words[0].into())),
            "hold" => self.hold = true,
            "ack" => self.end_write(Ok(())),
            "fail" => {
                let error = (0..=133)
                    .map(ErrorCode::from)
                    .find(|error| error.name() == words[0]);
                self.end_write(Err(error.unwrap()));
            }
            "restart" => {
                self.shard = self.replayed();
                let actions = self.shard.loaded(self.now);
                self.act(actions);
            }
            "show" => self.show(),
            other => panic!("no such command: {other}"),
        }
    }

    /// What the log alone tells.
    pub(super) fn replayed(&self) -> Shard {
        let mut shard = Shard::new(self.config.clone());
        self.log
            .iter()
            .cloned()
            .for_each(|record| shard.replay(record));
        shard
    }

    fn join(&mut self, who: &str, options: &[&str]) {
        let client = self.clients.entry(who.into()).or_default();
        if let Some(instance) = option(options, "i=") {
            client.instance = Some(instance.into());
        }
        let topics = option(options, "topics=").unwrap_or("t");
        let protocols = match option(options, "p=") {
            None => vec![("range".to_owned(), subscribe(topics))],
            Some(protocols) => protocols
                .split(',')
                .map(|protocol| protocol.split_once(':').unwrap())
                .map(|(name, metadata)| {
                    (name.to_owned(), Bytes::copy_from_slice(metadata.as_bytes()))
                })
                .collect(),
        };
        self.ids += 1;
        let request = JoinRequest {
            group: "g".into(),
            member_id: option(options, "id=")
                .unwrap_or(&client.id)
                .trim_matches('-')
                .into(),
            group_instance_id: client.instance.clone(),
            client_id: who.into(),
            client_host: "/127.0.0.1".into(),
            session_timeout_ms: number(options, "session=").unwrap_or(10_000),
            rebalance_timeout_ms: number(options, "rebalance=").unwrap_or(60_000),
            protocol_type: option(options, "type=").unwrap_or("consumer").into(),
            protocols,
            member_id_required: !options.contains(&"v0"),
            can_skip_assignment: options.contains(&"v9"),
            new_id: Uuid::from_u128(self.ids),
        };
        self.ask(who, |to| Event::Join(request, to));
    }

    fn sync(&mut self, who: &str, words: &[&str]) {
        let client = self.client(who);
        let assigned = |(name, assignment): (&str, &str)| {
            (
                self.client(name).id,
                Bytes::copy_from_slice(assignment.as_bytes()),
            )
        };
        let pairs = words.iter().filter_map(|word| word.split_once('='));
        let pairs = pairs.filter(|(name, _)| !matches!(*name, "gen" | "name" | "i"));
        let mut assignments: Vec<(String, Bytes)> = pairs.map(assigned).collect();
        if words.contains(&"*") {
            let all = client.members.iter();
            assignments.extend(all.map(|id| (id.clone(), Bytes::copy_from_slice(id.as_bytes()))));
        }
        let request = SyncRequest {
            group: "g".into(),
            generation: number(words, "gen=").unwrap_or(client.generation),
            member_id: client.id,
            group_instance_id: client.instance,
            protocol_type: Some("consumer".into()),
            protocol_name: option(words, "name=").map(Into::into),
            assignments,
        };
        self.ask(who, |to| Event::Sync(request, to));
    }

    fn beat(&mut self, who: &str, words: &[&str]) {
        let client = self.client(who);
        let generation = number(words, "gen=").unwrap_or(client.generation);
        let instance = option(words, "i=").map(Into::into).or(client.instance);
        self.ask(who, |reply_to| Event::Heartbeat {
            group: "g".into(),
            generation,
            member_id: client.id,
            group_instance_id: instance,
            reply_to,
        });
    }

    fn leave(&mut self, words: &[&str]) {
        let leaver = |word: &&str| match word.strip_prefix("i=") {
            Some(instance) => Leaver {
                member_id: String::new(),
                group_instance_id: Some(instance.into()),
            },
            None => Leaver {
                member_id: self.client(word).id,
                group_instance_id: self.client(word).instance,
            },
        };
        let request = LeaveRequest {
            group: "g".into(),
            members: words.iter().map(leaver).collect(),
        };
        self.ask("leave", |to| Event::Leave(request, to));
    }

    fn commit(&mut self, who: &str, words: &[&str]) {
        let client = if who == "-" {
            Client {
                generation: -1,
                ..Client::default()
            }
        } else {
            self.client(who)
        };
        let offset = |word: &&str| {
            let (at, value) = word.split_once('=').unwrap();
            let (offset, metadata) = value.split_once(':').unwrap_or((value, ""));
            let (topic, partition) = partition(at);
            let offset = offset.parse().unwrap();
            CommitOffset {
                topic,
                partition,
                offset,
                leader_epoch: -1,
                metadata: metadata.into(),
            }
        };
        let request = CommitRequest {
            group: "g".into(),
            generation: number(words, "gen=").unwrap_or(client.generation),
            member_id: client.id,
            group_instance_id: client.instance,
            retention_ms: None,
            group_not_found: false,
            offsets: words
                .iter()
                .filter(|word| word.contains('-'))
                .map(offset)
                .collect(),
        };
        self.ask(who, |to| Event::Commit(request, to));
    }

    fn client(&self, who: &str) -> Client {
        self.clients.get(who).cloned().unwrap_or(Client {
            id: who.into(),
            generation: 1,
            ..Client::default()
        })
    }

    fn ask(&mut self, who: &str, event: impl FnOnce(ReplyTo) -> Event) {
        let to = ReplyTo(self.replies);
        self.replies += 1;
        self.waiting.insert(to, who.into());
        self.event(event(to));
    }

    pub(super) fn event(&mut self, event: Event) {
        let actions = self.shard.on(self.now, event);
        self.act(actions);
        while !self.hold && !self.writes.is_empty() {
            self.end_write(Ok(()));
        }
    }

    pub(super) fn end_write(&mut self, result: Result<(), ErrorCode>) {
        let (token, records) = self.writes.pop_front().expect("a write is under way");
        if matches!(result, Ok(()) | Err(ErrorCode::RequestTimedOut)) {
            self.log.extend(records.iter().cloned());
        }
        let actions = self.shard.on(self.now, Event::Written(token, result));
        self.act(actions);
    }

    pub(super) fn pass(&mut self, ms: i64) {
        let end_ms = self.now.ticks_ms + ms;
        while self.shard.next_deadline() <= end_ms {
            self.advance(self.shard.next_deadline());
            self.event(Event::Tick);
        }
        self.advance(end_ms);
    }

    fn advance(&mut self, to_ms: i64) {
        self.now.wall_ms += to_ms - self.now.ticks_ms;
        self.now.ticks_ms = to_ms;
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Append { token, records } => {
                    let records_told: Vec<String> = records.iter().map(told::record).collect();
                    let _ = writeln!(self.out, "    log: {}", short(&records_told.join(" ")));
                    self.writes.push_back((token, records));
                }
                Action::Reply(to, reply) => {
                    let who = self
                        .waiting
                        .remove(&to)
                        .expect("a request is answered once");
                    self.learn(&who, &reply);
                    let _ = writeln!(self.out, "    {who}: {}", short(&told::answer(&reply)));
                }
            }
        }
    }

    fn learn(&mut self, who: &str, reply: &Reply) {
        if let (Reply::Join(join), Some(client)) = (reply, self.clients.get_mut(who)) {
            match ErrorCode::from(join.error_code) {
                ErrorCode::None => {
                    client.id = join.member_id.to_string();
                    client.generation = join.generation_id;
                    client.members = join
                        .members
                        .iter()
                        .map(|member| member.member_id.to_string())
                        .collect();
                }
                ErrorCode::MemberIdRequired => client.id = join.member_id.to_string(),
                _ => {}
            }
        }
    }

    fn show(&mut self) {
        let Some(group) = self.shard.group("g") else {
            self.out.push_str("    no group\n");
            return;
        };
        let _ = write!(
            self.out,
            "    {} {}",
            group.state().name(),
            group.generation
        );
        for member in group.members() {
            let leads = if group.is_leader(&member.member_id) {
                "*"
            } else {
                ""
            };
            let assignment = String::from_utf8_lossy(&member.assignment).into_owned();
            let _ = write!(
                self.out,
                " {}{leads}={assignment}",
                short(&member.member_id)
            );
        }
        for (topic, partitions) in group.offsets() {
            for (partition, offset) in partitions {
                let _ = write!(
                    self.out,
                    " {topic}-{partition}:{}{:?}",
                    offset.offset, offset.metadata
                );
            }
        }
        self.out.push('\n');
    }
}

fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name))
}

fn number(words: &[&str], name: &str) -> Option<i32> {
    option(words, name).map(|value| value.parse().unwrap())
}

fn partition(word: &str) -> (String, i32) {
    let (topic, partition) = word.rsplit_once('-').unwrap();
    (topic.into(), partition.parse().unwrap())
}

/// A consumer's metadata that subscribes to topics, `t,u`.
pub(super) fn subscribe(topics: &str) -> Bytes {
    let topics: Vec<&str> = topics.split(',').collect();
    let mut metadata = vec![0, 1];
    metadata.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        metadata.extend((topic.len() as i16).to_be_bytes());
        metadata.extend(topic.as_bytes());
    }
    metadata.into()
}
