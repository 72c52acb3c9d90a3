//! The program's allocator: Doug Lea's, behind a lock that costs one atomic exchange.
//!
//! musl's own takes a quarter of all instructions of a run, and a mutex of the system's around this one a tenth of what is
//! left. There is one thread, and a second one only while many files are read ahead: a lock is held for some ten
//! nanoseconds, and whoever finds it taken soon gets it by looking again.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

use dlmalloc::Dlmalloc;

/// Times that a taken lock is looked at before its holder is given the processor.
const SPINS: u32 = 100;

/// The allocator and its lock.
pub(crate) struct Heap {
    taken: AtomicBool,
    blocks: UnsafeCell<Dlmalloc>,
}

// SAFETY: `blocks` is used by `locked` alone, by one thread at a time.
unsafe impl Sync for Heap {}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self { taken: AtomicBool::new(false), blocks: UnsafeCell::new(Dlmalloc::new()) }
    }

    /// Does `work` while no other thread does any. `work` may not allocate by itself, and none of those below does.
    fn locked<T>(&self, work: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        let mut tries = 0;
        while self.taken.swap(true, Ordering::Acquire) {
            tries += 1;
            if tries < SPINS {
                std::hint::spin_loop();
            } else {
                rustix::thread::sched_yield();
            }
        }
        // SAFETY: the flag was false and is true now, so no other reference exists; `work` cannot unwind, because the
        // program aborts on panic, and cannot come here again.
        let done = work(unsafe { &mut *self.blocks.get() });
        self.taken.store(false, Ordering::Release);
        done
    }
}

// SAFETY: the blocks are those of `Dlmalloc`, which keeps the trait's promises; each call is passed on as it came, and
// none at once with another.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's own promises.
        self.locked(|blocks| unsafe { blocks.malloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's own promises.
        self.locked(|blocks| unsafe { blocks.free(block, layout.size(), layout.align()) });
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's own promises.
        self.locked(|blocks| unsafe { blocks.calloc(layout.size(), layout.align()) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's own promises.
        self.locked(|blocks| unsafe { blocks.realloc(block, layout.size(), layout.align(), size) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::cast_possible_truncation)]
    fn blocks_of_two_threads_keep_what_was_written_to_them() {
        static HEAP: Heap = Heap::new();
        let work = |seed: u8| {
            let mut held: Vec<(*mut u8, Layout, u8)> = Vec::new();
            for round in 0..20_000_usize {
                let mark = (round as u8).wrapping_mul(31) ^ seed;
                let layout =
                    Layout::from_size_align(1 + round * 37 % 3000, 8).unwrap_or(Layout::new::<u64>());
                // SAFETY: each block is written within its size, and freed once with its own layout.
                unsafe {
                    let block = HEAP.alloc(layout);
                    block.write_bytes(mark, layout.size());
                    held.push((block, layout, mark));
                    if held.len() > 50 {
                        let (block, layout, mark) = held.swap_remove(round % 50);
                        for at in 0..layout.size() {
                            assert_eq!(*block.add(at), mark);
                        }
                        HEAP.dealloc(block, layout);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(move || work(1));
            work(2);
        });
    }
}
