// SPDX-License-Identifier: MIT

//! Threads for calls.

use crate::error::check;
use crate::{sys, Field, Result};
use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_void;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Threads for calls; see `pool.h`.  Results have the same bits with any pool, and with none.
pub struct Pool {
    raw: *mut sys::fghm_pool,
    /// From a box, which C points at; NULL for a pool with threads of its own.
    run: *mut Run,
}

type Run = Box<dyn Fn(&Tasks<'_>) + Send + Sync>;

// SAFETY: the manual lets calls on many threads share a pool: who finds it busy works alone.  Its
// function, if it has one, can be shared, too.  It may be destroyed on any thread.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// Threads of its own, the calling one included; 0: one for each processor.
    pub fn new(threads: usize) -> Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: a place for the handle.
        check(unsafe { sys::fghm_pool_create(&mut raw, threads) }, Field::NONE)?;
        Ok(Self { raw, run: ptr::null_mut() })
    }

    /// Threads of the caller's: `run` runs the tasks of a call, on any threads.
    ///
    /// ```
    /// use focalghm::{Arrays, Focal, Pool};
    /// use rayon::prelude::*;
    ///
    /// let pool = Pool::with_run(rayon::current_num_threads(), |tasks| {
    ///     (0..tasks.len()).into_par_iter().for_each(|index| tasks.run(index));
    /// })?;
    /// let (logits, targets) = (vec![0.5f32; 100_000], vec![1.0; 100_000]);
    /// let arrays = Arrays { pool: Some(&pool), ..Arrays::default() };
    /// assert!(Focal::new()?.compute(&logits, &targets, arrays)? > 0.0);
    /// # Ok::<(), focalghm::Error>(())
    /// ```
    ///
    /// Tasks that it leaves out run when it returns, or panics, on the calling thread; a panic
    /// then goes on from the call that has used the pool.
    pub fn with_run(
        threads: usize, run: impl Fn(&Tasks<'_>) + Send + Sync + 'static,
    ) -> Result<Self> {
        let mut pool = Self { raw: ptr::null_mut(), run: Box::into_raw(Box::new(Box::new(run))) };
        // SAFETY: a place for the handle; the function lives as long as the pool.
        let status = unsafe {
            sys::fghm_pool_create_from(&mut pool.raw, threads, Some(run_tasks), pool.run.cast())
        };
        check(status, Field::NONE)?;
        Ok(pool)
    }

    /// The handle of C, which stays this one's.
    pub fn as_ptr(&self) -> *mut sys::fghm_pool {
        self.raw
    }

    /// How many threads work on a call, the calling one included.
    pub fn threads(&self) -> Result<usize> {
        let mut threads = 0;
        // SAFETY: a handle, and a place for the number.
        check(unsafe { sys::fghm_pool_get_threads(self.raw, &mut threads) }, Field::NONE)?;
        Ok(threads)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: its own handle; no call is using a pool that can be dropped.
        unsafe { sys::fghm_pool_destroy(self.raw) };
        if !self.run.is_null() {
            // SAFETY: it is from a box, and nobody calls it any more.
            drop(unsafe { Box::from_raw(self.run) });
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("raw", &self.raw).finish_non_exhaustive()
    }
}

/// The tasks of one call, each to be run once.
#[derive(Debug)]
pub struct Tasks<'a> {
    task: unsafe extern "C" fn(*mut c_void, usize),
    context: *mut c_void,
    taken: &'a [AtomicBool],
}

// SAFETY: by the manual any threads may run tasks at the same time.
unsafe impl Send for Tasks<'_> {}
// SAFETY: as above; no task runs twice.
unsafe impl Sync for Tasks<'_> {}

impl Tasks<'_> {
    /// How many tasks there are, at least 2.
    #[allow(clippy::len_without_is_empty)] // it never is
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Runs one task, from 0 to `len()`; does nothing if that has been run.
    ///
    /// # Panics
    /// There is no such task.
    pub fn run(&self, index: usize) {
        if !self.taken[index].swap(true, Ordering::Relaxed) {
            // SAFETY: each task runs once, and while C waits for it: nobody can keep `self`, which
            // is borrowed for the run function.
            unsafe { (self.task)(self.context, index) }
        }
    }
}

thread_local! {
    /// A panic that waits for the call on this thread to return from C.
    static PANIC: RefCell<Option<Box<dyn Any + Send>>> = const { RefCell::new(None) };
}

extern "C" fn run_tasks(
    user: *mut c_void, tasks: usize, task: sys::fghm_task, context: *mut c_void,
) {
    let Some(task) = task else { return };
    let taken: Vec<AtomicBool> = (0..tasks).map(|_| AtomicBool::new(false)).collect();
    let tasks = Tasks { task, context, taken: &taken };
    // SAFETY: it is the box of the pool, which is borrowed during the call.
    let run = unsafe { &*user.cast::<Run>() };
    let ended = panic::catch_unwind(AssertUnwindSafe(|| run(&tasks)));
    for index in 0..tasks.len() {
        tasks.run(index);
    }
    if let Err(panic) = ended {
        PANIC.set(Some(panic));
    }
}

/// Makes a call with a pool, or none.
pub(crate) fn with<R>(pool: Option<&Pool>, call: impl FnOnce(*mut sys::fghm_pool) -> R) -> R {
    let Some(pool) = pool else {
        return call(ptr::null_mut());
    };
    let returned = call(pool.raw);
    if let Some(panic) = PANIC.take() {
        panic::resume_unwind(panic);
    }
    returned
}
