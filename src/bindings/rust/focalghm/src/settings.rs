// SPDX-License-Identifier: MIT

//! Settings of handles: for each a function that reads it, and one that sets it.

/// A number as C has it, and as it is here.
pub(crate) trait Setting {
    type Raw: Default;
    fn raw(self) -> Self::Raw;
    fn from_raw(raw: Self::Raw) -> Self;
}

macro_rules! plain {
    ($($number:ty),*) => {$(
        impl Setting for $number {
            type Raw = Self;
            fn raw(self) -> Self {
                self
            }
            fn from_raw(raw: Self) -> Self {
                raw
            }
        }
    )*};
}
plain!(f64, usize);

impl Setting for bool {
    type Raw = i32;
    fn raw(self) -> i32 {
        i32::from(self)
    }
    fn from_raw(raw: i32) -> Self {
        raw != 0
    }
}

macro_rules! constant {
    ($($family:ident),*) => {$(
        impl Setting for crate::$family {
            type Raw = i32;
            fn raw(self) -> i32 {
                self.raw()
            }
            fn from_raw(raw: i32) -> Self {
                Self::from_raw(raw)
            }
        }
    )*};
}
constant!(Reduction, FocalRule, HessianMode, MomentumRule, BinDivisor);

macro_rules! settings {
    ($handle:ident, $raw:ident:
     $($(#[$about:meta])* $get:ident, $set:ident: $value:ty = $c_get:ident, $c_set:ident, $field:ident;)*) => {
        impl $handle {$(
            $(#[$about])*
            pub fn $get(&self) -> Result<$value> {
                let mut raw = Default::default();
                // SAFETY: its handle, and a place for the number.
                check(unsafe { sys::$c_get(self.0, &mut raw) }, Field::$field)?;
                Ok(crate::settings::Setting::from_raw(raw))
            }

            #[doc = concat!("Sets what [`Self::", stringify!($get), "`] reads; see `", stringify!($c_set), "`.")]
            pub fn $set(&mut self, value: $value) -> Result<&mut Self> {
                // SAFETY: its handle, which nobody else uses.
                let status = unsafe { sys::$c_set(self.0, crate::settings::Setting::raw(value)) };
                check(status, Field::$field)?;
                Ok(self)
            }
        )*}
    };
}
pub(crate) use settings;
