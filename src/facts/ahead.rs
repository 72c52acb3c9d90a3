//! Reading ahead: with many files to read in order, a second thread reads the later ones while the first are parsed.
//!
//! Opening and reading a small file takes about twice as long as parsing it. So the reader does the first quarter by
//! itself, and finds the rest read when it comes there: both threads are then done at about the same time, and neither
//! waits for the other on the way.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

use super::disk::Disk;
use crate::tree::Files;

/// The fewest files for which a thread is worth its start.
pub(super) const FEWEST: usize = 128;

/// Files handed over at once.
const CHUNK: usize = 16;

/// The most bytes that are read ahead in all; the reader reads the rest by itself.
const MOST: usize = 16 * 1024 * 1024;

/// A thread needs little more than room for paths.
const STACK: usize = 128 * 1024;

type Content = io::Result<Arc<[u8]>>;

/// Files that are being read ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    paths: Arc<[PathBuf]>,
    /// The next of them that nobody asked for.
    next: usize,
    chunks: Receiver<Vec<Content>>,
    chunk: std::vec::IntoIter<Content>,
}

impl Ahead {
    /// Begins to read `count` files under a root; `None` where there are too few of them or no second processor.
    pub(super) fn begin(
        root: Option<&Path>,
        count: usize,
        paths: &mut dyn Iterator<Item = &Path>,
    ) -> Option<Self> {
        if count < FEWEST || rustix::thread::sched_getaffinity(None).is_ok_and(|cpus| cpus.count() < 2) {
            return None;
        }
        let paths: Arc<[PathBuf]> = paths.skip(count / 4).map(Path::to_owned).collect();
        let (sender, chunks) = sync_channel(paths.len() / CHUNK + 1);
        let disk_root = root.unwrap_or(Path::new("/")).to_owned();
        let own = Arc::clone(&paths);
        // Without a thread, everything is read when it is asked for.
        Builder::new().stack_size(STACK).spawn(move || read(&Disk::new(&disk_root), &own, &sender)).ok()?;
        Some(Self { paths, next: 0, chunks, chunk: Vec::new().into_iter() })
    }

    /// Returns the content of `path` if it is the next of the files; `None` where it has to be read now.
    pub(super) fn take(&mut self, path: &Path) -> Option<Content> {
        if self.paths.get(self.next)?.as_os_str() != path.as_os_str() {
            return None;
        }
        self.next += 1;
        loop {
            if let Some(content) = self.chunk.next() {
                return Some(content);
            }
            // An error says that the thread has ended: it read as much as it may.
            self.chunk = self.chunks.recv().ok()?.into_iter();
        }
    }
}

fn read(disk: &Disk, paths: &[PathBuf], sender: &SyncSender<Vec<Content>>) {
    let mut total = 0;
    for chunk in paths.chunks(CHUNK) {
        let contents: Vec<Content> = chunk.iter().map(|path| disk.read(path)).collect();
        total += contents.iter().flatten().map(|content| content.len()).sum::<usize>();
        if sender.send(contents).is_err() || total > MOST {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Files of this many times four bytes under a directory, the last of them a missing one.
    fn files(dir: &Path, count: usize, size: usize) -> Vec<PathBuf> {
        let path = |number: usize| dir.join(format!("{number:04}"));
        for number in 0..count - 1 {
            std::fs::write(path(number), format!("{number:04}").repeat(size)).unwrap();
        }
        (0..count).map(path).collect()
    }

    fn begin(paths: &[PathBuf]) -> Option<Ahead> {
        Ahead::begin(None, paths.len(), &mut paths.iter().map(PathBuf::as_path))
    }

    #[test]
    fn what_is_read_ahead_is_what_the_disk_has_errors_too() {
        let dir = tempfile::tempdir().unwrap();
        let paths = files(dir.path(), 600, 2);
        let disk = Disk::new(Path::new("/"));
        let mut ahead = begin(&paths).unwrap();
        let mut taken = 0;
        for (number, path) in paths.iter().enumerate() {
            // Files that are included by one of these come in between.
            assert!(ahead.take(dir.path()).is_none());
            let content = ahead.take(path);
            taken += usize::from(content.is_some());
            assert_eq!(content.is_some(), number >= 150, "{number}");
            match (content, disk.read(path)) {
                (Some(Ok(ahead)), Ok(now)) => assert_eq!(ahead, now),
                (Some(Err(ahead)), Err(now)) => assert_eq!(ahead.kind(), now.kind()),
                (None, _) => {}
                (ahead, now) => panic!("{ahead:?} and {now:?}"),
            }
        }
        assert_eq!(taken, 450);
        assert!(ahead.take(&paths[599]).is_none(), "each is given once");
    }

    #[test]
    fn few_files_start_no_thread_and_large_ones_are_not_hoarded() {
        let dir = tempfile::tempdir().unwrap();
        assert!(begin(&files(dir.path(), FEWEST - 1, 1)).is_none());
        let paths = files(dir.path(), 600, 1 << 14);
        let mut ahead = begin(&paths).unwrap();
        let taken = paths.iter().filter(|path| ahead.take(path).is_some()).count();
        assert_eq!(
            taken,
            17 * CHUNK,
            "of 64 KiB each: the 16 MiB of the first 16 chunks are not more than the limit"
        );
    }
}
