// SPDX-License-Identifier: MIT

// Package focalghm computes focal loss and the gradient harmonizing mechanism (GHM), with
// gradient and Hessian, for training on imbalanced data.  It calls the C library libfocalghm,
// which pkg-config has to find; that library's headers say what each setting, form and layout
// means, and how right results are.
//
// A [Focal] or a [GHM] holds settings (and a GHM a history).  Its methods compute: over contiguous
// slices of float32 or float64 ([Focal.Float32]), over rows of logits with labels
// ([Focal.Softmax32]), or over a [Batch], which takes slices of any shape, strides and storage
// type.  Nothing is copied: what cannot be passed as it is, is an error.  A call allocates nothing
// in Go.
//
// # Errors
//
// Errors are of type [*Error].  Compare with a [Status]: errors.Is(err, focalghm.ErrRange).
//
// # Closing
//
// Close frees a handle at once; a handle that is not reachable any more is freed by the garbage
// collector.  A closed handle can be used no more: its methods return [ErrNullHandle].
//
// # Goroutines
//
// Any number of goroutines may use one handle in methods that compute or read.  While a setter,
// Close or a method that changes a GHM's history runs (Step, Update, Reset, Load), no other
// goroutine may use the handle: the race detector reports it.  Two handles share nothing.
//
// A call computes on its own thread, unless it is given a [Pool].  While a call runs, no other
// goroutine may write the slices it was given.
package focalghm

/*
#cgo pkg-config: focalghm
#include "call.h"
*/
import "C"

import "runtime"

// Version returns the version of the C library that is running, as "MAJOR.MINOR.PATCH".
func Version() string {
	return C.GoString(C.fghm_version())
}

// VersionNumber returns the version of the C library that is running, as
// MAJOR * 10000 + MINOR * 100 + PATCH.
func VersionNumber() int {
	return int(C.fghm_version_number())
}

// NumericsRevision returns a number that changes when, and only when, a release of the C library
// gives other bits for the same input.
func NumericsRevision() int {
	return int(C.fghm_numerics_revision())
}

// ISA returns the name of the instruction set that computes, e.g. "avx2".
func ISA() string {
	return C.GoString(C.fghm_isa_name())
}

// Must returns the value of a call, and panics if it has returned an error: for calls whose
// arguments are constants, and for programs that have nothing else to do about an error.
func Must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// noCopy makes go vet report copies of the struct that has it.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// owned is a C object, by a pointer of type P, that is freed by close or by the garbage collector.
type owned[P comparable] struct {
	_       noCopy
	pointer P
	cleanup runtime.Cleanup
	destroy func(P)
}

func (o *owned[P]) own(pointer P, destroy func(P)) {
	o.pointer = pointer
	o.destroy = destroy
	o.cleanup = runtime.AddCleanup(o, destroy, pointer)
}

// changed is the pointer for a call that changes the object.  The race detector, which cannot
// look into C, sees a write here.
func (o *owned[P]) changed() P {
	pointer := o.pointer
	o.pointer = pointer
	return pointer
}

// checked is the error for the status of a call with the object, which lives until here.
func (o *owned[P]) checked(status C.fghm_status, field Field) error {
	runtime.KeepAlive(o)
	return failure(status, field)
}

func (o *owned[P]) close() {
	var none P
	pointer := o.changed()
	if pointer == none {
		return
	}
	o.cleanup.Stop()
	o.pointer = none
	o.destroy(pointer)
}

// A Float is a number that losses are computed in.
type Float interface {
	float32 | float64
}

// Elements are the slices of a call over contiguous elements.  All that are not nil have the same
// length.  ElementLoss, Gradient and Hessian may be the very slice of Inputs, Targets or Weights,
// which the result then replaces; no other overlap of an output with another slice is allowed.
type Elements[T Float] struct {
	// Logits; of a GHM for regression, predictions.
	Inputs []T
	// In [0, 1]; for regression any numbers.
	Targets []T
	// Focal loss: a factor for each element.  GHM: a mask, an element is valid where its number
	// is above 0.  nil: all 1.
	Weights []T

	// Outputs; nil where they are not wanted.
	ElementLoss, Gradient, Hessian []T
}

// A slice that takes part in a call without a descriptor.
type part struct {
	field  Field
	is     bool
	length int
}

func sameLength(n int, parts ...part) error {
	for _, p := range parts {
		if p.is && p.length != n {
			return newError(ErrLength, p.field)
		}
	}
	return nil
}

func partOf[T any](field Field, s []T) part {
	return part{field, s != nil, len(s)}
}

func (e *Elements[T]) check() error {
	return sameLength(len(e.Inputs), partOf(FieldTargets, e.Targets),
		partOf(FieldWeights, e.Weights), partOf(FieldElementLoss, e.ElementLoss),
		partOf(FieldGradient, e.Gradient), partOf(FieldHessian, e.Hessian))
}

// Rows are the slices of a softmax call: rows of logits, each with the label of its one true
// class.  Outputs may overlap as those of [Elements] may.
type Rows[T Float] struct {
	// The number of classes, which is the length of a row.
	Classes int
	// len(Labels) * Classes numbers, row after row.
	Logits []T
	// One for each row, from 0 to Classes - 1.
	Labels []int64
	// A factor for each row; nil: all 1.
	Weights []T

	// One for each row; nil if not wanted.
	ElementLoss []T
	// As Logits; nil where they are not wanted.
	Gradient, Hessian []T
}

func (r *Rows[T]) check() error {
	samples := len(r.Labels)
	if r.Classes <= 0 {
		return newError(ErrRange, FieldShape)
	}
	if len(r.Logits)/r.Classes != samples || len(r.Logits)%r.Classes != 0 {
		return newError(ErrLength, FieldLogits)
	}
	if err := sameLength(samples, partOf(FieldWeights, r.Weights),
		partOf(FieldElementLoss, r.ElementLoss)); err != nil {
		return err
	}
	return sameLength(len(r.Logits), partOf(FieldGradient, r.Gradient),
		partOf(FieldHessian, r.Hessian))
}
