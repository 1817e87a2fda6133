// SPDX-License-Identifier: MIT

//! Focal loss and the gradient harmonizing mechanism (GHM) for training on imbalanced data: loss,
//! gradient and Hessian, by the C library libfocalghm, which pkg-config has to find.
//!
//! ```
//! use focalghm::{Arrays, Focal};
//!
//! let mut focal = Focal::new()?;
//! focal.set_gamma(1.5)?.clear_alpha()?;
//! let (logits, targets) = ([2.0f32, -1.5, 0.3, -4.0], [1.0, 0.0, 1.0, 0.0]);
//! let mut gradient = [0.0; 4];
//! let loss = focal.compute(&logits, &targets, Arrays::gradient(&mut gradient))?;
//! assert!(loss > 0.0 && gradient[0] < 0.0);
//! # Ok::<(), focalghm::Error>(())
//! ```
//!
//! What is computed, which numbers are allowed and how exact results are is in the headers of the C
//! library (`focalghm/*.h`), under the same names; here is what Rust adds.
//!
//! **Handles** ([`Focal`], [`Ghm`], [`Pool`]) free what they own.  Functions that the C library
//! lets many threads call at once take `&self`, the others `&mut self`.
//!
//! **Arrays** are borrowed for a call or by a [`Batch`], never copied and never kept.  Outputs are
//! borrowed mutably, so that they overlap nothing; the C library can also write an output in
//! the place of an input, which takes [`sys`].  Types that the library does not know are
//! no arrays, and lengths are checked.
//!
//! **Errors** are [`Error`], with the fields of the C library.  No function panics, but for
//! [`Clone`] without memory, and one whose pool has panicked.

mod array;
mod batch;
mod constants;
mod error;
mod focal;
mod ghm;
mod plain;
mod pool;
mod settings;

pub use array::{Bf16, Input, Number, Output, Real, F16};
pub use batch::{Batch, Outcome};
pub use constants::*;
pub use error::{Error, Result};
pub use focal::Focal;
pub use ghm::Ghm;
pub use plain::{Arrays, ClassNumbers, Float};
pub use pool::{Pool, Tasks};

pub use focalghm_sys as sys;

use std::ffi::{c_char, CStr};

/// Text in static storage.
///
/// # Safety
/// It is, and it is not NULL.
unsafe fn text(pointer: *const c_char) -> &'static str {
    // SAFETY: by the caller.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap_or("")
}

/// The version of the library that is running.
pub fn version() -> &'static str {
    // SAFETY: static storage, by the manual.
    unsafe { text(sys::fghm_version()) }
}

/// The same as a number, 100 times the minor one and so on.
pub fn version_number() -> i32 {
    // SAFETY: no arguments.
    unsafe { sys::fghm_version_number() }
}

/// Changes when a release gives other bits for the same input.
pub fn numerics_revision() -> i32 {
    // SAFETY: no arguments.
    unsafe { sys::fghm_numerics_revision() }
}

/// The instruction set that computes.
pub fn isa_name() -> &'static str {
    // SAFETY: static storage, by the manual.
    unsafe { text(sys::fghm_isa_name()) }
}

/// What does not compile.
///
/// An array that is only read, as an output:
/// ```compile_fail,E0277
/// # use focalghm::*;
/// let gradient = [0.0f32; 2];
/// let _ = Batch::new(&[2]).gradient(&gradient);
/// ```
/// An output that is an input, too:
/// ```compile_fail,E0502
/// # use focalghm::*;
/// let mut logits = [0.0f32; 2];
/// let mut batch = Batch::new(&[2]).logits(&logits).gradient(&mut logits);
/// Focal::new().unwrap().compute_batch(&mut batch, None).unwrap();
/// ```
/// ```compile_fail,E0502
/// # use focalghm::*;
/// let mut logits = [0.0f32; 2];
/// Focal::new().unwrap().compute(&logits, &[0.0; 2], Arrays::gradient(&mut logits)).unwrap();
/// ```
/// A number of no dtype; one that outputs cannot have; two types in a plain call:
/// ```compile_fail,E0277
/// # use focalghm::*;
/// let _ = Batch::new(&[2]).targets(&[0u64; 2]);
/// ```
/// ```compile_fail,E0277
/// # use focalghm::*;
/// let _ = Batch::new(&[2]).gradient(&mut [0i32; 2]);
/// ```
/// ```compile_fail,E0308
/// # use focalghm::*;
/// let (logits, targets) = ([0.0f32; 2], [0.0f64; 2]);
/// Focal::new().unwrap().compute(&logits, &targets, Arrays::default()).unwrap();
/// ```
/// A batch after its arrays; a setter while others compute; a batch on two threads:
/// ```compile_fail,E0505
/// # use focalghm::*;
/// let logits = vec![0.0f32; 2];
/// let mut batch = Batch::new(&[2]).logits(&logits).targets(&logits);
/// drop(logits);
/// Focal::new().unwrap().compute_batch(&mut batch, None).unwrap();
/// ```
/// ```compile_fail,E0502
/// # use focalghm::*;
/// let mut focal = Focal::new().unwrap();
/// std::thread::scope(|scope| {
///     scope.spawn(|| focal.gamma());
///     focal.set_gamma(1.0).unwrap();
/// });
/// ```
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<focalghm::Batch<'_>>();
/// ```
/// A constant of another family:
/// ```compile_fail,E0308
/// # use focalghm::*;
/// Focal::new().unwrap().set_reduction(BinDivisor::ALL_BINS).unwrap();
/// ```
#[cfg(doctest)]
pub struct Refused;
