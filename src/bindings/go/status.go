// SPDX-License-Identifier: MIT

package focalghm

// #include "call.h"
import "C"

import (
	"fmt"
	"strings"
)

// A Status says what kind of thing is wrong.  It is an error itself, to compare with:
//
//	if errors.Is(err, focalghm.ErrLabel) { ... }
//
// What functions return is an [*Error], which also says where.  The numbers are those of the C
// library, whose errors are negative; the one positive error is this package's own.
type Status int32

// What a call can return.
const (
	// Success; no error has it.
	OK Status = C.FGHM_OK
	// The handle or the pool is closed.
	ErrNullHandle Status = C.FGHM_ERROR_NULL_HANDLE
	// A slice that is needed is nil.
	ErrNullPointer Status = C.FGHM_ERROR_NULL_POINTER
	// Nothing to compute.  Calls of this package always ask for the loss.
	ErrNoOutput Status = C.FGHM_ERROR_NO_OUTPUT
	// Memory cannot be had.
	ErrMemory Status = C.FGHM_ERROR_MEMORY
	// A thread cannot be made.
	ErrThreads Status = C.FGHM_ERROR_THREADS
	// A struct is of a version that the library does not know.
	ErrStruct Status = C.FGHM_ERROR_STRUCT
	// A Batch was not made by NewBatch.
	ErrUninitialized Status = C.FGHM_ERROR_UNINITIALIZED
	// A field that has no default has not been set.
	ErrUnset Status = C.FGHM_ERROR_UNSET
	// A number is out of its range, or NaN.
	ErrRange Status = C.FGHM_ERROR_RANGE
	// A number is none of the constants that stand here.
	ErrConstant Status = C.FGHM_ERROR_CONSTANT
	// More elements, or classes, than can be addressed.
	ErrSize Status = C.FGHM_ERROR_SIZE
	// An array cannot have this data type.
	ErrDType Status = C.FGHM_ERROR_DTYPE
	// An array cannot have this layout.
	ErrLayout Status = C.FGHM_ERROR_LAYOUT
	// Strides make an output meet itself, or step along classes that the array does not have.
	ErrStride Status = C.FGHM_ERROR_STRIDE
	// An output overlaps another array in a way that is not allowed.
	ErrAliasing Status = C.FGHM_ERROR_ALIASING
	// Two settings do not go together.
	ErrCombination Status = C.FGHM_ERROR_COMBINATION
	// The handle is of the other kind.
	ErrKind Status = C.FGHM_ERROR_KIND
	// The handle has a history, which this would forget: reset it first.
	ErrHistory Status = C.FGHM_ERROR_HISTORY
	// A slice to write into has too little room.
	ErrCapacity Status = C.FGHM_ERROR_CAPACITY
	// The number of histograms is neither 1 nor that of the classes.
	ErrHistograms Status = C.FGHM_ERROR_HISTOGRAMS
	// Counts add up to 2^64 or more.
	ErrCounts Status = C.FGHM_ERROR_COUNTS
	// Edges do not rise from 0 to 1.
	ErrEdges Status = C.FGHM_ERROR_EDGES
	// The bytes are no saved state that can be read.
	ErrState Status = C.FGHM_ERROR_STATE
	// The divisor of the reduction is not above 0 and finite.
	ErrDivisor Status = C.FGHM_ERROR_DIVISOR
	// A label is that of no class.
	ErrLabel Status = C.FGHM_ERROR_LABEL
	// A target is out of its range.
	ErrTarget Status = C.FGHM_ERROR_TARGET
	// A probability is outside [0, 1].
	ErrProbability Status = C.FGHM_ERROR_PROBABILITY
	// A score is outside [0, 1].
	ErrScore Status = C.FGHM_ERROR_SCORE

	// A slice has another length than the shape or the other slices ask for, or its strides lead
	// out of it.  The C library cannot see that; this package looks before each call.
	ErrLength Status = C.FGO_OUTSIDE
)

// Error returns the sentence for the status.
func (s Status) Error() string {
	if s == ErrLength {
		return "a slice has not the length that the shape asks for"
	}
	return C.GoString(C.fghm_status_string(C.fghm_status(s)))
}

// Name returns the status as one word: "range", "null_handle".
func (s Status) Name() string {
	if s == ErrLength {
		return "length"
	}
	return C.GoString(C.fghm_status_name(C.fghm_status(s)))
}

// A Field is a field of a batch or a setting: where an error is.
type Field int32

