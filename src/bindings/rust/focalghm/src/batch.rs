// SPDX-License-Identifier: MIT

//! Batches in any form.

use crate::array::Array;
use crate::error::check_length;
use crate::{sys, Activation, Background, Field, Input, Output, Result, TargetForm};
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// A batch: where the numbers of a call lie, in whatever form their owner has them; see `batch.h`.
///
/// It borrows its arrays, outputs mutably, as long as it is there: make one where it is needed.
///
/// ```
/// use focalghm::{Activation, Batch, Focal, TargetForm};
///
/// let (images, classes, height, width) = (2, 3, 4, 5);
/// let logits = vec![0.0f32; images * classes * height * width];
/// let labels = vec![2u8; images * height * width];
/// let mut gradient = vec![0.0f32; logits.len()];
/// let mut batch = Batch::new(&[images, classes, height, width])
///     .class_axis(1)
///     .activation(Activation::SOFTMAX)
///     .target_form(TargetForm::LABEL)
///     .ignore_index(255)
///     .logits(&logits)
///     .targets(&labels)
///     .gradient(&mut gradient);
/// let outcome = Focal::new()?.compute_batch(&mut batch, None)?;
/// assert_eq!(outcome.valid, 40);
/// # Ok::<(), focalghm::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "it is given to a call"]
pub struct Batch<'a> {
    shape: Vec<usize>,
    class_axis: i32,
    activation: i32,
    target_form: i32,
    background: i32,
    flags: i32,
    ignore_index: i64,
    label_smoothing: f64,
    class_factors: [Option<&'a [f64]>; 4],
    arrays: [Option<Array>; 8],
    borrowed: PhantomData<&'a mut ()>,
}

macro_rules! setters {
    ($($(#[$about:meta])* $name:ident($kind:ident, $index:expr);)*) => {$(
        $(#[$about])*
        pub fn $name(mut self, array: impl Into<$kind<'a>>) -> Self {
            self.arrays[$index] = Some(array.into().array);
            self
        }
    )*};
}

impl<'a> Batch<'a> {
    /// A batch of this shape, without a class axis.
    pub fn new(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            class_axis: sys::FGHM_AXIS_NONE,
            activation: sys::FGHM_SIGMOID,
            target_form: sys::FGHM_TARGET_DENSE,
            background: sys::FGHM_BACKGROUND_NONE,
            flags: 0,
            ignore_index: sys::FGHM_IGNORE_NONE,
            label_smoothing: 0.0,
            class_factors: [None; 4],
            arrays: [None; 8],
            borrowed: PhantomData,
        }
    }

    /// Which axis has the classes; from the end where it is negative.
    pub fn class_axis(mut self, axis: i32) -> Self {
        self.class_axis = axis;
        self
    }

    /// What the logits are.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation.raw();
        self
    }

    /// What the targets are.
    pub fn target_form(mut self, form: TargetForm) -> Self {
        self.target_form = form.raw();
        self
    }

    /// Which label is none of the classes.
    pub fn background(mut self, background: Background) -> Self {
        self.background = background.raw();
        self
    }

    /// Targets that are NaN are missing.
    pub fn nan_targets_ignored(mut self) -> Self {
        self.flags |= sys::FGHM_NAN_TARGETS_IGNORED;
        self
    }

    /// Softmax: factors of classes are those of the terms of a sample's loss.
    pub fn class_weights_of_terms(mut self) -> Self {
        self.flags |= sys::FGHM_CLASS_WEIGHTS_OF_TERMS;
        self
    }

    /// Targets or labels with this value do not count.
    pub fn ignore_index(mut self, value: i64) -> Self {
        self.ignore_index = value;
        self
    }

    /// Label smoothing, in [0, 1].
    pub fn label_smoothing(mut self, smoothing: f64) -> Self {
        self.label_smoothing = smoothing;
        self
    }

    /// alpha of each class.
    pub fn class_alpha(mut self, factors: &'a [f64]) -> Self {
        self.class_factors[0] = Some(factors);
        self
    }

    /// gamma of each class.
    pub fn class_gamma(mut self, gammas: &'a [f64]) -> Self {
        self.class_factors[1] = Some(gammas);
        self
    }

    /// One more factor of each class.
    pub fn class_weights(mut self, factors: &'a [f64]) -> Self {
        self.class_factors[2] = Some(factors);
        self
    }

    /// What is added to the logits of each class.
    pub fn class_offsets(mut self, offsets: &'a [f64]) -> Self {
        self.class_factors[3] = Some(offsets);
        self
    }

    setters! {
        /// Logits or probabilities.
        logits(Input, 0);
        /// Targets, or labels of samples.
        targets(Input, 1);
        /// Scores of samples.
        scores(Input, 2);
        /// Factors of the elements (softmax: samples); for GHM a mask.
        weights(Input, 3);
        /// The loss of each element (softmax: sample), not reduced.
        element_loss(Output, 4);
        /// d loss / d logit.
        gradient(Output, 5);
        /// d2 loss / d logit2.
        hessian(Output, 6);
        /// GHM's weight of each element (softmax: sample).
        harmonizing_weight(Output, 7);
    }

    /// The batch as C takes it.  What C touches is inside the borrowed arrays.
    pub(crate) fn described(&self) -> Result<sys::fghm_batch> {
        let mut batch = initial_batch();
        batch.ndim = i32::try_from(self.shape.len()).unwrap_or(i32::MAX);
        batch.class_axis = self.class_axis;
        // An extent beyond i64 becomes the largest, which no array has.
        for (to, from) in batch.shape.iter_mut().zip(&self.shape) {
            *to = i64::try_from(*from).unwrap_or(i64::MAX);
        }
        batch.activation = self.activation;
        batch.target_form = self.target_form;
        batch.background = self.background;
        batch.flags = self.flags;
        batch.ignore_index = self.ignore_index;
        batch.label_smoothing = self.label_smoothing;
        [batch.class_alpha, batch.class_gamma, batch.class_weights, batch.class_offsets] =
            self.class_factors.map(|given| given.map_or(std::ptr::null(), <[f64]>::as_ptr));
        let arrays =
            self.arrays.map(|given| given.map_or(NO_ARRAY, |array| array.described(&batch)));
        [batch.logits, batch.targets, batch.scores, batch.weights] =
            [arrays[0], arrays[1], arrays[2], arrays[3]].map(input);
        [batch.element_loss, batch.gradient, batch.hessian, batch.harmonizing_weight] =
            [arrays[4], arrays[5], arrays[6], arrays[7]];
        self.check(&batch)?;
        Ok(batch)
    }

    /// Whether what C would touch is inside the borrowed arrays.  A batch without an answer is one
    /// that C refuses.
    fn check(&self, batch: &sys::fghm_batch) -> Result<()> {
        for (field, given) in (sys::FGHM_FIELD_CLASS_ALPHA..).zip(self.class_factors) {
            if let (Some(factors), Some((_, classes))) = (given, reach(batch, field)) {
                check_length(Field::from_raw(field), factors.len(), classes)?;
            }
        }
        for (field, given) in (sys::FGHM_FIELD_LOGITS..).zip(&self.arrays) {
            if let (Some(array), Some((before, after))) = (given, reach(batch, field)) {
                array.check(Field::from_raw(field), batch, before, after)?;
            }
        }
        Ok(())
    }
}

