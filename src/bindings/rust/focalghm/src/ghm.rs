// SPDX-License-Identifier: MIT

//! The gradient harmonizing mechanism.

use crate::batch::initial_result;
use crate::error::{check, check_batch, check_length};
use crate::{
    plain, pool, sys, Arrays, Batch, BinDivisor, Field, Float, Kind, MomentumRule, Outcome, Pool,
    Reduction, Result,
};
use std::ptr;

/// Settings and history of the gradient harmonizing mechanism; see `ghm.h`.
///
/// ```
/// use focalghm::{Arrays, Ghm, Kind};
///
/// let mut ghm = Ghm::new(Kind::CLASSIFICATION)?;
/// ghm.set_momentum(0.75)?.set_weight_cap(2.0)?;
/// let (logits, targets) = ([2.0, -1.5, 0.3, -4.0], [1.0, 0.0, 1.0, 0.0]);
/// let mut gradient = [0.0; 4];
/// let loss = ghm.step(&logits, &targets, Arrays::gradient(&mut gradient))?;
///
/// let mut resumed = Ghm::from_state(&ghm.save()?)?;
/// assert_eq!(resumed.step(&logits, &targets, Arrays::default())?, loss);
/// # Ok::<(), focalghm::Error>(())
/// ```
#[derive(Debug)]
pub struct Ghm(*mut sys::fghm_ghm);

// SAFETY: a handle is tied to no thread, two share nothing.
unsafe impl Send for Ghm {}
// SAFETY: by the manual any number of threads may use it in functions that take it as const, and
// these alone take &self.
unsafe impl Sync for Ghm {}

impl Drop for Ghm {
    fn drop(&mut self) {
        // SAFETY: its own handle.
        unsafe { sys::fghm_ghm_destroy(self.0) }
    }
}

impl Clone for Ghm {
    /// # Panics
    /// There is no memory; see [`Ghm::try_clone`].
    fn clone(&self) -> Self {
        self.try_clone().expect("memory")
    }
}

crate::settings::settings! { Ghm, fghm_ghm:
    /// The number of bins, of equal width unless edges are set.
    bins, set_bins: usize = fghm_ghm_get_bins, fghm_ghm_set_bins, BINS;
    /// The number of histograms: 1, or one for each class.
    histograms, set_histograms: usize = fghm_ghm_get_histograms, fghm_ghm_set_histograms, HISTOGRAMS;
    /// mu of regression.
    mu, set_mu: f64 = fghm_ghm_get_mu, fghm_ghm_set_mu, MU;
    /// The momentum of the updates to come.
    momentum, set_momentum: f64 = fghm_ghm_get_momentum, fghm_ghm_set_momentum, MOMENTUM;
    /// What momentum does.
    momentum_rule, set_momentum_rule: MomentumRule =
        fghm_ghm_get_momentum_rule, fghm_ghm_set_momentum_rule, MOMENTUM_RULE;
    /// What weights are divided by.
    divisor, set_divisor: BinDivisor = fghm_ghm_get_divisor, fghm_ghm_set_divisor, BIN_DIVISOR;
    /// What no weight is above; infinity is no cap.
    weight_cap, set_weight_cap: f64 = fghm_ghm_get_weight_cap, fghm_ghm_set_weight_cap, WEIGHT_CAP;
    /// A factor of all results.
    loss_weight, set_loss_weight: f64 = fghm_ghm_get_loss_weight, fghm_ghm_set_loss_weight, LOSS_WEIGHT;
    /// How losses become one number.
    reduction, set_reduction: Reduction = fghm_ghm_get_reduction, fghm_ghm_set_reduction, REDUCTION;
    /// The divisor of [`Reduction::NORMALIZER`].
    normalizer, set_normalizer: f64 = fghm_ghm_get_normalizer, fghm_ghm_set_normalizer, NORMALIZER;
}

