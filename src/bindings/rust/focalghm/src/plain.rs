// SPDX-License-Identifier: MIT

//! What calls over plain slices have in common.

use crate::array::Real;
use crate::error::{check, check_length};
use crate::{pool, sys, Field, Pool, Result};
use std::ptr;

/// The arguments of a call over elements behind its handle.
type Elements<H, T> = unsafe extern "C" fn(
    H,
    *mut sys::fghm_pool,
    usize,
    *const T,
    *const T,
    *const T,
    *mut f64,
    *mut T,
    *mut T,
    *mut T,
) -> sys::fghm_status;

mod private {
    use super::*;

    /// The functions of C for a type.
    pub trait Functions: Sized {
        const FOCAL: Elements<*const sys::fghm_focal, Self>;
        const STEP: Elements<*mut sys::fghm_ghm, Self>;
        const APPLY: Elements<*const sys::fghm_ghm, Self>;
        const SOFTMAX: unsafe extern "C" fn(
            *const sys::fghm_focal,
            *mut sys::fghm_pool,
            usize,
            usize,
            *const Self,
            *const i64,
            i64,
            *const Self,
            *mut f64,
            *mut Self,
            *mut Self,
            *mut Self,
        ) -> sys::fghm_status;
        const CALIBRATE: unsafe extern "C" fn(
            *const sys::fghm_focal,
            *mut sys::fghm_pool,
            usize,
            *const Self,
            *mut Self,
        ) -> sys::fghm_status;
        const CALIBRATE_SOFTMAX: unsafe extern "C" fn(
            *const sys::fghm_focal,
            *mut sys::fghm_pool,
            usize,
            usize,
            *const Self,
            *const f64,
            *const f64,
            *mut Self,
        ) -> sys::fghm_status;
        const COUNT: unsafe extern "C" fn(
            *const sys::fghm_ghm,
            *mut sys::fghm_pool,
            usize,
            *const Self,
            *const Self,
            *const Self,
            usize,
            *mut u64,
        ) -> sys::fghm_status;
        const DENSITY: unsafe extern "C" fn(
            *const sys::fghm_ghm,
            *mut sys::fghm_pool,
            usize,
            *const Self,
            *const Self,
            *const Self,
            *mut Self,
        ) -> sys::fghm_status;
    }
}
pub(crate) use private::Functions;

/// `f32` or `f64`: what calls over slices compute in.
pub trait Float: Real + Functions {}

macro_rules! floats {
    ($($float:ty: $focal:ident $step:ident $apply:ident $softmax:ident $calibrate:ident
       $calibrate_softmax:ident $count:ident $density:ident,)*) => {$(
        impl Functions for $float {
            const FOCAL: Elements<*const sys::fghm_focal, Self> = sys::$focal;
            const STEP: Elements<*mut sys::fghm_ghm, Self> = sys::$step;
            const APPLY: Elements<*const sys::fghm_ghm, Self> = sys::$apply;
            const SOFTMAX: unsafe extern "C" fn(
                *const sys::fghm_focal, *mut sys::fghm_pool, usize, usize, *const Self, *const i64,
                i64, *const Self, *mut f64, *mut Self, *mut Self, *mut Self,
            ) -> sys::fghm_status = sys::$softmax;
            const CALIBRATE: unsafe extern "C" fn(
                *const sys::fghm_focal, *mut sys::fghm_pool, usize, *const Self, *mut Self,
            ) -> sys::fghm_status = sys::$calibrate;
            const CALIBRATE_SOFTMAX: unsafe extern "C" fn(
                *const sys::fghm_focal, *mut sys::fghm_pool, usize, usize, *const Self, *const f64,
                *const f64, *mut Self,
            ) -> sys::fghm_status = sys::$calibrate_softmax;
            const COUNT: unsafe extern "C" fn(
                *const sys::fghm_ghm, *mut sys::fghm_pool, usize, *const Self, *const Self,
                *const Self, usize, *mut u64,
            ) -> sys::fghm_status = sys::$count;
            const DENSITY: unsafe extern "C" fn(
                *const sys::fghm_ghm, *mut sys::fghm_pool, usize, *const Self, *const Self,
                *const Self, *mut Self,
            ) -> sys::fghm_status = sys::$density;
        }
        impl Float for $float {}
    )*};
}
floats! {
    f32: fghm_focal_f32 fghm_ghm_step_f32 fghm_ghm_apply_f32 fghm_focal_softmax_f32
        fghm_focal_calibrate_f32 fghm_focal_calibrate_softmax_f32 fghm_ghm_count_f32 fghm_ghm_density_f32,
    f64: fghm_focal_f64 fghm_ghm_step_f64 fghm_ghm_apply_f64 fghm_focal_softmax_f64
        fghm_focal_calibrate_f64 fghm_focal_calibrate_softmax_f64 fghm_ghm_count_f64 fghm_ghm_density_f64,
}

