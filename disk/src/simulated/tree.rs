//! The folders and files of a simulated disk, each as it is now and as it is on the medium.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Component, Path};

use super::Random;
use crate::Entry;

/// What the medium writes as a whole or not at all.
pub(super) const SECTOR: usize = 512;

const ROOT: u64 = 0;

#[derive(Default)]
pub(super) struct File {
    pub(super) current: Vec<u8>,
    /// What is on the medium; its length is the durable size.
    pub(super) durable: Vec<u8>,
    /// Sectors that the next sync writes.
    pub(super) dirty: BTreeSet<usize>,
    pub(super) size_dirty: bool,
}

impl File {
    /// Writes to the medium what `keep` says of the dirty sectors and the size; the rest is lost.
    fn settle(&mut self, mut keep: impl FnMut() -> bool) {
        if self.size_dirty && keep() {
            self.durable.resize(self.current.len(), 0);
        }
        for &sector in &self.dirty {
            let start = sector * SECTOR;
            let end = (start + SECTOR)
                .min(self.current.len())
                .min(self.durable.len());
            if start < end && keep() {
                self.durable[start..end].copy_from_slice(&self.current[start..end]);
            }
        }
        self.dirty.clear();
        self.size_dirty = false;
    }

    pub(super) fn sync(&mut self) {
        self.settle(|| true);
    }

    /// A sync that fails: what it could not write is clean all the same, and lost.
    pub(super) fn sync_in_part(&mut self, random: &mut Random) {
        self.settle(|| random.coin());
    }

    /// What a reader finds once the clean pages are dropped.
    pub(super) fn forget_clean(&mut self, from: usize) {
        let mut medium = self.durable.clone();
        medium.resize(self.current.len().max(medium.len()), 0);
        for &sector in &self.dirty {
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(self.current.len());
            if start < end {
                medium[start..end].copy_from_slice(&self.current[start..end]);
            }
        }
        medium.truncate(self.current.len());
        let from = from.min(medium.len());
        self.current[from..].copy_from_slice(&medium[from..]);
    }

    pub(super) fn write(&mut self, bytes: &[u8], position: usize) {
        let end = position + bytes.len();
        if end > self.current.len() {
            self.resize(end);
        }
        self.current[position..end].copy_from_slice(bytes);
        self.touch(position, end);
    }

    pub(super) fn resize(&mut self, len: usize) {
        let before = self.current.len();
        self.current.resize(len, 0);
        self.size_dirty = true;
        // What was cut off reads as zeros when the file grows again.
        if len > before {
            self.touch(before, len);
        }
    }

    fn touch(&mut self, from: usize, to: usize) {
        if from < to {
            self.dirty.extend(from / SECTOR..=(to - 1) / SECTOR);
        }
    }
}

enum Change {
    Link(String, u64),
    Unlink(String),
    Rename(String, String, u64),
}

#[derive(Default)]
pub(super) struct Dir {
    current: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    pending: Vec<Change>,
}

impl Dir {
    fn sync(&mut self) {
        self.durable = self.current.clone();
        self.pending.clear();
    }
}

pub(super) enum Node {
    Dir(Dir),
    File(File),
}

pub(super) struct Tree {
    nodes: HashMap<u64, Node>,
    next: u64,
    pub(super) locked: BTreeSet<u64>,
}

impl Tree {
    pub(super) fn new() -> Tree {
        Tree {
            nodes: HashMap::from([(ROOT, Node::Dir(Dir::default()))]),
            next: ROOT + 1,
            locked: BTreeSet::new(),
        }
    }

    pub(super) fn node(&self, id: u64) -> &Node {
        &self.nodes[&id]
    }

    pub(super) fn file(&mut self, id: u64) -> io::Result<&mut File> {
        match self.nodes.get_mut(&id) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn dir(&mut self, id: u64) -> io::Result<&mut Dir> {
        match self.nodes.get_mut(&id) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn bytes(&mut self) -> u64 {
        let files = self.nodes.values().map(|node| match node {
            Node::File(file) => file.current.len() as u64,
            Node::Dir(_) => 0,
        });
        files.sum()
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<u64> {
        let mut id = ROOT;
        for name in names(path) {
            let Some(Node::Dir(dir)) = self.nodes.get(&id) else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            id = *dir.current.get(name).ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
            })?;
        }
        Ok(id)
    }

    fn parent<'a>(&self, path: &'a Path) -> io::Result<(u64, &'a str)> {
        let name = names(path).last().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = path.parent().unwrap_or(Path::new(""));
        Ok((self.find(parent)?, name))
    }

