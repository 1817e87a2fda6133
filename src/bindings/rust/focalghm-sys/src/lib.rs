// SPDX-License-Identifier: MIT

//! The C interface of libfocalghm as it is: what the functions and constants mean is in the
//! headers.  The crate `focalghm` is the one to use from Rust.
//!
//! A test compares all of it with what bindgen makes of the headers.

#![no_std]
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_void};
use core::marker::{PhantomData, PhantomPinned};

pub const FGHM_VERSION_MAJOR: i32 = 0;
pub const FGHM_VERSION_MINOR: i32 = 2;
pub const FGHM_VERSION_PATCH: i32 = 0;
pub const FGHM_VERSION: i32 = 200;

pub type fghm_status = i32;
pub const FGHM_OK: fghm_status = 0;
pub const FGHM_ERROR_NULL_HANDLE: fghm_status = -1;
pub const FGHM_ERROR_NULL_POINTER: fghm_status = -2;
pub const FGHM_ERROR_NO_OUTPUT: fghm_status = -3;
pub const FGHM_ERROR_MEMORY: fghm_status = -4;
pub const FGHM_ERROR_THREADS: fghm_status = -5;
pub const FGHM_ERROR_STRUCT: fghm_status = -6;
pub const FGHM_ERROR_UNINITIALIZED: fghm_status = -7;
pub const FGHM_ERROR_UNSET: fghm_status = -8;
pub const FGHM_ERROR_RANGE: fghm_status = -9;
pub const FGHM_ERROR_CONSTANT: fghm_status = -10;
pub const FGHM_ERROR_SIZE: fghm_status = -11;
pub const FGHM_ERROR_DTYPE: fghm_status = -12;
pub const FGHM_ERROR_LAYOUT: fghm_status = -13;
pub const FGHM_ERROR_STRIDE: fghm_status = -14;
pub const FGHM_ERROR_ALIASING: fghm_status = -15;
pub const FGHM_ERROR_COMBINATION: fghm_status = -16;
pub const FGHM_ERROR_KIND: fghm_status = -17;
pub const FGHM_ERROR_HISTORY: fghm_status = -18;
pub const FGHM_ERROR_CAPACITY: fghm_status = -19;
pub const FGHM_ERROR_HISTOGRAMS: fghm_status = -20;
pub const FGHM_ERROR_COUNTS: fghm_status = -21;
pub const FGHM_ERROR_EDGES: fghm_status = -22;
pub const FGHM_ERROR_STATE: fghm_status = -23;
pub const FGHM_ERROR_DIVISOR: fghm_status = -24;
pub const FGHM_ERROR_LABEL: fghm_status = -25;
pub const FGHM_ERROR_TARGET: fghm_status = -26;
pub const FGHM_ERROR_PROBABILITY: fghm_status = -27;
pub const FGHM_ERROR_SCORE: fghm_status = -28;

