// SPDX-License-Identifier: MIT

//! Constants: a type for each family.  A later library may have more of them.

use crate::{sys, text};
use std::fmt;

macro_rules! constants {
    ($(#[$about:meta])* $family:ident { $($(#[$of:meta])* $name:ident = $value:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $family(i32);

        impl $family {
            $($(#[$of])* #[doc = concat!("`", stringify!($value), "`")]
            pub const $name: Self = Self(sys::$value);)*

            /// A constant of a later library.
            pub const fn from_raw(value: i32) -> Self {
                Self(value)
            }

            /// The number of the C library.
            pub const fn raw(self) -> i32 {
                self.0
            }
        }

        impl fmt::Debug for $family {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $(sys::$value => f.write_str(stringify!($name)),)*
                    value => write!(f, "{}({value})", stringify!($family)),
                }
            }
        }
    };
}

constants! {
    /// What kind of thing is wrong; see `status.h`.
    Status {
        OK = FGHM_OK,
        NULL_HANDLE = FGHM_ERROR_NULL_HANDLE,
        NULL_POINTER = FGHM_ERROR_NULL_POINTER,
        NO_OUTPUT = FGHM_ERROR_NO_OUTPUT,
        MEMORY = FGHM_ERROR_MEMORY,
        THREADS = FGHM_ERROR_THREADS,
        STRUCT = FGHM_ERROR_STRUCT,
        UNINITIALIZED = FGHM_ERROR_UNINITIALIZED,
        UNSET = FGHM_ERROR_UNSET,
        RANGE = FGHM_ERROR_RANGE,
        CONSTANT = FGHM_ERROR_CONSTANT,
        SIZE = FGHM_ERROR_SIZE,
        DTYPE = FGHM_ERROR_DTYPE,
        LAYOUT = FGHM_ERROR_LAYOUT,
        STRIDE = FGHM_ERROR_STRIDE,
        ALIASING = FGHM_ERROR_ALIASING,
        COMBINATION = FGHM_ERROR_COMBINATION,
        KIND = FGHM_ERROR_KIND,
        HISTORY = FGHM_ERROR_HISTORY,
        CAPACITY = FGHM_ERROR_CAPACITY,
        HISTOGRAMS = FGHM_ERROR_HISTOGRAMS,
        COUNTS = FGHM_ERROR_COUNTS,
        EDGES = FGHM_ERROR_EDGES,
        STATE = FGHM_ERROR_STATE,
        DIVISOR = FGHM_ERROR_DIVISOR,
        LABEL = FGHM_ERROR_LABEL,
        TARGET = FGHM_ERROR_TARGET,
        PROBABILITY = FGHM_ERROR_PROBABILITY,
        SCORE = FGHM_ERROR_SCORE,
    }
}

impl Status {
    /// One word: `"range"`, `"null_handle"`.
    pub fn name(self) -> &'static str {
        // SAFETY: static storage, by the manual, for any number.
        unsafe { text(sys::fghm_status_name(self.0)) }
    }

    /// A sentence, without a full stop.
    pub fn sentence(self) -> &'static str {
        // SAFETY: static storage, by the manual, for any number.
        unsafe { text(sys::fghm_status_string(self.0)) }
    }

    /// Whether only some elements are in error: the results of all others have been written.
    pub fn is_of_elements(self) -> bool {
        matches!(self, Self::TARGET | Self::PROBABILITY | Self::SCORE)
    }
}