fn reach(batch: &sys::fghm_batch, field: i32) -> Option<(usize, usize)> {
    let (mut before, mut after) = (0, 0);
    // SAFETY: a batch, whose arrays are not looked at, and places for the numbers.
    let status = unsafe { sys::fghm_batch_reach(batch, field, &mut before, &mut after) };
    (status == sys::FGHM_OK).then_some((before, after))
}

const NO_ARRAY: sys::fghm_output = sys::fghm_output {
    data: std::ptr::null_mut(),
    dtype: sys::FGHM_DTYPE_UNSET,
    layout: sys::FGHM_LAYOUT_CONTIGUOUS,
    strides: [0; sys::FGHM_AXES_MAX],
};

fn input(array: sys::fghm_output) -> sys::fghm_input {
    let sys::fghm_output { data, dtype, layout, strides } = array;
    sys::fghm_input { data, dtype, layout, strides }
}

fn initial_batch() -> sys::fghm_batch {
    let mut batch = MaybeUninit::<sys::fghm_batch>::uninit();
    // SAFETY: it writes a struct of this size, all of it, or returns an error.
    unsafe {
        let status = sys::fghm_batch_init(batch.as_mut_ptr(), size_of::<sys::fghm_batch>());
        assert_eq!(status, sys::FGHM_OK, "the library knows fghm_batch");
        batch.assume_init()
    }
}

pub(crate) fn initial_result() -> sys::fghm_result {
    let mut result = MaybeUninit::<sys::fghm_result>::uninit();
    // SAFETY: as above.
    unsafe {
        let status = sys::fghm_result_init(result.as_mut_ptr(), size_of::<sys::fghm_result>());
        assert_eq!(status, sys::FGHM_OK, "the library knows fghm_result");
        result.assume_init()
    }
}

/// What came of a call over a batch; see `fghm_result` in `batch.h`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The reduced loss: `sum / divisor`.
    pub loss: f64,
    /// The sum of all element losses.
    pub sum: f64,
    /// What the sum is divided by.
    pub divisor: f64,
    /// The sum of the weights of valid elements.
    pub sum_weights: f64,
    /// The sum of the targets of valid elements.
    pub sum_targets: f64,
    /// The number of elements (softmax: samples).
    pub elements: u64,
    /// Those that are not ignored.
    pub valid: u64,
    /// Those of them that are positive.
    pub positives: u64,
}

impl Outcome {
    pub(crate) fn of(result: &sys::fghm_result) -> Self {
        Self {
            loss: result.loss,
            sum: result.sum,
            divisor: result.divisor,
            sum_weights: result.sum_weights,
            sum_targets: result.sum_targets,
            elements: result.elements,
            valid: result.valid,
            positives: result.positives,
        }
    }
}