pub type fghm_field = i32;
pub const FGHM_FIELD_NONE: fghm_field = 0;
pub const FGHM_FIELD_BATCH: fghm_field = 1;
pub const FGHM_FIELD_RESULT: fghm_field = 2;
pub const FGHM_FIELD_SIZE: fghm_field = 3;
pub const FGHM_FIELD_TAG: fghm_field = 4;
pub const FGHM_FIELD_NDIM: fghm_field = 5;
pub const FGHM_FIELD_CLASS_AXIS: fghm_field = 6;
pub const FGHM_FIELD_SHAPE: fghm_field = 7;
pub const FGHM_FIELD_ACTIVATION: fghm_field = 8;
pub const FGHM_FIELD_TARGET_FORM: fghm_field = 9;
pub const FGHM_FIELD_BACKGROUND: fghm_field = 10;
pub const FGHM_FIELD_FLAGS: fghm_field = 11;
pub const FGHM_FIELD_IGNORE_INDEX: fghm_field = 12;
pub const FGHM_FIELD_LABEL_SMOOTHING: fghm_field = 13;
pub const FGHM_FIELD_CLASS_ALPHA: fghm_field = 14;
pub const FGHM_FIELD_CLASS_GAMMA: fghm_field = 15;
pub const FGHM_FIELD_CLASS_WEIGHTS: fghm_field = 16;
pub const FGHM_FIELD_CLASS_OFFSETS: fghm_field = 17;
pub const FGHM_FIELD_LOGITS: fghm_field = 18;
pub const FGHM_FIELD_TARGETS: fghm_field = 19;
pub const FGHM_FIELD_SCORES: fghm_field = 20;
pub const FGHM_FIELD_WEIGHTS: fghm_field = 21;
pub const FGHM_FIELD_ELEMENT_LOSS: fghm_field = 22;
pub const FGHM_FIELD_GRADIENT: fghm_field = 23;
pub const FGHM_FIELD_HESSIAN: fghm_field = 24;
pub const FGHM_FIELD_HARMONIZING_WEIGHT: fghm_field = 25;
pub const FGHM_FIELD_COUNTS: fghm_field = 26;
pub const FGHM_FIELD_CAPACITY: fghm_field = 27;
pub const FGHM_FIELD_GAMMA: fghm_field = 100;
pub const FGHM_FIELD_NEGATIVE_GAMMA: fghm_field = 101;
pub const FGHM_FIELD_ALPHA: fghm_field = 102;
pub const FGHM_FIELD_LOSS_WEIGHT: fghm_field = 103;
pub const FGHM_FIELD_REDUCTION: fghm_field = 104;
pub const FGHM_FIELD_NORMALIZER: fghm_field = 105;
pub const FGHM_FIELD_RULE: fghm_field = 106;
pub const FGHM_FIELD_HESSIAN_MODE: fghm_field = 107;
pub const FGHM_FIELD_HESSIAN_FLOOR: fghm_field = 108;
pub const FGHM_FIELD_DETACHED: fghm_field = 109;
pub const FGHM_FIELD_BETA: fghm_field = 110;
pub const FGHM_FIELD_MARGIN: fghm_field = 111;
pub const FGHM_FIELD_POSITIVE_WEIGHT: fghm_field = 112;
pub const FGHM_FIELD_HESSIAN_FACTOR: fghm_field = 113;
pub const FGHM_FIELD_KIND: fghm_field = 200;
pub const FGHM_FIELD_BINS: fghm_field = 201;
pub const FGHM_FIELD_EDGES: fghm_field = 202;
pub const FGHM_FIELD_HISTOGRAMS: fghm_field = 203;
pub const FGHM_FIELD_MU: fghm_field = 204;
pub const FGHM_FIELD_MOMENTUM: fghm_field = 205;
pub const FGHM_FIELD_MOMENTUM_RULE: fghm_field = 206;
pub const FGHM_FIELD_BIN_DIVISOR: fghm_field = 207;
pub const FGHM_FIELD_WEIGHT_CAP: fghm_field = 208;

pub type fghm_place = i32;
pub const FGHM_PLACE_NONE: fghm_place = 0;
pub const FGHM_PLACE_ELEMENT: fghm_place = 1;
pub const FGHM_PLACE_SAMPLE: fghm_place = 2;
pub const FGHM_PLACE_CLASS: fghm_place = 3;
pub const FGHM_PLACE_AXIS: fghm_place = 4;

pub type fghm_dtype = i32;
pub const FGHM_DTYPE_UNSET: fghm_dtype = 0;
pub const FGHM_F32: fghm_dtype = 1;
pub const FGHM_F64: fghm_dtype = 2;
pub const FGHM_F16: fghm_dtype = 3;
pub const FGHM_BF16: fghm_dtype = 4;
pub const FGHM_U8: fghm_dtype = 5;
pub const FGHM_I32: fghm_dtype = 6;
pub const FGHM_I64: fghm_dtype = 7;

pub type fghm_layout = i32;
pub const FGHM_LAYOUT_CONTIGUOUS: fghm_layout = 0;
pub const FGHM_LAYOUT_STRIDED: fghm_layout = 1;
pub const FGHM_LAYOUT_PER_SAMPLE: fghm_layout = 2;

