// SPDX-License-Identifier: MIT

package focalghm

// #include "call.h"
import "C"

import (
	"math"
	"runtime"
	"unsafe"
)

// AxesMax is the most axes of a shape.
const AxesMax = C.FGHM_AXES_MAX

// NoAxis is the ClassAxis of a batch without classes.  (-1 is the last axis.)
const NoAxis = C.FGHM_AXIS_NONE

// IgnoreNone says that no value of the targets means "ignore".
const IgnoreNone int64 = C.FGHM_IGNORE_NONE

// A Float16 holds the bits of an IEEE binary16 number.
type Float16 uint16

// A BFloat16 holds the upper half of the bits of a float32.
type BFloat16 uint16

// A Number is what a slice of a batch can hold.  Integers and bool are for targets and labels
// alone.
type Number interface {
	float32 | float64 | Float16 | BFloat16 | uint8 | int32 | int64 | bool
}

// An Array is a view of a slice, made by [Contiguous], [Strided] or [PerSample].  The zero Array
// is none.  It shares the slice's memory.
type Array struct {
	data unsafe.Pointer
	size int // of a number
	form C.fgo_array
}

// Contiguous is a slice that holds the array row-major: all axes of the shape for an array of
// elements, all but the class axis for an array of samples.
func Contiguous[T Number](s []T) Array {
	return view(s, C.FGHM_LAYOUT_CONTIGUOUS)
}

// PerSample is a slice with one number for each sample, row-major over all axes but that of the
// classes, for which it is repeated.  It is for inputs alone.
func PerSample[T Number](s []T) Array {
	return view(s, C.FGHM_LAYOUT_PER_SAMPLE)
}

// Strided is an array that lies in s in any way: the element with the index 0 on each axis is
// s[first], and a step along axis a goes strides[a] numbers on.  There is a stride for each axis
// of the shape; a negative one goes backwards, 0 repeats a value.  An array of samples has the
// stride 0 for the class axis.
func Strided[T Number](s []T, first int, strides ...int) Array {
	a := view(s, C.FGHM_LAYOUT_STRIDED)
	a.form.first = C.int64_t(first)
	if len(strides) > AxesMax {
		a.form.first = -1 // no number: it leads out of any slice
	}
	for axis, stride := range strides {
		if axis < AxesMax {
			a.form.strides[axis] = C.int64_t(stride)
		}
	}
	return a
}

func view[T Number](s []T, layout C.fghm_layout) Array {
	var number T
	a := Array{data: unsafe.Pointer(unsafe.SliceData(s)), size: int(unsafe.Sizeof(number))}
	a.form.layout, a.form.length = layout, C.int64_t(len(s))
	switch any(number).(type) {
	case float32:
		a.form.dtype = C.FGHM_F32
	case float64:
		a.form.dtype = C.FGHM_F64
	case Float16:
		a.form.dtype = C.FGHM_F16
	case BFloat16:
		a.form.dtype = C.FGHM_BF16
	case uint8, bool:
		a.form.dtype = C.FGHM_U8
	case int32:
		a.form.dtype = C.FGHM_I32
	case int64:
		a.form.dtype = C.FGHM_I64
	}
	return a
}

// start points at the element with the index 0 on each axis.  Where that is out of the slice, no
// call looks at it.
func (a *Array) start() *C.char {
	if a.form.first <= 0 || a.form.first >= a.form.length {
		return (*C.char)(a.data)
	}
	return (*C.char)(unsafe.Add(a.data, int(a.form.first)*a.size))
}

// An Activation says what the logits hold.
type Activation int32

// Activations.
const (
	// Logits, each for itself; of a GHM for regression, predictions.
	Sigmoid Activation = C.FGHM_SIGMOID
	// Logits of which each sample has one true class.  The loss belongs to the sample: Targets,
	// Weights, ElementLoss and HarmonizingWeight are arrays of samples.
	Softmax Activation = C.FGHM_SOFTMAX
	// Probabilities.
	Probability Activation = C.FGHM_PROBABILITY
)

// A TargetForm says what the targets are.
type TargetForm int32

// Forms of targets.
const (
	// One target in [0, 1] for each element.
	Dense TargetForm = C.FGHM_TARGET_DENSE
	// One label for each sample, of type uint8, int32 or int64.
	Label TargetForm = C.FGHM_TARGET_LABEL
	// Labels, and in Scores the target of each sample's labelled class.
	LabelScore TargetForm = C.FGHM_TARGET_LABEL_SCORE
)

// A Background says which label means "none of the classes".
type Background int32

// Backgrounds.
const (
	// No label does; classes are 0 ... C - 1.
	BackgroundNone Background = C.FGHM_BACKGROUND_NONE
	// The label C; with softmax C - 1.
	BackgroundLast Background = C.FGHM_BACKGROUND_LAST
	// The label 0, and classes are 1 ... C; with softmax the label 0 of 0 ... C - 1.
	BackgroundFirst Background = C.FGHM_BACKGROUND_FIRST
	// The label -1; not with softmax.
	BackgroundMinusOne Background = C.FGHM_BACKGROUND_MINUS_ONE
)