/// The arrays that a call over slices need not have, and threads.
///
/// ```
/// # use focalghm::{Arrays, Focal};
/// # let (logits, targets, weights) = ([0.5f32, 1.0], [1.0f32, 0.0], [1.0f32, 2.0]);
/// let (mut gradient, mut hessian) = ([0.0; 2], [0.0; 2]);
/// Focal::new()?.compute(&logits, &targets, Arrays {
///     weights: Some(&weights),
///     gradient: Some(&mut gradient),
///     hessian: Some(&mut hessian),
///     ..Arrays::default()
/// })?;
/// # Ok::<(), focalghm::Error>(())
/// ```
#[derive(Debug)]
pub struct Arrays<'a, T> {
    /// Factors of the elements (softmax: samples); for GHM a mask.
    pub weights: Option<&'a [T]>,
    /// The loss of each element (softmax: sample), not reduced.
    pub element_loss: Option<&'a mut [T]>,
    /// d loss / d logit.
    pub gradient: Option<&'a mut [T]>,
    /// d2 loss / d logit2.
    pub hessian: Option<&'a mut [T]>,
    /// Threads to use.
    pub pool: Option<&'a Pool>,
}

impl<T> Default for Arrays<'_, T> {
    fn default() -> Self {
        Self { weights: None, element_loss: None, gradient: None, hessian: None, pool: None }
    }
}

impl<'a, T> Arrays<'a, T> {
    /// The gradient and nothing else.
    pub fn gradient(gradient: &'a mut [T]) -> Self {
        Self { gradient: Some(gradient), ..Self::default() }
    }
}

/// The start of an array that need not be there.
pub(crate) fn start<T>(field: Field, numbers: Option<&[T]>, needed: usize) -> Result<*const T> {
    numbers.map_or(Ok(ptr::null()), |numbers| {
        check_length(field, numbers.len(), needed)?;
        Ok(numbers.as_ptr())
    })
}

fn start_mut<T>(field: Field, numbers: Option<&mut [T]>, needed: usize) -> Result<*mut T> {
    numbers.map_or(Ok(ptr::null_mut()), |numbers| {
        check_length(field, numbers.len(), needed)?;
        Ok(numbers.as_mut_ptr())
    })
}

/// What the classes of softmax had in training; see `fghm_focal_calibrate_softmax_f32`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassNumbers<'a> {
    /// gamma of each class; that of the handle if there is none.
    pub gamma: Option<&'a [f64]>,
    /// A factor of each class.
    pub weights: Option<&'a [f64]>,
}

impl ClassNumbers<'_> {
    /// Both, after their lengths have been checked.
    pub(crate) fn pointers(&self, classes: usize) -> Result<(*const f64, *const f64)> {
        Ok((
            start(Field::CLASS_GAMMA, self.gamma, classes)?,
            start(Field::CLASS_WEIGHTS, self.weights, classes)?,
        ))
    }
}

/// The pointers of [`Arrays`], after their lengths have been checked.
pub(crate) struct Pointers<T> {
    pub weights: *const T,
    pub element_loss: *mut T,
    pub gradient: *mut T,
    pub hessian: *mut T,
}

impl<T> Arrays<'_, T> {
    pub(crate) fn pointers(self, elements: usize, losses: usize) -> Result<Pointers<T>> {
        Ok(Pointers {
            weights: start(Field::WEIGHTS, self.weights, losses)?,
            element_loss: start_mut(Field::ELEMENT_LOSS, self.element_loss, losses)?,
            gradient: start_mut(Field::GRADIENT, self.gradient, elements)?,
            hessian: start_mut(Field::HESSIAN, self.hessian, elements)?,
        })
    }
}

/// Makes a call over elements.
///
/// # Safety
/// The handle is one of the function's.
pub(crate) unsafe fn call<H, T: Float>(
    function: Elements<H, T>, handle: H, inputs: &[T], targets: &[T], arrays: Arrays<'_, T>,
) -> Result<f64> {
    let n = inputs.len();
    check_length(Field::TARGETS, targets.len(), n)?;
    let threads = arrays.pool;
    let to = arrays.pointers(n, n)?;
    let mut loss = 0.0;
    // SAFETY: the handle is right by the caller; all arrays have n numbers.
    let status = pool::with(threads, |threads| unsafe {
        function(
            handle,
            threads,
            n,
            inputs.as_ptr(),
            targets.as_ptr(),
            to.weights,
            &mut loss,
            to.element_loss,
            to.gradient,
            to.hessian,
        )
    });
    check(status, Field::NONE)?;
    Ok(loss)
}