pub const FGHM_AXES_MAX: usize = 8;
pub const FGHM_AXIS_NONE: i32 = -128;
pub const FGHM_TAG: u32 = 0x4647_4d31;

pub type fghm_activation = i32;
pub const FGHM_SIGMOID: fghm_activation = 0;
pub const FGHM_SOFTMAX: fghm_activation = 1;
pub const FGHM_PROBABILITY: fghm_activation = 2;

pub type fghm_target_form = i32;
pub const FGHM_TARGET_DENSE: fghm_target_form = 0;
pub const FGHM_TARGET_LABEL: fghm_target_form = 1;
pub const FGHM_TARGET_LABEL_SCORE: fghm_target_form = 2;

pub type fghm_background = i32;
pub const FGHM_BACKGROUND_NONE: fghm_background = 0;
pub const FGHM_BACKGROUND_LAST: fghm_background = 1;
pub const FGHM_BACKGROUND_FIRST: fghm_background = 2;
pub const FGHM_BACKGROUND_MINUS_ONE: fghm_background = 3;

pub const FGHM_NAN_TARGETS_IGNORED: i32 = 1;
pub const FGHM_CLASS_WEIGHTS_OF_TERMS: i32 = 2;

pub const FGHM_THREADS_MAX: usize = 1024;

pub type fghm_reduction = i32;
pub const FGHM_REDUCTION_SUM: fghm_reduction = 0;
pub const FGHM_REDUCTION_MEAN: fghm_reduction = 1;
pub const FGHM_REDUCTION_NORMALIZER: fghm_reduction = 2;
pub const FGHM_REDUCTION_MEAN_SAMPLES: fghm_reduction = 3;
pub const FGHM_REDUCTION_MEAN_POSITIVES: fghm_reduction = 4;
pub const FGHM_REDUCTION_MEAN_VALID: fghm_reduction = 5;
pub const FGHM_REDUCTION_MEAN_WEIGHTS: fghm_reduction = 6;
pub const FGHM_REDUCTION_MEAN_TARGETS: fghm_reduction = 7;

pub type fghm_focal_rule = i32;
pub const FGHM_FOCAL_RULE_LINEAR: fghm_focal_rule = 0;
pub const FGHM_FOCAL_RULE_SPLIT: fghm_focal_rule = 1;
pub const FGHM_FOCAL_RULE_QUALITY: fghm_focal_rule = 2;
pub const FGHM_FOCAL_RULE_STAR: fghm_focal_rule = 3;
pub const FGHM_FOCAL_RULE_VARIFOCAL: fghm_focal_rule = 4;
pub const FGHM_FOCAL_RULE_VARIFOCAL_UNWEIGHTED: fghm_focal_rule = 5;
pub const FGHM_FOCAL_RULE_MATCHABILITY: fghm_focal_rule = 6;
pub const FGHM_FOCAL_RULE_HEATMAP: fghm_focal_rule = 7;

pub type fghm_hessian_mode = i32;
pub const FGHM_HESSIAN_EXACT: fghm_hessian_mode = 0;
pub const FGHM_HESSIAN_FLOORED: fghm_hessian_mode = 1;
pub const FGHM_HESSIAN_ABSOLUTE: fghm_hessian_mode = 2;
pub const FGHM_HESSIAN_GAUSS_NEWTON: fghm_hessian_mode = 3;
pub const FGHM_HESSIAN_GRADIENT: fghm_hessian_mode = 4;

pub type fghm_ghm_kind = i32;
pub const FGHM_GHM_CLASSIFICATION: fghm_ghm_kind = 1;
pub const FGHM_GHM_REGRESSION: fghm_ghm_kind = 2;

pub type fghm_ghm_momentum_rule = i32;
pub const FGHM_GHM_MOMENTUM_CORRECTED: fghm_ghm_momentum_rule = 0;
pub const FGHM_GHM_MOMENTUM_REFERENCE: fghm_ghm_momentum_rule = 1;