constants! {
    /// Where an error is: an argument, a part of a batch or a setting; see `status.h`.
    Field {
        NONE = FGHM_FIELD_NONE,
        BATCH = FGHM_FIELD_BATCH,
        RESULT = FGHM_FIELD_RESULT,
        SIZE = FGHM_FIELD_SIZE,
        TAG = FGHM_FIELD_TAG,
        NDIM = FGHM_FIELD_NDIM,
        CLASS_AXIS = FGHM_FIELD_CLASS_AXIS,
        SHAPE = FGHM_FIELD_SHAPE,
        ACTIVATION = FGHM_FIELD_ACTIVATION,
        TARGET_FORM = FGHM_FIELD_TARGET_FORM,
        BACKGROUND = FGHM_FIELD_BACKGROUND,
        FLAGS = FGHM_FIELD_FLAGS,
        IGNORE_INDEX = FGHM_FIELD_IGNORE_INDEX,
        LABEL_SMOOTHING = FGHM_FIELD_LABEL_SMOOTHING,
        CLASS_ALPHA = FGHM_FIELD_CLASS_ALPHA,
        CLASS_GAMMA = FGHM_FIELD_CLASS_GAMMA,
        CLASS_WEIGHTS = FGHM_FIELD_CLASS_WEIGHTS,
        CLASS_OFFSETS = FGHM_FIELD_CLASS_OFFSETS,
        LOGITS = FGHM_FIELD_LOGITS,
        TARGETS = FGHM_FIELD_TARGETS,
        SCORES = FGHM_FIELD_SCORES,
        WEIGHTS = FGHM_FIELD_WEIGHTS,
        ELEMENT_LOSS = FGHM_FIELD_ELEMENT_LOSS,
        GRADIENT = FGHM_FIELD_GRADIENT,
        HESSIAN = FGHM_FIELD_HESSIAN,
        HARMONIZING_WEIGHT = FGHM_FIELD_HARMONIZING_WEIGHT,
        COUNTS = FGHM_FIELD_COUNTS,
        CAPACITY = FGHM_FIELD_CAPACITY,
        GAMMA = FGHM_FIELD_GAMMA,
        NEGATIVE_GAMMA = FGHM_FIELD_NEGATIVE_GAMMA,
        ALPHA = FGHM_FIELD_ALPHA,
        LOSS_WEIGHT = FGHM_FIELD_LOSS_WEIGHT,
        REDUCTION = FGHM_FIELD_REDUCTION,
        NORMALIZER = FGHM_FIELD_NORMALIZER,
        RULE = FGHM_FIELD_RULE,
        HESSIAN_MODE = FGHM_FIELD_HESSIAN_MODE,
        HESSIAN_FLOOR = FGHM_FIELD_HESSIAN_FLOOR,
        DETACHED = FGHM_FIELD_DETACHED,
        BETA = FGHM_FIELD_BETA,
        MARGIN = FGHM_FIELD_MARGIN,
        POSITIVE_WEIGHT = FGHM_FIELD_POSITIVE_WEIGHT,
        HESSIAN_FACTOR = FGHM_FIELD_HESSIAN_FACTOR,
        KIND = FGHM_FIELD_KIND,
        BINS = FGHM_FIELD_BINS,
        EDGES = FGHM_FIELD_EDGES,
        HISTOGRAMS = FGHM_FIELD_HISTOGRAMS,
        MU = FGHM_FIELD_MU,
        MOMENTUM = FGHM_FIELD_MOMENTUM,
        MOMENTUM_RULE = FGHM_FIELD_MOMENTUM_RULE,
        BIN_DIVISOR = FGHM_FIELD_BIN_DIVISOR,
        WEIGHT_CAP = FGHM_FIELD_WEIGHT_CAP,
    }
}

impl Field {
    /// Its name; `""` for [`Field::NONE`].
    pub fn name(self) -> &'static str {
        // SAFETY: static storage, by the manual, for any number.
        unsafe { text(sys::fghm_field_name(self.0)) }
    }
}

constants! {
    /// What the index of an offender counts; see `status.h`.
    Place {
        NONE = FGHM_PLACE_NONE,
        ELEMENT = FGHM_PLACE_ELEMENT,
        SAMPLE = FGHM_PLACE_SAMPLE,
        CLASS = FGHM_PLACE_CLASS,
        AXIS = FGHM_PLACE_AXIS,
    }
}

