// SPDX-License-Identifier: MIT

//! Arrays of a batch: what they are made from, and whether they have what its shape asks for.

use crate::error::check_length;
use crate::{sys, Error, Field, Result};
use std::ffi::c_void;
use std::marker::PhantomData;

const AXES: usize = sys::FGHM_AXES_MAX;

mod private {
    pub trait Stored {
        const DTYPE: i32;
    }
}

/// A number in IEEE binary16, as its bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct F16(pub u16);

/// A number in bfloat16, as its bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);

/// What the numbers of an [`Input`] can be.  Targets can be of all types, the rest must be [`Real`].
pub trait Number: private::Stored + Copy {}

/// What the numbers of an [`Output`] can be.
pub trait Real: Number {}

macro_rules! numbers {
    ($($number:ty: $dtype:ident $($real:ident)?,)*) => {$(
        impl private::Stored for $number {
            const DTYPE: i32 = sys::$dtype;
        }
        impl Number for $number {}
        $(impl $real for $number {})?
    )*};
}
numbers! {
    f32: FGHM_F32 Real, f64: FGHM_F64 Real, F16: FGHM_F16 Real, Bf16: FGHM_BF16 Real,
    bool: FGHM_U8, u8: FGHM_U8, i32: FGHM_I32, i64: FGHM_I64,
}

/// How an array lies, and what is known of its memory.
#[derive(Clone, Copy, Debug)]
enum Form {
    Contiguous {
        length: usize,
    },
    PerSample {
        length: usize,
    },
    Strided {
        length: usize,
        first: usize,
        axes: usize,
        strides: [i64; AXES],
    },
    #[cfg(feature = "ndarray")]
    Shaped {
        axes: usize,
        extents: [usize; AXES],
        strides: [i64; AXES],
    },
}

/// An array without its lifetime, and whether it is written.  `data` is where index 0 is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Array {
    data: *mut c_void,
    dtype: i32,
    form: Form,
}

/// An array that is read: a slice, a strided part of one, or (feature `ndarray`) an array of that
/// crate.
#[derive(Debug)]
pub struct Input<'a> {
    pub(crate) array: Array,
    borrowed: PhantomData<&'a ()>,
}

/// An array that is written, as [`Input`].
#[derive(Debug)]
pub struct Output<'a> {
    pub(crate) array: Array,
    borrowed: PhantomData<&'a mut ()>,
}

fn strided(length: usize, strides: &[isize], first: usize) -> Form {
    let mut copy = [0; AXES];
    for (to, from) in copy.iter_mut().zip(strides) {
        *to = *from as i64;
    }
    Form::Strided { length, first, axes: strides.len(), strides: copy }
}

impl<'a> Input<'a> {
    fn new<T: Number>(numbers: &'a [T], form: Form) -> Self {
        let data = numbers.as_ptr().cast_mut().cast();
        Self { array: Array { data, dtype: T::DTYPE, form }, borrowed: PhantomData }
    }

    /// Numbers of a slice that lie as the strides say, which count numbers: one for each axis of
    /// the batch, and 0 for the class axis in an array of samples.  `numbers[first]` has index 0 on
    /// every axis.  0 repeats a number, a negative stride goes backwards.
    pub fn strided<T: Number>(numbers: &'a [T], strides: &[isize], first: usize) -> Self {
        let mut input = Self::new(numbers, strided(numbers.len(), strides, first));
        input.array.data = input.array.data.wrapping_byte_add(first.wrapping_mul(size_of::<T>()));
        input
    }

    /// One number for each sample, repeated for the classes.
    pub fn per_sample<T: Number>(numbers: &'a [T]) -> Self {
        Self::new(numbers, Form::PerSample { length: numbers.len() })
    }
}

impl<'a> Output<'a> {
    fn new<T: Real>(numbers: &'a mut [T], form: Form) -> Self {
        let data = numbers.as_mut_ptr().cast();
        Self { array: Array { data, dtype: T::DTYPE, form }, borrowed: PhantomData }
    }

    /// As [`Input::strided`].  No stride may make the array meet itself.
    pub fn strided<T: Real>(numbers: &'a mut [T], strides: &[isize], first: usize) -> Self {
        let form = strided(numbers.len(), strides, first);
        let mut output = Self::new(numbers, form);
        output.array.data = output.array.data.wrapping_byte_add(first.wrapping_mul(size_of::<T>()));
        output
    }
}

impl<'a, T: Number> From<&'a [T]> for Input<'a> {
    fn from(numbers: &'a [T]) -> Self {
        Self::new(numbers, Form::Contiguous { length: numbers.len() })
    }
}

impl<'a, T: Number> From<&'a Vec<T>> for Input<'a> {
    fn from(numbers: &'a Vec<T>) -> Self {
        numbers.as_slice().into()
    }
}

impl<'a, T: Number, const N: usize> From<&'a [T; N]> for Input<'a> {
    fn from(numbers: &'a [T; N]) -> Self {
        numbers.as_slice().into()
    }
}

impl<'a, T: Real> From<&'a mut [T]> for Output<'a> {
    fn from(numbers: &'a mut [T]) -> Self {
        let length = numbers.len();
        Self::new(numbers, Form::Contiguous { length })
    }
}

