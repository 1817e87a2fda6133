// SPDX-License-Identifier: MIT

//! What goes wrong.

use crate::{sys, Field, Outcome, Place, Status};
use std::fmt;

/// What functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, and where.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The C library has returned a status.
    #[non_exhaustive]
    Library {
        /// What kind of thing is wrong.
        status: Status,
        /// Where: [`Field::NONE`] where the library does not say.
        field: Field,
        /// Of two things that do not go together, the other one.
        other_field: Field,
        /// What `offender` counts.
        place: Place,
        /// The first element, sample, class or axis that is in error, else -1.
        offender: i64,
        /// Of a batch some of whose elements are in error: its numbers without them.
        outcome: Option<Outcome>,
    },
    /// An array has another length, shape or number of strides than the call asks for.
    #[non_exhaustive]
    Length {
        /// Which array.
        field: Field,
        /// What it has.
        length: usize,
        /// What it should have.
        needed: usize,
    },
    /// Strides lead out of their slice.
    #[non_exhaustive]
    Strides {
        /// Which array.
        field: Field,
    },
}

impl Error {
    /// The status of the C library, if it is its error.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Library { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Where the error is.
    pub fn field(&self) -> Field {
        match self {
            Self::Library { field, .. } | Self::Length { field, .. } | Self::Strides { field } => {
                *field
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field() != Field::NONE {
            f.write_str(self.field().name())?;
            match self {
                Self::Library { other_field, .. } if *other_field != Field::NONE => {
                    write!(f, ", {}", other_field.name())?;
                }
                _ => {}
            }
            f.write_str(": ")?;
        }
        match self {
            Self::Library { status, place, offender, .. } => {
                f.write_str(status.sentence())?;
                if *place != Place::NONE {
                    write!(f, ", {} {offender}", place.name())?;
                }
                Ok(())
            }
            Self::Length { length, needed, .. } => write!(f, "{length} in place of {needed}"),
            Self::Strides { .. } => f.write_str("strides lead out of the slice"),
        }
    }
}

impl std::error::Error for Error {}

/// The error of a call without a result, if it has returned one.
pub(crate) fn check(status: sys::fghm_status, field: Field) -> Result<()> {
    if status == sys::FGHM_OK {
        return Ok(());
    }
    Err(Error::Library {
        status: Status::from_raw(status),
        field,
        other_field: Field::NONE,
        place: Place::NONE,
        offender: -1,
        outcome: None,
    })
}

/// The error of a call over a batch, if it has returned one.
pub(crate) fn check_batch(status: sys::fghm_status, result: &sys::fghm_result) -> Result<Outcome> {
    if status == sys::FGHM_OK {
        return Ok(Outcome::of(result));
    }
    let status = Status::from_raw(status);
    Err(Error::Library {
        status,
        field: Field::from_raw(result.field),
        other_field: Field::from_raw(result.other_field),
        place: Place::from_raw(result.place),
        offender: result.offender,
        outcome: status.is_of_elements().then(|| Outcome::of(result)),
    })
}

pub(crate) fn check_length(field: Field, length: usize, needed: usize) -> Result<()> {
    if length == needed {
        Ok(())
    } else {
        Err(Error::Length { field, length, needed })
    }
}