    fn add(&mut self, parent: u64, name: &str, node: Node) -> io::Result<u64> {
        let id = self.next;
        self.next += 1;
        let dir = self.dir(parent)?;
        dir.current.insert(name.to_owned(), id);
        dir.pending.push(Change::Link(name.to_owned(), id));
        self.nodes.insert(id, node);
        Ok(id)
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut id = ROOT;
        for name in names(path) {
            id = match self.dir(id)?.current.get(name) {
                Some(&next) => next,
                None => self.add(id, name, Node::Dir(Dir::default()))?,
            };
        }
        self.dir(id).map(|_| ())
    }

    pub(super) fn read_dir(&mut self, path: &Path) -> io::Result<Vec<Entry>> {
        let id = self.find(path)?;
        let names: Vec<_> = self
            .dir(id)?
            .current
            .iter()
            .map(|(name, &id)| (name.clone(), id))
            .collect();
        let entries = names.into_iter().map(|(name, id)| Entry {
            name,
            is_dir: matches!(self.nodes[&id], Node::Dir(_)),
        });
        Ok(entries.collect())
    }

    pub(super) fn open(&mut self, path: &Path, create: bool) -> io::Result<u64> {
        match self.find(path) {
            Err(error) if create && error.kind() == io::ErrorKind::NotFound => {
                let (parent, name) = self.parent(path)?;
                self.add(parent, name, Node::File(File::default()))
            }
            found => {
                let id = found?;
                self.file(id).map(|_| id)
            }
        }
    }

    pub(super) fn unlink(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let dir = self.dir(parent)?;
        dir.current.remove(name);
        dir.pending.push(Change::Unlink(name.to_owned()));
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.find(from)?;
        let (old_dir, old) = self.parent(from)?;
        let (new_dir, new) = self.parent(to)?;
        if old_dir == new_dir {
            let dir = self.dir(old_dir)?;
            dir.current.remove(old);
            dir.current.insert(new.to_owned(), id);
            dir.pending
                .push(Change::Rename(old.to_owned(), new.to_owned(), id));
        } else {
            let dir = self.dir(new_dir)?;
            dir.current.insert(new.to_owned(), id);
            dir.pending.push(Change::Link(new.to_owned(), id));
            self.unlink(from)?;
        }
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let id = self.find(path)?;
        self.dir(id)?.sync();
        Ok(())
    }

    pub(super) fn sync_everything(&mut self) {
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.sync(),
                Node::Dir(dir) => dir.sync(),
            }
        }
    }

    /// What is found on the medium after a power loss.
    pub(super) fn after_crash(&mut self, random: &mut Random) -> Tree {
        let mut left = Tree::new();
        left.next = self.next;
        let mut ids: Vec<u64> = self.nodes.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let node = match &self.nodes[&id] {
                Node::File(file) => Node::File(file_after_crash(file, random)),
                Node::Dir(dir) => {
                    let names = names_after_crash(dir, random);
                    Node::Dir(Dir {
                        current: names.clone(),
                        durable: names,
                        pending: Vec::new(),
                    })
                }
            };
            left.nodes.insert(id, node);
        }
        left
    }
}

fn file_after_crash(file: &File, random: &mut Random) -> File {
    let mut medium = File {
        current: file.current.clone(),
        durable: file.durable.clone(),
        dirty: file.dirty.clone(),
        size_dirty: file.size_dirty,
    };
    // Now and then all or nothing, which coins for every sector would hardly ever give.
    match random.next() % 4 {
        0 => medium.settle(|| true),
        1 => medium.settle(|| false),
        _ => medium.settle(|| random.coin()),
    }
    medium.current = medium.durable.clone();
    medium
}

fn names_after_crash(dir: &Dir, random: &mut Random) -> BTreeMap<String, u64> {
    let mut names = dir.durable.clone();
    for change in &dir.pending {
        if random.coin() {
            continue;
        }
        match change {
            Change::Link(name, id) => {
                names.insert(name.clone(), *id);
            }
            Change::Unlink(name) => {
                names.remove(name);
            }
            Change::Rename(from, to, id) => {
                if names.get(from) == Some(id) {
                    names.remove(from);
                }
                names.insert(to.clone(), *id);
            }
        }
    }
    names
}

fn names(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}