impl<'a, T: Real> From<&'a mut Vec<T>> for Output<'a> {
    fn from(numbers: &'a mut Vec<T>) -> Self {
        numbers.as_mut_slice().into()
    }
}

impl<'a, T: Real, const N: usize> From<&'a mut [T; N]> for Output<'a> {
    fn from(numbers: &'a mut [T; N]) -> Self {
        numbers.as_mut_slice().into()
    }
}

#[cfg(feature = "ndarray")]
mod of_ndarray {
    use super::*;
    use ndarray::{ArrayBase, ArrayView, ArrayViewMut, Data, Dimension, OwnedRepr};

    fn shaped(shape: &[usize], strides: &[isize]) -> Form {
        let (mut extents, mut copy) = ([0; AXES], [0; AXES]);
        for (axis, (extent, stride)) in shape.iter().zip(strides).take(AXES).enumerate() {
            extents[axis] = *extent;
            copy[axis] = *stride as i64;
        }
        Form::Shaped { axes: shape.len(), extents, strides: copy }
    }

    /// An array of samples has no axis for the classes.
    impl<'a, T: Number, D: Dimension> From<ArrayView<'a, T, D>> for Input<'a> {
        fn from(view: ArrayView<'a, T, D>) -> Self {
            let form = shaped(view.shape(), view.strides());
            let data = view.as_ptr().cast_mut().cast();
            Self { array: Array { data, dtype: T::DTYPE, form }, borrowed: PhantomData }
        }
    }

    impl<'a, T: Number, S: Data<Elem = T>, D: Dimension> From<&'a ArrayBase<S, D>> for Input<'a> {
        fn from(array: &'a ArrayBase<S, D>) -> Self {
            array.view().into()
        }
    }

    /// An array of samples has no axis for the classes.
    impl<'a, T: Real, D: Dimension> From<ArrayViewMut<'a, T, D>> for Output<'a> {
        fn from(mut view: ArrayViewMut<'a, T, D>) -> Self {
            let form = shaped(view.shape(), view.strides());
            let data = view.as_mut_ptr().cast();
            Self { array: Array { data, dtype: T::DTYPE, form }, borrowed: PhantomData }
        }
    }

    // Not of arrays whose data is shared, which would be copied first.
    impl<'a, T: Real, D: Dimension> From<&'a mut ArrayBase<OwnedRepr<T>, D>> for Output<'a> {
        fn from(array: &'a mut ArrayBase<OwnedRepr<T>, D>) -> Self {
            array.view_mut().into()
        }
    }
}

/// The axes of a batch that an array with so many has: all, or all but that of the classes.
#[cfg(feature = "ndarray")]
fn own_axes(axes: usize, batch: &sys::fghm_batch) -> impl Iterator<Item = usize> + use<> {
    let ndim = batch.ndim.clamp(0, AXES as i32);
    let from_the_end = if batch.class_axis < 0 { ndim } else { 0 };
    let of_classes = batch.class_axis.saturating_add(from_the_end);
    let left_out = if axes as i32 == ndim - 1 { of_classes } else { -1 };
    (0..ndim).filter(move |axis| *axis != left_out).map(|axis| axis as usize)
}

impl Array {
    /// The array as C takes it, in this shape.
    pub fn described(&self, _batch: &sys::fghm_batch) -> sys::fghm_output {
        let (layout, strides) = match self.form {
            Form::Contiguous { .. } => (sys::FGHM_LAYOUT_CONTIGUOUS, [0; AXES]),
            Form::PerSample { .. } => (sys::FGHM_LAYOUT_PER_SAMPLE, [0; AXES]),
            Form::Strided { strides, .. } => (sys::FGHM_LAYOUT_STRIDED, strides),
            #[cfg(feature = "ndarray")]
            Form::Shaped { axes, strides, .. } => {
                let mut all = [0; AXES];
                for (axis, stride) in own_axes(axes, _batch).zip(strides) {
                    all[axis] = stride;
                }
                (sys::FGHM_LAYOUT_STRIDED, all)
            }
        };
        sys::fghm_output { data: self.data, dtype: self.dtype, layout, strides }
    }

    /// Whether it has all the numbers that C may touch: `before` the one that has index 0 on every
    /// axis, and `after`, from that one on.
    pub fn check(
        &self, field: Field, batch: &sys::fghm_batch, before: usize, after: usize,
    ) -> Result<()> {
        let ndim = batch.ndim as usize;
        match self.form {
            Form::Contiguous { length } | Form::PerSample { length } => {
                check_length(field, length, after)
            }
            Form::Strided { length, first, axes, .. } => {
                check_length(field, axes, ndim)?;
                let inside = first >= before && length.checked_sub(first) >= Some(after);
                if after == 0 || inside {
                    Ok(())
                } else {
                    Err(Error::Strides { field })
                }
            }
            #[cfg(feature = "ndarray")]
            Form::Shaped { axes, extents, .. } => {
                check_length(field, axes, own_axes(axes, batch).count())?;
                own_axes(axes, batch).zip(extents).try_for_each(|(axis, extent)| {
                    check_length(field, extent, batch.shape[axis] as usize)
                })
            }
        }
    }
}
