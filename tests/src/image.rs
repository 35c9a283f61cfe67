//! File systems of a test's own: memory with a limit, and ext4 in an image in memory, which can be
//! copied as it stands, as a power cut would leave it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guard::Guard;
use crate::skip;

/// Whether file systems can be mounted here. Where not, the test is skipped.
pub fn can_mount() -> bool {
    if !rustix::process::geteuid().is_root() {
        skip("it mounts file systems, which needs root");
        return false;
    }
    let tried =
        tempfile::tempdir().and_then(|folder| Disk::new(folder.path(), 4 << 20, 8 << 20).map(drop));
    if let Err(error) = &tried {
        skip(&format!("it mounts an image: {error}"));
    }
    tried.is_ok()
}

/// An ext4 in an image in memory.
#[derive(Debug)]
pub struct Disk {
    // Unmounted in this order.
    mount: Option<Mount>,
    /// What holds the image, and sets its limit.
    pub memory: Mount,
    folder: PathBuf,
    image: PathBuf,
    images: usize,
}

impl Disk {
    /// An empty one of `image_bytes` in memory of `memory_bytes`, mounted in `folder`.
    pub fn new(folder: &Path, image_bytes: u64, memory_bytes: u64) -> io::Result<Self> {
        let memory = Mount::memory(&folder.join("memory"), memory_bytes)?;
        let image = memory.path().join("image-0");
        fs::File::create(&image)?.set_len(image_bytes)?;
        run(Command::new("mkfs.ext4").arg("-q").arg("-F").arg(&image))?;
        let mut disk = Self {
            mount: None,
            memory,
            folder: folder.to_owned(),
            image,
            images: 1,
        };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// Unmounts it, and mounts it again.
    pub fn remount(&mut self) -> io::Result<()> {
        self.mount = None;
        self.mount()
    }

    /// The image as it stands, as if the power had gone now; [`Self::restore`] takes it.
    pub fn copy_as_it_stands(&mut self) -> io::Result<PathBuf> {
        let copy = self.memory.path().join(format!("image-{}", self.images));
        self.images += 1;
        copy_as_it_stands(&self.image, &copy)?;
        Ok(copy)
    }

    /// Goes on with a copy, in place of what was there.
    pub fn restore(&mut self, copy: PathBuf) -> io::Result<()> {
        self.mount = None;
        fs::remove_file(&self.image)?;
        self.image = copy;
        self.mount()
    }

    /// The journal commits when it is told to, and not by the clock.
    fn mount(&mut self) -> io::Result<()> {
        let image = self.image.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        let arguments = ["-t", "ext4", "-o", "loop,commit=300", image];
        self.mount = Some(Mount::new(&self.path(), &arguments)?);
        Ok(())
    }
}

/// A mounted file system; unmounted when dropped, and also when this process is killed.
#[derive(Debug)]
pub struct Mount {
    at: PathBuf,
    guard: Guard,
}

impl Mount {
    /// Memory of at most `bytes`.
    pub fn memory(at: &Path, bytes: u64) -> io::Result<Self> {
        let size = format!("size={bytes}");
        Self::new(at, &["-t", "tmpfs", "-o", &size, "tmpfs"])
    }

    fn new(at: &Path, arguments: &[&str]) -> io::Result<Self> {
        fs::create_dir_all(at)?;
        run(Command::new("mount").args(arguments).arg(at))?;
        let umount = [OsStr::new("umount"), OsStr::new("--lazy"), at.as_os_str()];
        match Guard::new(umount) {
            Ok(guard) => Ok(Self {
                at: at.to_owned(),
                guard,
            }),
            Err(error) => {
                let _ = run(Command::new("umount").arg(at));
                Err(error)
            }
        }
    }

    /// Gives memory another limit.
    pub fn resize_memory(&self, bytes: u64) -> io::Result<()> {
        let size = format!("remount,size={bytes}");
        run(Command::new("mount").args(["-o", &size]).arg(&self.at))
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = run(Command::new("umount").arg(&self.at));
        if unmounted.is_err() {
            // A process still has a file open: gone when that is closed.
            self.guard.fire();
        }
    }
}
/// Copies an image as it stands, while it is mounted. The copy is of one moment: it is taken again
/// if the file system wrote meanwhile.
fn copy_as_it_stands(image: &Path, to: &Path) -> io::Result<()> {
    const TRIES: usize = 20;
    let mut copy = fs::read(image)?;
    for _ in 0..TRIES {
        let again = fs::read(image)?;
        if again == copy {
            return write_sparse(to, &copy);
        }
        copy = again;
    }
    Err(io::Error::other("the image does not come to rest"))
}

fn write_sparse(to: &Path, bytes: &[u8]) -> io::Result<()> {
    const BLOCK: usize = 4096;
    let file = fs::File::create(to)?;
    file.set_len(bytes.len() as u64)?;
    for (block, at) in bytes.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
        if block.iter().any(|byte| *byte != 0) {
            file.write_all_at(block, at)?;
        }
    }
    Ok(())
}

fn run(command: &mut Command) -> io::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{program}: {said}")))
}
