// SPDX-License-Identifier: MIT

//! Threads: the library's, rayon's, the standard library's; and what goes wrong in them.

use focalghm::*;
use rayon::prelude::*;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

const N: usize = 100_000;

fn inputs() -> (Vec<f64>, Vec<f64>) {
    let logits = (0..N).map(|i| (i % 113) as f64 / 9.0 - 6.0).collect();
    (logits, (0..N).map(|i| f64::from(i % 3 == 0)).collect())
}

fn loss(pool: Option<&Pool>) -> f64 {
    let (logits, targets) = inputs();
    let arrays = Arrays { pool, ..Arrays::default() };
    Focal::new().unwrap().compute(&logits, &targets, arrays).unwrap()
}

#[test]
fn own_threads() {
    assert_eq!(Pool::new(3).unwrap().threads(), Ok(3));
    assert!(Pool::new(0).unwrap().threads().unwrap() >= 1);
    let error = Pool::new(sys::FGHM_THREADS_MAX + 1).unwrap_err();
    assert_eq!(error.status(), Some(Status::RANGE));
    assert_eq!(loss(Some(&Pool::new(3).unwrap())), loss(None));
}

#[test]
fn threads_of_rayon() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let pool = Pool::with_run(2, move |tasks| {
        counted.fetch_add(1, Ordering::Relaxed);
        (0..tasks.len()).into_par_iter().for_each(|index| tasks.run(index));
    })
    .unwrap();
    assert_eq!(pool.threads(), Ok(2));
    let moved = Box::new(pool);
    assert_eq!(loss(Some(&moved)), loss(None));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(Arc::strong_count(&calls), 2);
    drop(moved);
    assert_eq!(Arc::strong_count(&calls), 1); // the function is freed with the pool
    let error = Pool::with_run(0, |_| {}).unwrap_err();
    assert_eq!(error.status(), Some(Status::RANGE));
}

#[test]
fn scoped_threads() {
    let pool = Pool::with_run(2, |tasks| {
        let middle = tasks.len() / 2;
        std::thread::scope(|scope| {
            scope.spawn(|| (middle..tasks.len()).for_each(|index| tasks.run(index)));
            (0..middle).for_each(|index| tasks.run(index));
        });
    })
    .unwrap();
    assert_eq!(loss(Some(&pool)), loss(None));
}

/// Whatever the function does, each task runs once.
#[test]
fn careless_functions() {
    let expected = loss(None);
    let nothing = Pool::with_run(2, |_| {}).unwrap();
    assert_eq!(loss(Some(&nothing)), expected);
    let twice = Pool::with_run(2, |tasks| {
        (0..tasks.len()).chain(0..tasks.len()).for_each(|index| tasks.run(index));
    })
    .unwrap();
    assert_eq!(loss(Some(&twice)), expected);
    let within = Arc::new(Pool::new(2).unwrap());
    let nested = Pool::with_run(2, move |_| assert_eq!(loss(Some(&within)), loss(None))).unwrap();
    assert_eq!(loss(Some(&nested)), expected);
}

/// A panic goes on from the call, after which the pool can be used.
#[test]
fn panics() {
    let calls = AtomicUsize::new(0);
    let pool = Pool::with_run(2, move |tasks| {
        tasks.run(0);
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            tasks.run(usize::MAX); // there is no such task
        }
    })
    .unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| loss(Some(&pool)))).unwrap_err();
    assert!(panic.downcast::<String>().unwrap().contains("index out of bounds"));
    assert_eq!(loss(Some(&pool)), loss(None));
}

#[test]
fn handles_are_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Focal>();
    shared::<Ghm>();
    shared::<Pool>();
    let (logits, targets) = inputs();
    let (focal, pool, expected) = (Focal::new().unwrap(), Pool::new(2).unwrap(), loss(None));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let arrays = Arrays { pool: Some(&pool), ..Arrays::default() };
                assert_eq!(focal.compute(&logits, &targets, arrays), Ok(expected));
            });
        }
    });
}