pub type fghm_ghm_divisor = i32;
pub const FGHM_GHM_DIVISOR_NONEMPTY_BINS: fghm_ghm_divisor = 0;
pub const FGHM_GHM_DIVISOR_ALL_BINS: fghm_ghm_divisor = 1;

pub const FGHM_BINS_MAX: usize = 4096;
pub const FGHM_HISTOGRAMS_MAX: usize = 65536;

pub const FGHM_UNSET: i64 = i64::MIN;
pub const FGHM_IGNORE_NONE: i64 = i64::MIN;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fghm_input {
    pub data: *const c_void,
    pub dtype: fghm_dtype,
    pub layout: fghm_layout,
    pub strides: [i64; FGHM_AXES_MAX],
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fghm_output {
    pub data: *mut c_void,
    pub dtype: fghm_dtype,
    pub layout: fghm_layout,
    pub strides: [i64; FGHM_AXES_MAX],
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fghm_batch {
    pub size: u32,
    pub tag: u32,
    pub ndim: i32,
    pub class_axis: i32,
    pub shape: [i64; FGHM_AXES_MAX],
    pub activation: fghm_activation,
    pub target_form: fghm_target_form,
    pub background: fghm_background,
    pub flags: i32,
    pub ignore_index: i64,
    pub label_smoothing: f64,
    pub class_alpha: *const f64,
    pub class_gamma: *const f64,
    pub class_weights: *const f64,
    pub class_offsets: *const f64,
    pub logits: fghm_input,
    pub targets: fghm_input,
    pub scores: fghm_input,
    pub weights: fghm_input,
    pub element_loss: fghm_output,
    pub gradient: fghm_output,
    pub hessian: fghm_output,
    pub harmonizing_weight: fghm_output,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fghm_result {
    pub size: u32,
    pub filled: u32,
    pub status: fghm_status,
    pub field: fghm_field,
    pub other_field: fghm_field,
    pub place: fghm_place,
    pub offender: i64,
    pub loss: f64,
    pub sum: f64,
    pub divisor: f64,
    pub sum_weights: f64,
    pub sum_targets: f64,
    pub elements: u64,
    pub valid: u64,
    pub positives: u64,
}

/// A handle.
#[repr(C)]
pub struct fghm_pool {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle.
#[repr(C)]
pub struct fghm_focal {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// A handle.
#[repr(C)]
pub struct fghm_ghm {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

pub type fghm_task = Option<unsafe extern "C" fn(context: *mut c_void, index: usize)>;

pub type fghm_run = Option<
    unsafe extern "C" fn(user: *mut c_void, tasks: usize, task: fghm_task, context: *mut c_void),
>;

extern "C" {
    pub fn fghm_status_string(status: fghm_status) -> *const c_char;
    pub fn fghm_status_name(status: fghm_status) -> *const c_char;
    pub fn fghm_field_name(field: fghm_field) -> *const c_char;
    pub fn fghm_place_name(place: fghm_place) -> *const c_char;
    pub fn fghm_batch_init(batch: *mut fghm_batch, size: usize) -> fghm_status;
    pub fn fghm_batch_reach(
        batch: *const fghm_batch, field: fghm_field, before: *mut usize, after: *mut usize,
    ) -> fghm_status;
    pub fn fghm_result_init(result: *mut fghm_result, size: usize) -> fghm_status;
    pub fn fghm_pool_create(pool: *mut *mut fghm_pool, threads: usize) -> fghm_status;
    pub fn fghm_pool_create_from(
        pool: *mut *mut fghm_pool, threads: usize, run: fghm_run, user: *mut c_void,
    ) -> fghm_status;
    pub fn fghm_pool_destroy(pool: *mut fghm_pool);
    pub fn fghm_pool_get_threads(pool: *const fghm_pool, threads: *mut usize) -> fghm_status;
    pub fn fghm_focal_create(focal: *mut *mut fghm_focal) -> fghm_status;
    pub fn fghm_focal_clone(focal: *const fghm_focal, copy: *mut *mut fghm_focal) -> fghm_status;
    pub fn fghm_focal_destroy(focal: *mut fghm_focal);
    pub fn fghm_focal_set_gamma(focal: *mut fghm_focal, gamma: f64) -> fghm_status;
    pub fn fghm_focal_get_gamma(focal: *const fghm_focal, gamma: *mut f64) -> fghm_status;
    pub fn fghm_focal_set_negative_gamma(focal: *mut fghm_focal, gamma: f64) -> fghm_status;
    pub fn fghm_focal_clear_negative_gamma(focal: *mut fghm_focal) -> fghm_status;
    pub fn fghm_focal_get_negative_gamma(
        focal: *const fghm_focal, gamma: *mut f64, set: *mut i32,
    ) -> fghm_status;
    pub fn fghm_focal_set_alpha(focal: *mut fghm_focal, alpha: f64) -> fghm_status;
    pub fn fghm_focal_clear_alpha(focal: *mut fghm_focal) -> fghm_status;
    pub fn fghm_focal_get_alpha(
        focal: *const fghm_focal, alpha: *mut f64, enabled: *mut i32,
    ) -> fghm_status;
    pub fn fghm_focal_set_reduction(
        focal: *mut fghm_focal, reduction: fghm_reduction,
    ) -> fghm_status;
    pub fn fghm_focal_get_reduction(
        focal: *const fghm_focal, reduction: *mut fghm_reduction,
    ) -> fghm_status;
    pub fn fghm_focal_set_normalizer(focal: *mut fghm_focal, normalizer: f64) -> fghm_status;
    pub fn fghm_focal_get_normalizer(focal: *const fghm_focal, normalizer: *mut f64)
        -> fghm_status;
    pub fn fghm_focal_set_loss_weight(focal: *mut fghm_focal, loss_weight: f64) -> fghm_status;
    pub fn fghm_focal_get_loss_weight(
        focal: *const fghm_focal, loss_weight: *mut f64,
    ) -> fghm_status;
    pub fn fghm_focal_set_rule(focal: *mut fghm_focal, rule: fghm_focal_rule) -> fghm_status;
    pub fn fghm_focal_get_rule(focal: *const fghm_focal, rule: *mut fghm_focal_rule)
        -> fghm_status;
    pub fn fghm_focal_set_hessian_mode(
        focal: *mut fghm_focal, mode: fghm_hessian_mode,
    ) -> fghm_status;
    pub fn fghm_focal_get_hessian_mode(
        focal: *const fghm_focal, mode: *mut fghm_hessian_mode,
    ) -> fghm_status;
    pub fn fghm_focal_set_hessian_floor(focal: *mut fghm_focal, floor: f64) -> fghm_status;
    pub fn fghm_focal_get_hessian_floor(focal: *const fghm_focal, floor: *mut f64) -> fghm_status;
    pub fn fghm_focal_set_hessian_factor(focal: *mut fghm_focal, factor: f64) -> fghm_status;
    pub fn fghm_focal_get_hessian_factor(focal: *const fghm_focal, factor: *mut f64)
        -> fghm_status;
    pub fn fghm_focal_set_detached(focal: *mut fghm_focal, detached: i32) -> fghm_status;
    pub fn fghm_focal_get_detached(focal: *const fghm_focal, detached: *mut i32) -> fghm_status;
    pub fn fghm_focal_set_beta(focal: *mut fghm_focal, beta: f64) -> fghm_status;
    pub fn fghm_focal_get_beta(focal: *const fghm_focal, beta: *mut f64) -> fghm_status;
    pub fn fghm_focal_set_margin(focal: *mut fghm_focal, margin: f64) -> fghm_status;
    pub fn fghm_focal_get_margin(focal: *const fghm_focal, margin: *mut f64) -> fghm_status;
    pub fn fghm_focal_set_positive_weight(focal: *mut fghm_focal, weight: f64) -> fghm_status;
    pub fn fghm_focal_clear_positive_weight(focal: *mut fghm_focal) -> fghm_status;
    pub fn fghm_focal_get_positive_weight(
        focal: *const fghm_focal, weight: *mut f64, set: *mut i32,
    ) -> fghm_status;
    pub fn fghm_focal_f32(
        focal: *const fghm_focal, pool: *mut fghm_pool, n: usize, logits: *const f32,
        targets: *const f32, weights: *const f32, loss: *mut f64, element_loss: *mut f32,
        gradient: *mut f32, hessian: *mut f32,
    ) -> fghm_status;
    pub fn fghm_focal_f64(
        focal: *const fghm_focal, pool: *mut fghm_pool, n: usize, logits: *const f64,
        targets: *const f64, weights: *const f64, loss: *mut f64, element_loss: *mut f64,
        gradient: *mut f64, hessian: *mut f64,
    ) -> fghm_status;
    pub fn fghm_focal_softmax_f32(
        focal: *const fghm_focal, pool: *mut fghm_pool, samples: usize, classes: usize,
        logits: *const f32, labels: *const i64, ignore_index: i64, weights: *const f32,
        loss: *mut f64, element_loss: *mut f32, gradient: *mut f32, hessian: *mut f32,
    ) -> fghm_status;
    pub fn fghm_focal_softmax_f64(
        focal: *const fghm_focal, pool: *mut fghm_pool, samples: usize, classes: usize,
        logits: *const f64, labels: *const i64, ignore_index: i64, weights: *const f64,
        loss: *mut f64, element_loss: *mut f64, gradient: *mut f64, hessian: *mut f64,
    ) -> fghm_status;
    pub fn fghm_focal_batch(
        focal: *const fghm_focal, pool: *mut fghm_pool, batch: *const fghm_batch,
        result: *mut fghm_result,
    ) -> fghm_status;
    pub fn fghm_focal_best_constant(
        focal: *const fghm_focal, positives: f64, negatives: f64, logit: *mut f64,
    ) -> fghm_status;
    pub fn fghm_focal_calibrate_f32(
        focal: *const fghm_focal, pool: *mut fghm_pool, n: usize, logits: *const f32,
        probabilities: *mut f32,
    ) -> fghm_status;
    pub fn fghm_focal_calibrate_f64(
        focal: *const fghm_focal, pool: *mut fghm_pool, n: usize, logits: *const f64,
        probabilities: *mut f64,
    ) -> fghm_status;
    pub fn fghm_focal_calibrate_softmax_f32(
        focal: *const fghm_focal, pool: *mut fghm_pool, samples: usize, classes: usize,
        logits: *const f32, class_gamma: *const f64, class_weights: *const f64,
        probabilities: *mut f32,
    ) -> fghm_status;
    pub fn fghm_focal_calibrate_softmax_f64(
        focal: *const fghm_focal, pool: *mut fghm_pool, samples: usize, classes: usize,
        logits: *const f64, class_gamma: *const f64, class_weights: *const f64,
        probabilities: *mut f64,
    ) -> fghm_status;
    pub fn fghm_focal_best_constant_softmax(
        focal: *const fghm_focal, classes: usize, frequencies: *const f64, class_gamma: *const f64,
        class_weights: *const f64, logits: *mut f64,
    ) -> fghm_status;
    pub fn fghm_ghm_create(ghm: *mut *mut fghm_ghm, kind: fghm_ghm_kind) -> fghm_status;
    pub fn fghm_ghm_create_from_state(
        ghm: *mut *mut fghm_ghm, size: usize, state: *const c_void,
    ) -> fghm_status;
    pub fn fghm_ghm_clone(ghm: *const fghm_ghm, copy: *mut *mut fghm_ghm) -> fghm_status;
    pub fn fghm_ghm_destroy(ghm: *mut fghm_ghm);
    pub fn fghm_ghm_get_kind(ghm: *const fghm_ghm, kind: *mut fghm_ghm_kind) -> fghm_status;
    pub fn fghm_ghm_set_bins(ghm: *mut fghm_ghm, bins: usize) -> fghm_status;
    pub fn fghm_ghm_get_bins(ghm: *const fghm_ghm, bins: *mut usize) -> fghm_status;
    pub fn fghm_ghm_set_edges(ghm: *mut fghm_ghm, bins: usize, edges: *const f64) -> fghm_status;
    pub fn fghm_ghm_get_edges(
        ghm: *const fghm_ghm, capacity: usize, edges: *mut f64,
    ) -> fghm_status;
    pub fn fghm_ghm_set_histograms(ghm: *mut fghm_ghm, histograms: usize) -> fghm_status;
    pub fn fghm_ghm_get_histograms(ghm: *const fghm_ghm, histograms: *mut usize) -> fghm_status;
    pub fn fghm_ghm_set_mu(ghm: *mut fghm_ghm, mu: f64) -> fghm_status;
    pub fn fghm_ghm_get_mu(ghm: *const fghm_ghm, mu: *mut f64) -> fghm_status;
    pub fn fghm_ghm_set_momentum(ghm: *mut fghm_ghm, momentum: f64) -> fghm_status;
    pub fn fghm_ghm_get_momentum(ghm: *const fghm_ghm, momentum: *mut f64) -> fghm_status;
    pub fn fghm_ghm_set_momentum_rule(
        ghm: *mut fghm_ghm, rule: fghm_ghm_momentum_rule,
    ) -> fghm_status;
    pub fn fghm_ghm_get_momentum_rule(
        ghm: *const fghm_ghm, rule: *mut fghm_ghm_momentum_rule,
    ) -> fghm_status;
    pub fn fghm_ghm_set_divisor(ghm: *mut fghm_ghm, divisor: fghm_ghm_divisor) -> fghm_status;
    pub fn fghm_ghm_get_divisor(
        ghm: *const fghm_ghm, divisor: *mut fghm_ghm_divisor,
    ) -> fghm_status;
    pub fn fghm_ghm_set_weight_cap(ghm: *mut fghm_ghm, cap: f64) -> fghm_status;
    pub fn fghm_ghm_get_weight_cap(ghm: *const fghm_ghm, cap: *mut f64) -> fghm_status;
    pub fn fghm_ghm_set_loss_weight(ghm: *mut fghm_ghm, loss_weight: f64) -> fghm_status;
    pub fn fghm_ghm_get_loss_weight(ghm: *const fghm_ghm, loss_weight: *mut f64) -> fghm_status;
    pub fn fghm_ghm_set_reduction(ghm: *mut fghm_ghm, reduction: fghm_reduction) -> fghm_status;
    pub fn fghm_ghm_get_reduction(
        ghm: *const fghm_ghm, reduction: *mut fghm_reduction,
    ) -> fghm_status;
    pub fn fghm_ghm_set_normalizer(ghm: *mut fghm_ghm, normalizer: f64) -> fghm_status;
    pub fn fghm_ghm_get_normalizer(ghm: *const fghm_ghm, normalizer: *mut f64) -> fghm_status;
    pub fn fghm_ghm_step_f32(
        ghm: *mut fghm_ghm, pool: *mut fghm_pool, n: usize, inputs: *const f32,
        targets: *const f32, mask: *const f32, loss: *mut f64, element_loss: *mut f32,
        gradient: *mut f32, hessian: *mut f32,
    ) -> fghm_status;
    pub fn fghm_ghm_step_f64(
        ghm: *mut fghm_ghm, pool: *mut fghm_pool, n: usize, inputs: *const f64,
        targets: *const f64, mask: *const f64, loss: *mut f64, element_loss: *mut f64,
        gradient: *mut f64, hessian: *mut f64,
    ) -> fghm_status;
    pub fn fghm_ghm_count_f32(
        ghm: *const fghm_ghm, pool: *mut fghm_pool, n: usize, inputs: *const f32,
        targets: *const f32, mask: *const f32, capacity: usize, counts: *mut u64,
    ) -> fghm_status;
    pub fn fghm_ghm_count_f64(
        ghm: *const fghm_ghm, pool: *mut fghm_pool, n: usize, inputs: *const f64,
        targets: *const f64, mask: *const f64, capacity: usize, counts: *mut u64,
    ) -> fghm_status;
    pub fn fghm_ghm_update(ghm: *mut fghm_ghm, capacity: usize, counts: *const u64) -> fghm_status;
    pub fn fghm_ghm_apply_f32(
        ghm: *const fghm_ghm, pool: *mut fghm_pool, n: usize, inputs: *const f32,
        targets: *const f32, mask: *const f32, loss: *mut f64, element_loss: *mut f32,
        gradient: *mut f32, hessian: *mut f32,
    ) -> fghm_status;
    pub fn fghm_ghm_apply_f64(
        ghm: *const fghm_ghm, pool: *mut fghm_pool, n: usize, inputs: *const f64,
        targets: *const f64, mask: *const f64, loss: *mut f64, element_loss: *mut f64,
        gradient: *mut f64, hessian: *mut f64,
    ) -> fghm_status;
    pub fn fghm_ghm_step_batch(
        ghm: *mut fghm_ghm, pool: *mut fghm_pool, batch: *const fghm_batch,
        result: *mut fghm_result,
    ) -> fghm_status;
    pub fn fghm_ghm_count_batch(
        ghm: *const fghm_ghm, pool: *mut fghm_pool, batch: *const fghm_batch, capacity: usize,
        counts: *mut u64, result: *mut fghm_result,
    ) -> fghm_status;
    pub fn fghm_ghm_apply_batch(
        ghm: *const fghm_ghm, pool: *mut fghm_pool, batch: *const fghm_batch,
        result: *mut fghm_result,
    ) -> fghm_status;
    pub fn fghm_ghm_density_f32(
        ghm: *const fghm_ghm, pool: *mut fghm_pool, n: usize, inputs: *const f32,
        targets: *const f32, mask: *const f32, weights: *mut f32,
    ) -> fghm_status;
    pub fn fghm_ghm_density_f64(
        ghm: *const fghm_ghm, pool: *mut fghm_pool, n: usize, inputs: *const f64,
        targets: *const f64, mask: *const f64, weights: *mut f64,
    ) -> fghm_status;
    pub fn fghm_ghm_get_counts_size(ghm: *const fghm_ghm, size: *mut usize) -> fghm_status;
    pub fn fghm_ghm_get_counts(
        ghm: *const fghm_ghm, capacity: usize, counts: *mut u64,
    ) -> fghm_status;
    pub fn fghm_ghm_get_averages(
        ghm: *const fghm_ghm, capacity: usize, averages: *mut f64,
    ) -> fghm_status;
    pub fn fghm_ghm_get_weights(
        ghm: *const fghm_ghm, capacity: usize, weights: *mut f64,
    ) -> fghm_status;
    pub fn fghm_ghm_get_nonempty(
        ghm: *const fghm_ghm, capacity: usize, nonempty: *mut usize,
    ) -> fghm_status;
    pub fn fghm_ghm_get_steps(ghm: *const fghm_ghm, steps: *mut u64) -> fghm_status;
    pub fn fghm_ghm_reset(ghm: *mut fghm_ghm) -> fghm_status;
    pub fn fghm_ghm_get_state_size(ghm: *const fghm_ghm, size: *mut usize) -> fghm_status;
    pub fn fghm_ghm_save(ghm: *const fghm_ghm, capacity: usize, state: *mut c_void) -> fghm_status;
    pub fn fghm_ghm_load(ghm: *mut fghm_ghm, size: usize, state: *const c_void) -> fghm_status;
    pub fn fghm_isa_name() -> *const c_char;
    pub fn fghm_version() -> *const c_char;
    pub fn fghm_version_number() -> i32;
    pub fn fghm_numerics_revision() -> i32;
}
