//! File systems of a test's own: memory with a limit, and ext4 in an image in memory, which can be
//! copied as it stands, as a power cut would leave it.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why file systems cannot be mounted here, if they cannot.
pub fn cannot_mount() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("mounting needs root".to_owned());
    }
    let tried = tempfile::tempdir().and_then(|folder| {
        let memory = Mount::memory(&folder.path().join("m"), 8 << 20)?;
        let image = memory.path().join("image");
        make_ext4(&image, 4 << 20)?;
        Mount::image(&image, &folder.path().join("i"))?;
        Ok(())
    });
    tried.err().map(|error| error.to_string())
}

/// A mounted file system; unmounted when dropped.
#[derive(Debug)]
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    /// Memory of at most `bytes`.
    pub fn memory(at: &Path, bytes: u64) -> io::Result<Self> {
        let size = format!("size={bytes}");
        Self::new(at, &["-t", "tmpfs", "-o", &size, "tmpfs"])
    }

    /// The ext4 in an image. Its journal commits when it is told to, and not by the clock.
    pub fn image(image: &Path, at: &Path) -> io::Result<Self> {
        let image = image.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        Self::new(at, &["-t", "ext4", "-o", "loop,commit=300", image])
    }

    fn new(at: &Path, arguments: &[&str]) -> io::Result<Self> {
        fs::create_dir_all(at)?;
        run(Command::new("mount").args(arguments).arg(at))?;
        Ok(Self { at: at.to_owned() })
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
            let _ = run(Command::new("umount").arg("--lazy").arg(&self.at));
        }
    }
}

/// A new image with an empty ext4.
pub fn make_ext4(image: &Path, bytes: u64) -> io::Result<()> {
    fs::File::create(image)?.set_len(bytes)?;
    run(Command::new("mkfs.ext4").arg("-q").arg("-F").arg(image))
}

/// Copies an image as it stands, while it is mounted. The copy is of one moment: it is taken again
/// if the file system wrote meanwhile.
pub fn copy_as_it_stands(image: &Path, to: &Path) -> io::Result<()> {
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
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{program}: {said}")))
}