// Fields.
const (
	FieldNone              Field = C.FGHM_FIELD_NONE
	FieldBatch             Field = C.FGHM_FIELD_BATCH
	FieldResult            Field = C.FGHM_FIELD_RESULT
	FieldSize              Field = C.FGHM_FIELD_SIZE
	FieldTag               Field = C.FGHM_FIELD_TAG
	FieldNDim              Field = C.FGHM_FIELD_NDIM
	FieldClassAxis         Field = C.FGHM_FIELD_CLASS_AXIS
	FieldShape             Field = C.FGHM_FIELD_SHAPE
	FieldActivation        Field = C.FGHM_FIELD_ACTIVATION
	FieldTargetForm        Field = C.FGHM_FIELD_TARGET_FORM
	FieldBackground        Field = C.FGHM_FIELD_BACKGROUND
	FieldFlags             Field = C.FGHM_FIELD_FLAGS
	FieldIgnoreIndex       Field = C.FGHM_FIELD_IGNORE_INDEX
	FieldLabelSmoothing    Field = C.FGHM_FIELD_LABEL_SMOOTHING
	FieldClassAlpha        Field = C.FGHM_FIELD_CLASS_ALPHA
	FieldClassGamma        Field = C.FGHM_FIELD_CLASS_GAMMA
	FieldClassWeights      Field = C.FGHM_FIELD_CLASS_WEIGHTS
	FieldClassOffsets      Field = C.FGHM_FIELD_CLASS_OFFSETS
	FieldLogits            Field = C.FGHM_FIELD_LOGITS
	FieldTargets           Field = C.FGHM_FIELD_TARGETS
	FieldScores            Field = C.FGHM_FIELD_SCORES
	FieldWeights           Field = C.FGHM_FIELD_WEIGHTS
	FieldElementLoss       Field = C.FGHM_FIELD_ELEMENT_LOSS
	FieldGradient          Field = C.FGHM_FIELD_GRADIENT
	FieldHessian           Field = C.FGHM_FIELD_HESSIAN
	FieldHarmonizingWeight Field = C.FGHM_FIELD_HARMONIZING_WEIGHT
	FieldCounts            Field = C.FGHM_FIELD_COUNTS
	FieldCapacity          Field = C.FGHM_FIELD_CAPACITY
	FieldGamma             Field = C.FGHM_FIELD_GAMMA
	FieldNegativeGamma     Field = C.FGHM_FIELD_NEGATIVE_GAMMA
	FieldAlpha             Field = C.FGHM_FIELD_ALPHA
	FieldLossWeight        Field = C.FGHM_FIELD_LOSS_WEIGHT
	FieldReduction         Field = C.FGHM_FIELD_REDUCTION
	FieldNormalizer        Field = C.FGHM_FIELD_NORMALIZER
	FieldRule              Field = C.FGHM_FIELD_RULE
	FieldHessianMode       Field = C.FGHM_FIELD_HESSIAN_MODE
	FieldHessianFloor      Field = C.FGHM_FIELD_HESSIAN_FLOOR
	FieldDetached          Field = C.FGHM_FIELD_DETACHED
	FieldBeta              Field = C.FGHM_FIELD_BETA
	FieldMargin            Field = C.FGHM_FIELD_MARGIN
	FieldPositiveWeight    Field = C.FGHM_FIELD_POSITIVE_WEIGHT
	FieldHessianFactor     Field = C.FGHM_FIELD_HESSIAN_FACTOR
	FieldKind              Field = C.FGHM_FIELD_KIND
	FieldBins              Field = C.FGHM_FIELD_BINS
	FieldEdges             Field = C.FGHM_FIELD_EDGES
	FieldHistograms        Field = C.FGHM_FIELD_HISTOGRAMS
	FieldMu                Field = C.FGHM_FIELD_MU
	FieldMomentum          Field = C.FGHM_FIELD_MOMENTUM
	FieldMomentumRule      Field = C.FGHM_FIELD_MOMENTUM_RULE
	FieldBinDivisor        Field = C.FGHM_FIELD_BIN_DIVISOR
	FieldWeightCap         Field = C.FGHM_FIELD_WEIGHT_CAP
)

// String returns the field's name as C writes it: "class_axis".
func (f Field) String() string {
	return C.GoString(C.fghm_field_name(C.fghm_field(f)))
}

// A Place says what the index of an offender counts.
type Place int32

// Places.
const (
	// There is no index.
	PlaceNone Place = C.FGHM_PLACE_NONE
	// Elements, row-major in the batch's shape.
	PlaceElement Place = C.FGHM_PLACE_ELEMENT
	// Samples: row-major in the shape without its class axis.
	PlaceSample Place = C.FGHM_PLACE_SAMPLE
	// Classes.
	PlaceClass Place = C.FGHM_PLACE_CLASS
	// Axes of the shape.
	PlaceAxis Place = C.FGHM_PLACE_AXIS
)

// String returns the place's name, "" for PlaceNone.
func (p Place) String() string {
	return C.GoString(C.fghm_place_name(C.fghm_place(p)))
}

// An Error is what functions of this package return when something is wrong.
//
// [ErrTarget], [ErrProbability] and [ErrScore] are element errors: the results of the elements
// in question are NaN, those of all others are right, and the numbers of a [Result] are without
// them.  After any other error nothing has been written and no handle has changed.
type Error struct {
	// What kind of thing is wrong.
	Status Status
	// Where; FieldNone where the call has no fields.
	Field Field
	// ErrCombination, ErrAliasing: the other of the two, else FieldNone.
	OtherField Field
	// What Offender counts.
	Place Place
	// The first element, sample, class or axis that is in error, else -1.
	Offender int64
}

// Error returns what is wrong and where: "focalghm: targets: a label is that of no class, sample 3".
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString("focalghm: ")
	if e.Field != FieldNone {
		text.WriteString(e.Field.String())
		if e.OtherField != FieldNone {
			text.WriteString(" and " + e.OtherField.String())
		}
		text.WriteString(": ")
	}
	text.WriteString(e.Status.Error())
	if e.Place != PlaceNone {
		fmt.Fprintf(&text, ", %v %d", e.Place, e.Offender)
	}
	return text.String()
}

// Unwrap returns the status, so that errors.Is finds it.
func (e *Error) Unwrap() error {
	return e.Status
}

// failure is the error for the status of a call, nil for success.  The field is what a call
// without a result is about.
func failure(status C.fghm_status, field Field) error {
	if status == C.FGHM_OK {
		return nil
	}
	return newError(Status(status), field)
}

func newError(status Status, field Field) error {
	if status == ErrNullHandle || status == ErrMemory {
		field = FieldNone
	}
	return &Error{Status: status, Field: field, Offender: -1}
}
