//! Writes the imported tree as a folder that the service starts on.

use std::path::{Path, PathBuf};

use disk::Disk;

use super::error::ImportError;
use crate::StorageError;
use crate::storage::{Epochs, PIECE_BYTES, SnapshotWriter};
use crate::tree::{CONFIG, NodeRecord, Tree};

/// The longest data of a znode that our files hold. Three times what ZooKeeper takes unless `jute.maxbuffer` is raised.
const DATA_BYTES_MAX: usize = 3 << 20;

/// Checks that nothing can be overwritten.
pub(super) fn check_empty<D: Disk>(disk: &D, into: &Path) -> Result<(), ImportError> {
    let on = ImportError::on(into);
    if disk.exists(into).map_err(&on)? && !disk.read_dir(into).map_err(&on)?.is_empty() {
        return Err(ImportError::NotEmpty {
            path: into.to_owned(),
        });
    }
    Ok(())
}

/// Writes it under another name, which it changes when it is whole: a service must never start on half of it.
pub(super) fn write<D: Disk>(disk: &D, tree: &Tree, into: &Path) -> Result<(), ImportError> {
    let io = |error| ImportError::from(StorageError::from(error));
    let mut temporary = into.as_os_str().to_owned();
    temporary.push(".importing");
    let temporary = PathBuf::from(temporary);
    if disk.exists(&temporary).map_err(io)? {
        // What an import left that was killed; nothing else has this name.
        disk.remove_dir_all(&temporary).map_err(io)?;
    }
    let written = write_folder(disk, tree, &temporary).and_then(|()| {
        disk.rename(&temporary, into).map_err(io)?;
        match into.parent().filter(|above| !above.as_os_str().is_empty()) {
            Some(above) => disk.sync_dir(above).map_err(io),
            None => disk.sync_dir(Path::new(".")).map_err(io),
        }
    });
    if written.is_err() {
        // Its room is given back; where that fails, too, the next import does it.
        let _ = disk.remove_dir_all(&temporary);
    }
    written
}

fn write_folder<D: Disk>(disk: &D, tree: &Tree, dir: &Path) -> Result<(), ImportError> {
    let io = |error| ImportError::from(StorageError::from(error));
    disk.create_dir_all(dir).map_err(io)?;
    Epochs::enter(disk, dir, tree.applied().epoch())?;
    let mut writer = SnapshotWriter::begin(disk, dir, tree.applied())?;
    let sessions: Vec<_> = tree.sessions().collect();
    writer.sessions(&sessions)?;
    let mut after = None;
    loop {
        let mut nodes: Vec<NodeRecord> = Vec::new();
        let mut bytes = 0;
        after = tree.walk(after.as_deref(), &mut |mut node| {
            if node.path == CONFIG {
                // The servers of the old ensemble: clients that follow them would go back there.
                node.data = Box::default();
            }
            bytes += node.path.len() + node.data.len() + 64;
            nodes.push(node);
            bytes < PIECE_BYTES
        });
        if let Some(large) = nodes.iter().find(|node| node.data.len() > DATA_BYTES_MAX) {
            return Err(ImportError::Unfit {
                what: format!("znode {:?}", large.path),
                reason: format!(
                    "it has {} bytes of data, and {DATA_BYTES_MAX} is the most; make it smaller or delete it first",
                    large.data.len()
                ),
            });
        }
        writer.nodes(&nodes)?;
        if after.is_none() {
            break;
        }
    }
    Ok(writer.finish(tree.applied())?)
}
