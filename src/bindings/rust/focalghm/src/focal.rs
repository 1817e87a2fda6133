// SPDX-License-Identifier: MIT

//! The focal loss.

use crate::batch::initial_result;
use crate::error::{check, check_batch, check_length};
use crate::{
    plain, pool, sys, Arrays, Batch, ClassNumbers, Error, Field, Float, FocalRule, HessianMode,
    Outcome, Pool, Reduction, Result,
};
use std::ptr;

/// A configuration of the focal loss; see `focal.h`.
#[derive(Debug)]
pub struct Focal(*mut sys::fghm_focal);

// SAFETY: a handle is tied to no thread, two share nothing.
unsafe impl Send for Focal {}
// SAFETY: by the manual any number of threads may use it in functions that take it as const, and
// these alone take &self.
unsafe impl Sync for Focal {}

impl Drop for Focal {
    fn drop(&mut self) {
        // SAFETY: its own handle.
        unsafe { sys::fghm_focal_destroy(self.0) }
    }
}

impl Clone for Focal {
    /// # Panics
    /// There is no memory; see [`Focal::try_clone`].
    fn clone(&self) -> Self {
        self.try_clone().expect("memory")
    }
}

crate::settings::settings! { Focal, fghm_focal:
    /// gamma, by which easy elements lose weight.
    gamma, set_gamma: f64 = fghm_focal_get_gamma, fghm_focal_set_gamma, GAMMA;
    /// The divisor of [`Reduction::NORMALIZER`].
    normalizer, set_normalizer: f64 = fghm_focal_get_normalizer, fghm_focal_set_normalizer, NORMALIZER;
    /// A factor of all results.
    loss_weight, set_loss_weight: f64 =
        fghm_focal_get_loss_weight, fghm_focal_set_loss_weight, LOSS_WEIGHT;
    /// The least Hessian of [`HessianMode::FLOORED`].
    hessian_floor, set_hessian_floor: f64 =
        fghm_focal_get_hessian_floor, fghm_focal_set_hessian_floor, HESSIAN_FLOOR;
    /// A factor of the Hessian, in every mode.
    hessian_factor, set_hessian_factor: f64 =
        fghm_focal_get_hessian_factor, fghm_focal_set_hessian_factor, HESSIAN_FACTOR;
    /// The exponent of the penalty of [`FocalRule::HEATMAP`].
    beta, set_beta: f64 = fghm_focal_get_beta, fghm_focal_set_beta, BETA;
    /// by how much the probability of negatives is less, 0 or in [2^-40, 1)
    margin, set_margin: f64 = fghm_focal_get_margin, fghm_focal_set_margin, MARGIN;
    /// Whether the focal factor is a constant in derivatives.
    detached, set_detached: bool = fghm_focal_get_detached, fghm_focal_set_detached, DETACHED;
    /// How losses become one number.
    reduction, set_reduction: Reduction = fghm_focal_get_reduction, fghm_focal_set_reduction, REDUCTION;
    /// Which loss it is.
    rule, set_rule: FocalRule = fghm_focal_get_rule, fghm_focal_set_rule, RULE;
    /// What Hessians hold.
    hessian_mode, set_hessian_mode: HessianMode =
        fghm_focal_get_hessian_mode, fghm_focal_set_hessian_mode, HESSIAN_MODE;
}