impl Place {
    /// Its name; `""` for [`Place::NONE`].
    pub fn name(self) -> &'static str {
        // SAFETY: static storage, by the manual, for any number.
        unsafe { text(sys::fghm_place_name(self.0)) }
    }
}

constants! {
    /// What the logits array holds; see `batch.h`.
    Activation {
        SIGMOID = FGHM_SIGMOID,
        SOFTMAX = FGHM_SOFTMAX,
        PROBABILITY = FGHM_PROBABILITY,
    }
}

constants! {
    /// What the targets are; see `batch.h`.
    TargetForm {
        DENSE = FGHM_TARGET_DENSE,
        LABEL = FGHM_TARGET_LABEL,
        LABEL_SCORE = FGHM_TARGET_LABEL_SCORE,
    }
}

constants! {
    /// Which label means "none of the classes"; see `batch.h`.
    Background {
        NONE = FGHM_BACKGROUND_NONE,
        LAST = FGHM_BACKGROUND_LAST,
        FIRST = FGHM_BACKGROUND_FIRST,
        MINUS_ONE = FGHM_BACKGROUND_MINUS_ONE,
    }
}

constants! {
    /// How losses become one number; see `reduction.h`.
    Reduction {
        SUM = FGHM_REDUCTION_SUM,
        MEAN = FGHM_REDUCTION_MEAN,
        NORMALIZER = FGHM_REDUCTION_NORMALIZER,
        MEAN_SAMPLES = FGHM_REDUCTION_MEAN_SAMPLES,
        MEAN_POSITIVES = FGHM_REDUCTION_MEAN_POSITIVES,
        MEAN_VALID = FGHM_REDUCTION_MEAN_VALID,
        MEAN_WEIGHTS = FGHM_REDUCTION_MEAN_WEIGHTS,
        MEAN_TARGETS = FGHM_REDUCTION_MEAN_TARGETS,
    }
}

constants! {
    /// Which focal loss it is; see `focal.h`.
    FocalRule {
        LINEAR = FGHM_FOCAL_RULE_LINEAR,
        SPLIT = FGHM_FOCAL_RULE_SPLIT,
        QUALITY = FGHM_FOCAL_RULE_QUALITY,
        STAR = FGHM_FOCAL_RULE_STAR,
        VARIFOCAL = FGHM_FOCAL_RULE_VARIFOCAL,
        VARIFOCAL_UNWEIGHTED = FGHM_FOCAL_RULE_VARIFOCAL_UNWEIGHTED,
        MATCHABILITY = FGHM_FOCAL_RULE_MATCHABILITY,
        HEATMAP = FGHM_FOCAL_RULE_HEATMAP,
    }
}

constants! {
    /// What Hessians hold; see `focal.h`.
    HessianMode {
        EXACT = FGHM_HESSIAN_EXACT,
        FLOORED = FGHM_HESSIAN_FLOORED,
        ABSOLUTE = FGHM_HESSIAN_ABSOLUTE,
        GAUSS_NEWTON = FGHM_HESSIAN_GAUSS_NEWTON,
        GRADIENT = FGHM_HESSIAN_GRADIENT,
    }
}

constants! {
    /// Which loss a [`Ghm`](crate::Ghm) is for; see `ghm.h`.
    Kind {
        CLASSIFICATION = FGHM_GHM_CLASSIFICATION,
        REGRESSION = FGHM_GHM_REGRESSION,
    }
}

constants! {
    /// What momentum does; see `ghm.h`.
    MomentumRule {
        CORRECTED = FGHM_GHM_MOMENTUM_CORRECTED,
        REFERENCE = FGHM_GHM_MOMENTUM_REFERENCE,
    }
}

constants! {
    /// What weights of bins are divided by; see `ghm.h`.
    BinDivisor {
        NONEMPTY_BINS = FGHM_GHM_DIVISOR_NONEMPTY_BINS,
        ALL_BINS = FGHM_GHM_DIVISOR_ALL_BINS,
    }
}
