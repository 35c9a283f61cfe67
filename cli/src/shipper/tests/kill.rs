//! Rotations and the shipper's own steps in any order, and kills between them: every line that was written
//! comes; none comes twice where files are rotated by renaming and nothing is killed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, SystemTime};

use super::super::Saved;
use super::super::follow::{Batch, Follower};
use super::super::scan::Seen;
use super::World;

/// Numbers that a seed gives.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }
}

/// A world whose rotations and deliveries can stop half done.
struct Run {
    w: World,
    dice: Dice,
    saved: Option<Vec<Saved>>,
    seen: Option<Vec<Seen>>,
    /// Something happened since the look.
    disturbed: bool,
    under_way: VecDeque<Batch>,
    written: u64,
    killed: bool,
    clock: SystemTime,
    /// How files are rotated here, and what is left of one rotation.
    copies: bool,
    rotation: VecDeque<Step>,
    story: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The numbers of the older ones go up by one.
    Shift,
    Rename,
    Copy,
    Truncate,
}

impl Run {
    fn new(seed: u64, pattern: &str) -> Self {
        let mut w = World::with(&[pattern], |s| s.batch_lines = 3);
        w.step();
        let mut run = Self {
            w,
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            saved: None,
            seen: None,
            disturbed: false,
            under_way: VecDeque::new(),
            written: 0,
            killed: false,
            clock: SystemTime::now() - Duration::from_secs(100_000),
            copies: seed.is_multiple_of(2),
            rotation: VecDeque::new(),
            story: Vec::new(),
        };
        // A file that was never seen is nobody's rotation.
        run.append();
        run.w.scan();
        run.save();
        run
    }

    /// File systems' clocks are coarse; this one is not.
    fn touch(&mut self, name: &str) {
        self.clock += Duration::from_secs(1);
        let file = fs::File::options().append(true).open(self.w.path(name));
        file.unwrap().set_modified(self.clock).unwrap();
    }

    fn append(&mut self) {
        let mut text = String::new();
        for _ in 0..=self.dice.roll(4) {
            writeln!(text, "line {}", self.written).unwrap();
            self.written += 1;
        }
        self.w.append("a.log", text);
        self.touch("a.log");
    }

    fn rotate(&mut self) {
        if !self.w.path("a.log").exists() {
            return;
        }
        let last: &[Step] = if self.copies {
            &[Step::Copy, Step::Truncate]
        } else {
            &[Step::Rename]
        };
        self.rotation.extend([Step::Shift]);
        self.rotation.extend(last);
    }

    fn rotate_on(&mut self, step: Step) {
        match step {
            Step::Shift => {
                for n in (1..50).rev() {
                    let from = format!("a.log.{n}");
                    if self.w.path(&from).exists() {
                        self.w.rename(&from, &format!("a.log.{}", n + 1));
                    }
                }
            }
            Step::Rename => self.w.rename("a.log", "a.log.1"),
            Step::Copy => {
                self.w.copy("a.log", "a.log.1");
                self.touch("a.log.1");
            }
            Step::Truncate => {
                self.w.truncate("a.log");
                self.touch("a.log");
            }
        }
    }

    fn save(&mut self) {
        if let Some(saved) = self.w.follower.take_saved() {
            self.saved = Some(saved);
        }
    }

    fn kill(&mut self) {
        (self.killed, self.seen) = (true, None);
        self.under_way.clear();
        let settings = self.w.settings.clone();
        self.w.follower = Follower::new(settings, self.saved.clone(), self.w.now);
    }

    fn one(&mut self, kills: bool) {
        let what = self.dice.roll(if kills { 8 } else { 7 });
        // A rotation takes no lines between its copy and its truncation: these would be lost to everyone.
        let next = self.rotation.front().copied();
        // A scan is one piece: only others act between its look and what follows, and in that moment one of
        // them at most.
        let between = self.seen.is_some();
        if between && ([2, 4, 5, 6].contains(&what) || (self.disturbed && what < 2)) {
            return;
        }
        self.disturbed = between && (self.disturbed || what < 2);
        let told = match what {
            0 if matches!(next, Some(Step::Truncate)) => return,
            0 => {
                self.append();
                "append".to_owned()
            }
            1 => match self.rotation.pop_front() {
                Some(step) => {
                    self.rotate_on(step);
                    format!("{step:?}")
                }
                None => {
                    self.rotate();
                    return;
                }
            },
            2 => {
                self.seen = Some(self.w.follower.look(self.w.now));
                "look".to_owned()
            }
            3 => match self.seen.take() {
                Some(seen) => {
                    self.w.follower.follow_up(&seen, self.w.now);
                    "follow up".to_owned()
                }
                None => return,
            },
            4 if self.under_way.len() < 2 => {
                let batch = self.w.follower.read(self.w.now);
                let told = format!("read {}", batch.lines.len());
                self.under_way.push_back(batch);
                told
            }
            5 => match self.under_way.pop_front() {
                Some(batch) => {
                    self.w.ship(&batch);
                    format!("ship {}", batch.lines.len())
                }
                None => return,
            },
            6 => {
                self.save();
                "save".to_owned()
            }
            7 if self.dice.roll(3) == 0 => {
                self.kill();
                "kill".to_owned()
            }
            _ => return,
        };
        self.story.push(told);
    }

    fn finish(mut self, seed: u64) {
        while let Some(step) = self.rotation.pop_front() {
            self.rotate_on(step);
        }
        self.seen = None;
        while let Some(batch) = self.under_way.pop_front() {
            self.w.ship(&batch);
        }
        for _ in 0..5 {
            self.w.step();
            self.w.later(10);
        }
        let mut times: BTreeMap<&str, u32> = BTreeMap::new();
        for line in &self.w.lines {
            *times.entry(line).or_default() += 1;
        }
        for n in 0..self.written {
            let came = times.get(&*format!("line {n}")).copied().unwrap_or(0);
            assert!(
                came == 1 || (came > 1 && (self.killed || self.copies)),
                "SEED={seed}, {:?}: line {n} came {came} times\n{}",
                self.w.settings.patterns,
                self.story.join("\n")
            );
        }
    }
}

/// Seeds that lost a line once. 1108: a read of a file that was filled, copied and emptied since the look.
const LOST_ONCE: [u64; 1] = [1108];

/// `SEED=` runs one again, `MILENA_SEEDS=` more than usual.
fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).map(|n| n.parse().expect("seeds are numbers"));
    match number("SEED") {
        Ok(seed) => vec![seed],
        Err(_) => (0..number("MILENA_SEEDS").unwrap_or(300))
            .chain(LOST_ONCE)
            .collect(),
    }
}

#[test]
fn no_line_is_lost_or_repeated_whatever_is_rotated_between_the_steps() {
    for seed in seeds() {
        for pattern in ["a.log", "a.log*"] {
            let mut run = Run::new(seed, pattern);
            for _ in 0..120 {
                run.one(false);
            }
            run.finish(seed);
        }
    }
}

#[test]
fn no_line_is_lost_by_kills_between_the_steps() {
    for seed in seeds() {
        for pattern in ["a.log", "a.log*"] {
            let mut run = Run::new(seed, pattern);
            for _ in 0..120 {
                run.one(true);
            }
            run.finish(seed);
        }
    }
}