// A Batch says where the numbers of a call lie.  Make it with [NewBatch], then set what is
// needed: at least Logits and Targets.  It may be used for any number of calls.
//
// An element is one logit: an index for each axis of the shape.  A sample is an index for each
// axis but that of the classes.
type Batch struct {
	shape [AxesMax]C.int64_t
	ndim  C.int32_t
	tag   C.uint32_t

	// Which axis is that of the classes: 0, 1, ..., from the end -1, -2, ..., or NoAxis.
	ClassAxis int
	// Sigmoid unless set.
	Activation Activation
	// Dense unless set.
	TargetForm TargetForm
	// BackgroundNone unless set.
	Background Background
	// A dense target that is NaN is missing: its element is ignored.
	NaNTargetsIgnored bool
	// ClassWeightsOfTerms is whether, with Softmax, factors of classes are those of the terms of a
	// sample's loss.
	ClassWeightsOfTerms bool
	// Targets or labels with this value are ignored; IgnoreNone unless set.
	IgnoreIndex int64
	// In [0, 1].
	LabelSmoothing float64

	// One number for each class, or nil: alpha and gamma in place of the handle's, one more factor,
	// and what is added to the logits.
	ClassAlpha, ClassGamma, ClassWeights, ClassOffsets []float64

	// Arrays of elements: logits, or probabilities.
	Logits Array
	// Targets (elements) or labels (samples).
	Targets Array
	// LabelScore: an array of samples.
	Scores Array
	// Factors; of a GHM, a mask.  With softmax an array of samples.
	Weights Array

	// Outputs; the zero Array where they are not wanted.  ElementLoss and HarmonizingWeight are
	// arrays of samples with softmax.
	ElementLoss, Gradient, Hessian, HarmonizingWeight Array
}

// NewBatch makes a batch of a shape: at most AxesMax extents.
func NewBatch(shape ...int) Batch {
	b := Batch{tag: C.FGHM_TAG, ndim: C.int32_t(min(len(shape), AxesMax+1)), ClassAxis: NoAxis,
		IgnoreIndex: IgnoreNone}
	for axis, extent := range shape {
		if axis < AxesMax {
			b.shape[axis] = C.int64_t(extent)
		}
	}
	return b
}

// A Result holds the numbers of a call over a batch.
type Result struct {
	// The reduced loss: Sum / Divisor.
	Loss float64
	// The sum of all element losses.
	Sum float64
	// What it is divided by.
	Divisor float64
	// The sum of the weights of valid elements, or their number.
	SumWeights float64
	// The sum of the targets of valid elements.
	SumTargets float64
	// The number of elements (softmax: samples), of those that are not ignored, and of the
	// positives among these.
	Elements, Valid, Positives uint64
}

func numbers(s []float64) *C.double {
	return (*C.double)(unsafe.SliceData(s))
}

func floats(s []float32) *C.float {
	return (*C.float)(unsafe.SliceData(s))
}

func integers(s []int64) *C.int64_t {
	return (*C.int64_t)(unsafe.SliceData(s))
}

func words(s []uint64) *C.uint64_t {
	return (*C.uint64_t)(unsafe.SliceData(s))
}

// call does what `what` says with the batch.
func (b *Batch) call(what C.int32_t, focal *C.fghm_focal, ghm *C.fghm_ghm, pool *Pool,
	counts []uint64) (Result, error) {
	threads, err := pool.use()
	if err != nil {
		return Result{}, err
	}
	classAxis := C.int32_t(max(math.MinInt32, min(b.ClassAxis, math.MaxInt32)))
	given := C.fgo_batch{tag: b.tag, ndim: b.ndim, class_axis: classAxis,
		activation: C.int32_t(b.Activation), target_form: C.int32_t(b.TargetForm),
		background: C.int32_t(b.Background), shape: b.shape,
		ignore_index: C.int64_t(b.IgnoreIndex), label_smoothing: C.double(b.LabelSmoothing)}
	if b.NaNTargetsIgnored {
		given.flags |= C.FGHM_NAN_TARGETS_IGNORED
	}
	if b.ClassWeightsOfTerms {
		given.flags |= C.FGHM_CLASS_WEIGHTS_OF_TERMS
	}
	for i, factors := range [...][]float64{b.ClassAlpha, b.ClassGamma, b.ClassWeights, b.ClassOffsets} {
		given.factor_lengths[i] = C.int64_t(len(factors))
	}
	given.arrays = [...]C.fgo_array{b.Logits.form, b.Targets.form, b.Scores.form, b.Weights.form,
		b.ElementLoss.form, b.Gradient.form, b.Hessian.form, b.HarmonizingWeight.form}
	found := C.fgo_batch_call(what, focal, ghm, threads, given,
		b.Logits.start(), b.Targets.start(), b.Scores.start(), b.Weights.start(),
		b.ElementLoss.start(), b.Gradient.start(), b.Hessian.start(), b.HarmonizingWeight.start(),
		numbers(b.ClassAlpha), numbers(b.ClassGamma), numbers(b.ClassWeights),
		numbers(b.ClassOffsets), C.size_t(len(counts)), words(counts))
	runtime.KeepAlive(b)
	pool.done()
	result := Result{float64(found.loss), float64(found.sum), float64(found.divisor),
		float64(found.sum_weights), float64(found.sum_targets), uint64(found.elements),
		uint64(found.valid), uint64(found.positives)}
	if found.status == C.FGHM_OK {
		return result, nil
	}
	return result, &Error{Status(found.status), Field(found.field), Field(found.other_field),
		Place(found.place), int64(found.offender)}
}