impl Focal {
    /// gamma 2, alpha 0.25, the mean over the elements.
    pub fn new() -> Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: a place for the handle.
        check(unsafe { sys::fghm_focal_create(&mut raw) }, Field::NONE)?;
        Ok(Self(raw))
    }

    /// The handle of C, which stays this one's: for what takes [`sys`](crate::sys).
    pub fn as_ptr(&self) -> *mut sys::fghm_focal {
        self.0
    }

    /// Another handle with the same settings.
    pub fn try_clone(&self) -> Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: a handle, and a place for another one.
        check(unsafe { sys::fghm_focal_clone(self.0, &mut raw) }, Field::NONE)?;
        Ok(Self(raw))
    }

    /// Sets a gamma for negatives alone.
    pub fn set_negative_gamma(&mut self, gamma: f64) -> Result<&mut Self> {
        // SAFETY: a handle of its own.
        let status = unsafe { sys::fghm_focal_set_negative_gamma(self.0, gamma) };
        check(status, Field::NEGATIVE_GAMMA)?;
        Ok(self)
    }

    /// Negatives follow gamma again.
    pub fn clear_negative_gamma(&mut self) -> Result<&mut Self> {
        // SAFETY: a handle of its own.
        check(unsafe { sys::fghm_focal_clear_negative_gamma(self.0) }, Field::NEGATIVE_GAMMA)?;
        Ok(self)
    }

    /// The gamma of negatives, if they do not follow gamma.
    pub fn negative_gamma(&self) -> Result<Option<f64>> {
        let (mut gamma, mut set) = (0.0, 0);
        // SAFETY: a handle, and places for the numbers.
        let status = unsafe { sys::fghm_focal_get_negative_gamma(self.0, &mut gamma, &mut set) };
        check(status, Field::NEGATIVE_GAMMA)?;
        Ok((set != 0).then_some(gamma))
    }

    /// Sets a factor of positives in the place of alpha.
    pub fn set_positive_weight(&mut self, weight: f64) -> Result<&mut Self> {
        // SAFETY: a handle of its own.
        let status = unsafe { sys::fghm_focal_set_positive_weight(self.0, weight) };
        check(status, Field::POSITIVE_WEIGHT)?;
        Ok(self)
    }

    /// There is no factor of positives but alpha again.
    pub fn clear_positive_weight(&mut self) -> Result<&mut Self> {
        // SAFETY: a handle of its own.
        check(unsafe { sys::fghm_focal_clear_positive_weight(self.0) }, Field::POSITIVE_WEIGHT)?;
        Ok(self)
    }

    /// The factor of positives, if one has been set.
    pub fn positive_weight(&self) -> Result<Option<f64>> {
        let (mut weight, mut set) = (0.0, 0);
        // SAFETY: a handle, and places for the numbers.
        let status = unsafe { sys::fghm_focal_get_positive_weight(self.0, &mut weight, &mut set) };
        check(status, Field::POSITIVE_WEIGHT)?;
        Ok((set != 0).then_some(weight))
    }

    /// Sets the factor of positives.
    pub fn set_alpha(&mut self, alpha: f64) -> Result<&mut Self> {
        // SAFETY: a handle of its own.
        check(unsafe { sys::fghm_focal_set_alpha(self.0, alpha) }, Field::ALPHA)?;
        Ok(self)
    }

    /// Turns alpha off.
    pub fn clear_alpha(&mut self) -> Result<&mut Self> {
        // SAFETY: a handle of its own.
        check(unsafe { sys::fghm_focal_clear_alpha(self.0) }, Field::ALPHA)?;
        Ok(self)
    }

    /// alpha, if it is on.
    pub fn alpha(&self) -> Result<Option<f64>> {
        let (mut alpha, mut enabled) = (0.0, 0);
        // SAFETY: a handle, and places for the numbers.
        let status = unsafe { sys::fghm_focal_get_alpha(self.0, &mut alpha, &mut enabled) };
        check(status, Field::ALPHA)?;
        Ok((enabled != 0).then_some(alpha))
    }

    /// The loss of elements; see `fghm_focal_f32`.
    pub fn compute<T: Float>(
        &self, logits: &[T], targets: &[T], arrays: Arrays<'_, T>,
    ) -> Result<f64> {
        // SAFETY: its handle.
        unsafe { plain::call(T::FOCAL, self.0.cast_const(), logits, targets, arrays) }
    }

    /// The softmax loss of rows of logits, one for each label; see `fghm_focal_softmax_f32`.
    pub fn softmax<T: Float>(
        &self, classes: usize, logits: &[T], labels: &[i64], ignore_index: Option<i64>,
        arrays: Arrays<'_, T>,
    ) -> Result<f64> {
        let (n, samples) = (logits.len(), labels.len());
        // No slice has as many as the product if that overflows.
        let needed = samples.checked_mul(classes).ok_or(Error::Length {
            field: Field::LOGITS,
            length: n,
            needed: usize::MAX,
        })?;
        check_length(Field::LOGITS, n, needed)?;
        let threads = arrays.pool;
        let to = arrays.pointers(n, samples)?;
        let ignore_index = ignore_index.unwrap_or(sys::FGHM_IGNORE_NONE);
        let mut loss = 0.0;
        // SAFETY: its handle; all arrays have as many numbers as there are samples or elements.
        let status = pool::with(threads, |threads| unsafe {
            T::SOFTMAX(
                self.0,
                threads,
                samples,
                classes,
                logits.as_ptr(),
                labels.as_ptr(),
                ignore_index,
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

    /// A batch in any form; see `fghm_focal_batch`.
    pub fn compute_batch(&self, batch: &mut Batch<'_>, pool: Option<&Pool>) -> Result<Outcome> {
        let batch = batch.described()?;
        let mut result = initial_result();
        // SAFETY: its handle; arrays are as the batch says, and borrowed by it.
        let status = pool::with(pool, |threads| unsafe {
            sys::fghm_focal_batch(self.0, threads, &batch, &mut result)
        });
        check_batch(status, &result)
    }

    /// The constant logit with the least loss; see `fghm_focal_best_constant`.
    pub fn best_constant(&self, positives: f64, negatives: f64) -> Result<f64> {
        let mut logit = 0.0;
        // SAFETY: its handle, and a place for the number.
        let status =
            unsafe { sys::fghm_focal_best_constant(self.0, positives, negatives, &mut logit) };
        check(status, Field::NONE)?;
        Ok(logit)
    }

    /// Probabilities from logits; see `fghm_focal_calibrate_f32`.
    pub fn calibrate<T: Float>(
        &self, logits: &[T], probabilities: &mut [T], pool: Option<&Pool>,
    ) -> Result<()> {
        check_length(Field::NONE, probabilities.len(), logits.len())?;
        // SAFETY: its handle; both have as many numbers.
        let status = pool::with(pool, |threads| unsafe {
            T::CALIBRATE(self.0, threads, logits.len(), logits.as_ptr(), probabilities.as_mut_ptr())
        });
        check(status, Field::NONE)
    }

    /// Class probabilities from rows of logits; see `fghm_focal_calibrate_softmax_f32`.
    pub fn calibrate_softmax<T: Float>(
        &self, classes: usize, logits: &[T], probabilities: &mut [T], numbers: ClassNumbers<'_>,
        pool: Option<&Pool>,
    ) -> Result<()> {
        let n = logits.len();
        let samples = n.checked_div(classes).unwrap_or(n);
        if classes != 0 {
            check_length(Field::LOGITS, n, samples * classes)?;
        }
        check_length(Field::NONE, probabilities.len(), n)?;
        let (gamma, weights) = numbers.pointers(classes)?;
        // SAFETY: its handle; both have as many numbers, in rows of as many as there are classes.
        let status = pool::with(pool, |threads| unsafe {
            T::CALIBRATE_SOFTMAX(
                self.0,
                threads,
                samples,
                classes,
                logits.as_ptr(),
                gamma,
                weights,
                probabilities.as_mut_ptr(),
            )
        });
        check(status, Field::NONE)
    }

    /// The constant logits with the least softmax loss; see `fghm_focal_best_constant_softmax`.
    pub fn best_constant_softmax(
        &self, frequencies: &[f64], numbers: ClassNumbers<'_>,
    ) -> Result<Vec<f64>> {
        let classes = frequencies.len();
        let (gamma, weights) = numbers.pointers(classes)?;
        let mut logits = vec![0.0; classes];
        // SAFETY: its handle; all arrays have as many numbers as there are classes.
        let status = unsafe {
            sys::fghm_focal_best_constant_softmax(
                self.0,
                classes,
                frequencies.as_ptr(),
                gamma,
                weights,
                logits.as_mut_ptr(),
            )
        };
        check(status, Field::NONE)?;
        Ok(logits)
    }
}