impl Ghm {
    /// 10 bins, no momentum, no cap, no history.
    pub fn new(kind: Kind) -> Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: a place for the handle.
        check(unsafe { sys::fghm_ghm_create(&mut raw, kind.raw()) }, Field::KIND)?;
        Ok(Self(raw))
    }

    /// A handle with the kind, settings and history that were saved.
    pub fn from_state(state: &[u8]) -> Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: a place for the handle, and a slice.
        let status = unsafe {
            sys::fghm_ghm_create_from_state(&mut raw, state.len(), state.as_ptr().cast())
        };
        check(status, Field::NONE)?;
        Ok(Self(raw))
    }

    /// The handle of C, which stays this one's: for what takes [`sys`](crate::sys).
    pub fn as_ptr(&self) -> *mut sys::fghm_ghm {
        self.0
    }

    /// Another handle with the same kind, settings and history.
    pub fn try_clone(&self) -> Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: a handle, and a place for another one.
        check(unsafe { sys::fghm_ghm_clone(self.0, &mut raw) }, Field::NONE)?;
        Ok(Self(raw))
    }

    /// Which loss it is for.
    pub fn kind(&self) -> Result<Kind> {
        let mut kind = 0;
        // SAFETY: its handle, and a place for the number.
        check(unsafe { sys::fghm_ghm_get_kind(self.0, &mut kind) }, Field::NONE)?;
        Ok(Kind::from_raw(kind))
    }

    /// Sets bins of any widths by their edges, one more than bins, from 0 to 1.
    pub fn set_edges(&mut self, edges: &[f64]) -> Result<&mut Self> {
        let bins = edges.len().saturating_sub(1);
        // SAFETY: its handle; with 0 bins no edge is read.
        check(unsafe { sys::fghm_ghm_set_edges(self.0, bins, edges.as_ptr()) }, Field::EDGES)?;
        Ok(self)
    }

    /// The edges of the bins.
    pub fn edges(&self) -> Result<Vec<f64>> {
        self.read(sys::fghm_ghm_get_edges, self.bins()? + 1)
    }

    /// One step over elements: counts, updates, applies.  The weights are a mask.  See
    /// `fghm_ghm_step_f32`.
    pub fn step<T: Float>(
        &mut self, inputs: &[T], targets: &[T], arrays: Arrays<'_, T>,
    ) -> Result<f64> {
        // SAFETY: its handle, which nobody else uses.
        unsafe { plain::call(T::STEP, self.0, inputs, targets, arrays) }
    }

    /// The first part of a step: adds to [`Ghm::counts_size`] numbers.  See `fghm_ghm_count_f32`.
    pub fn count<T: Float>(
        &self, inputs: &[T], targets: &[T], mask: Option<&[T]>, counts: &mut [u64],
        pool: Option<&Pool>,
    ) -> Result<()> {
        let n = inputs.len();
        check_length(Field::TARGETS, targets.len(), n)?;
        let mask = plain::start(Field::WEIGHTS, mask, n)?;
        // SAFETY: its handle; the arrays have n numbers.
        let status = pool::with(pool, |threads| unsafe {
            T::COUNT(
                self.0,
                threads,
                n,
                inputs.as_ptr(),
                targets.as_ptr(),
                mask,
                counts.len(),
                counts.as_mut_ptr(),
            )
        });
        check(status, Field::NONE)
    }

    /// The second part of a step, once for all its elements.
    pub fn update(&mut self, counts: &[u64]) -> Result<&mut Self> {
        // SAFETY: its handle, and a slice.
        let status = unsafe { sys::fghm_ghm_update(self.0, counts.len(), counts.as_ptr()) };
        check(status, Field::COUNTS)?;
        Ok(self)
    }

    /// The third part of a step; see `fghm_ghm_apply_f32`.
    pub fn apply<T: Float>(
        &self, inputs: &[T], targets: &[T], arrays: Arrays<'_, T>,
    ) -> Result<f64> {
        // SAFETY: its handle.
        unsafe { plain::call(T::APPLY, self.0.cast_const(), inputs, targets, arrays) }
    }

    /// One step over a batch; see `fghm_ghm_step_batch`.
    pub fn step_batch(&mut self, batch: &mut Batch<'_>, pool: Option<&Pool>) -> Result<Outcome> {
        let batch = batch.described()?;
        let mut result = initial_result();
        // SAFETY: its handle, which nobody else uses; arrays are as the batch says.
        let status = pool::with(pool, |threads| unsafe {
            sys::fghm_ghm_step_batch(self.0, threads, &batch, &mut result)
        });
        check_batch(status, &result)
    }

    /// Counts a batch; the outcome has numbers of elements alone.
    pub fn count_batch(
        &self, batch: &mut Batch<'_>, counts: &mut [u64], pool: Option<&Pool>,
    ) -> Result<Outcome> {
        let batch = batch.described()?;
        let mut result = initial_result();
        // SAFETY: its handle; arrays are as the batch says, counts is another one.
        let status = pool::with(pool, |threads| unsafe {
            sys::fghm_ghm_count_batch(
                self.0,
                threads,
                &batch,
                counts.len(),
                counts.as_mut_ptr(),
                &mut result,
            )
        });
        check_batch(status, &result)
    }

    /// Applies the weights to a batch.
    pub fn apply_batch(&self, batch: &mut Batch<'_>, pool: Option<&Pool>) -> Result<Outcome> {
        let batch = batch.described()?;
        let mut result = initial_result();
        // SAFETY: its handle; arrays are as the batch says, and borrowed by it.
        let status = pool::with(pool, |threads| unsafe {
            sys::fghm_ghm_apply_batch(self.0, threads, &batch, &mut result)
        });
        check_batch(status, &result)
    }

    /// The weights of the exact density; see `fghm_ghm_density_f32`.
    pub fn density<T: Float>(
        &self, inputs: &[T], targets: &[T], mask: Option<&[T]>, weights: &mut [T],
        pool: Option<&Pool>,
    ) -> Result<()> {
        let n = inputs.len();
        check_length(Field::TARGETS, targets.len(), n)?;
        check_length(Field::HARMONIZING_WEIGHT, weights.len(), n)?;
        let mask = plain::start(Field::WEIGHTS, mask, n)?;
        // SAFETY: its handle; all arrays have n numbers.
        let status = pool::with(pool, |threads| unsafe {
            T::DENSITY(
                self.0,
                threads,
                n,
                inputs.as_ptr(),
                targets.as_ptr(),
                mask,
                weights.as_mut_ptr(),
            )
        });
        check(status, Field::NONE)
    }

    /// How many numbers counting and updating have: bins + 1 for each histogram.
    pub fn counts_size(&self) -> Result<usize> {
        let mut size = 0;
        // SAFETY: its handle, and a place for the number.
        check(unsafe { sys::fghm_ghm_get_counts_size(self.0, &mut size) }, Field::NONE)?;
        Ok(size)
    }

    /// The counts of the last update, bins + 1 for each histogram.
    pub fn counts(&self) -> Result<Vec<u64>> {
        self.read(sys::fghm_ghm_get_counts, self.counts_size()?)
    }

    /// The averages, bins for each histogram.
    pub fn averages(&self) -> Result<Vec<f64>> {
        self.read(sys::fghm_ghm_get_averages, self.bins()? * self.histograms()?)
    }

    /// The weights, bins for each histogram.
    pub fn weights(&self) -> Result<Vec<f64>> {
        self.read(sys::fghm_ghm_get_weights, self.bins()? * self.histograms()?)
    }

    /// How many bins had elements, for each histogram.
    pub fn nonempty(&self) -> Result<Vec<usize>> {
        self.read(sys::fghm_ghm_get_nonempty, self.histograms()?)
    }

    /// How many updates there have been.
    pub fn steps(&self) -> Result<u64> {
        let mut steps = 0;
        // SAFETY: its handle, and a place for the number.
        check(unsafe { sys::fghm_ghm_get_steps(self.0, &mut steps) }, Field::NONE)?;
        Ok(steps)
    }

    /// Forgets the history.
    pub fn reset(&mut self) -> Result<&mut Self> {
        // SAFETY: its handle, which nobody else uses.
        check(unsafe { sys::fghm_ghm_reset(self.0) }, Field::NONE)?;
        Ok(self)
    }

    /// Kind, settings and history as bytes, the same on every machine.
    pub fn save(&self) -> Result<Vec<u8>> {
        let mut size = 0;
        // SAFETY: its handle, and a place for the number.
        check(unsafe { sys::fghm_ghm_get_state_size(self.0, &mut size) }, Field::NONE)?;
        let mut state = vec![0; size];
        // SAFETY: its handle, and a slice.
        let status = unsafe { sys::fghm_ghm_save(self.0, size, state.as_mut_ptr().cast()) };
        check(status, Field::NONE)?;
        Ok(state)
    }

    /// Takes settings and history of a handle of the same kind.
    pub fn load(&mut self, state: &[u8]) -> Result<&mut Self> {
        // SAFETY: its handle, which nobody else uses, and a slice.
        let status = unsafe { sys::fghm_ghm_load(self.0, state.len(), state.as_ptr().cast()) };
        check(status, Field::NONE)?;
        Ok(self)
    }

    fn read<T: Clone + Default>(
        &self,
        getter: unsafe extern "C" fn(*const sys::fghm_ghm, usize, *mut T) -> sys::fghm_status,
        size: usize,
    ) -> Result<Vec<T>> {
        let mut numbers = vec![T::default(); size];
        // SAFETY: its handle, and a slice.
        check(unsafe { getter(self.0, size, numbers.as_mut_ptr()) }, Field::NONE)?;
        Ok(numbers)
    }
}
