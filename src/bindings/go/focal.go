// SPDX-License-Identifier: MIT

package focalghm

// #include "call.h"
import "C"

import "runtime"

// A Reduction says how the losses of many elements become one number: their sum is divided.
type Reduction int32

// Reductions.  A GHM has the first three alone.
const (
	// By 1.
	Sum Reduction = C.FGHM_REDUCTION_SUM
	// By the number of elements.
	Mean Reduction = C.FGHM_REDUCTION_MEAN
	// By the normalizer of the handle.
	Normalizer Reduction = C.FGHM_REDUCTION_NORMALIZER
	// By the number of samples.
	MeanSamples Reduction = C.FGHM_REDUCTION_MEAN_SAMPLES
	// By the number of positives.
	MeanPositives Reduction = C.FGHM_REDUCTION_MEAN_POSITIVES
	// By the number of elements that are not ignored.
	MeanValid Reduction = C.FGHM_REDUCTION_MEAN_VALID
	// By the sum of the weights of the elements that are not ignored.
	MeanWeights Reduction = C.FGHM_REDUCTION_MEAN_WEIGHTS
	// By the sum of the targets of the elements that are not ignored.
	MeanTargets Reduction = C.FGHM_REDUCTION_MEAN_TARGETS
)

// A Rule says which loss it is.
type Rule int32

// Rules.
const (
	// Linear in the target.
	Linear Rule = C.FGHM_FOCAL_RULE_LINEAR
	// Two parts, one for each target.
	Split Rule = C.FGHM_FOCAL_RULE_SPLIT
	// Quality focal loss.
	Quality Rule = C.FGHM_FOCAL_RULE_QUALITY
	// Focal-star.
	Star Rule = C.FGHM_FOCAL_RULE_STAR
	// Varifocal loss.
	Varifocal Rule = C.FGHM_FOCAL_RULE_VARIFOCAL
	// Varifocal loss whose positives have the weight 1.
	VarifocalUnweighted Rule = C.FGHM_FOCAL_RULE_VARIFOCAL_UNWEIGHTED
	// Matchability-aware loss.
	Matchability Rule = C.FGHM_FOCAL_RULE_MATCHABILITY
	// Penalty-reduced focal loss of heat maps.
	Heatmap Rule = C.FGHM_FOCAL_RULE_HEATMAP
)

// A HessianMode says what Hessians are given.
type HessianMode int32

// Modes.
const (
	// The second derivative itself.
	HessianExact HessianMode = C.FGHM_HESSIAN_EXACT
	// Not below a floor.
	HessianFloored HessianMode = C.FGHM_HESSIAN_FLOORED
	// Its magnitude.
	HessianAbsolute HessianMode = C.FGHM_HESSIAN_ABSOLUTE
	// Without the terms that can be negative.
	HessianGaussNewton HessianMode = C.FGHM_HESSIAN_GAUSS_NEWTON
	// The magnitude of the gradient.
	HessianGradient HessianMode = C.FGHM_HESSIAN_GRADIENT
)

// A Focal is a configuration of the focal loss.
type Focal struct {
	owned[*C.fghm_focal]
}

func newFocal(pointer *C.fghm_focal) *Focal {
	f := new(Focal)
	f.own(pointer, destroyFocal)
	return f
}

func destroyFocal(pointer *C.fghm_focal) {
	C.fghm_focal_destroy(pointer)
}

// NewFocal makes a configuration: gamma 2, alpha 0.25, loss weight 1, Mean, normalizer 1, Linear,
// beta 4, HessianExact with the floor 1e-16 and the factor 1.
func NewFocal() (*Focal, error) {
	var pointer *C.fghm_focal
	if err := failure(C.fghm_focal_create(&pointer), FieldNone); err != nil {
		return nil, err
	}
	return newFocal(pointer), nil
}

// Clone makes another handle with the same settings.
func (f *Focal) Clone() (*Focal, error) {
	var pointer *C.fghm_focal
	err := f.checked(C.fghm_focal_clone(f.pointer, &pointer), FieldNone)
	if err != nil {
		return nil, err
	}
	return newFocal(pointer), nil
}

// Close frees the handle.  Closing it again does nothing.
func (f *Focal) Close() error {
	f.close()
	return nil
}

// SetGamma sets gamma, in [0, 64].
func (f *Focal) SetGamma(gamma float64) error {
	return f.checked(C.fghm_focal_set_gamma(f.changed(), C.double(gamma)), FieldGamma)
}

// Gamma returns gamma.
func (f *Focal) Gamma() (float64, error) {
	var gamma C.double
	err := f.checked(C.fghm_focal_get_gamma(f.pointer, &gamma), FieldGamma)
	return float64(gamma), err
}

// SetNegativeGamma sets a gamma for negatives alone, in [0, 64].
func (f *Focal) SetNegativeGamma(gamma float64) error {
	return f.checked(C.fghm_focal_set_negative_gamma(f.changed(), C.double(gamma)),
		FieldNegativeGamma)
}

// ClearNegativeGamma gives negatives the gamma of positives again.
func (f *Focal) ClearNegativeGamma() error {
	return f.checked(C.fghm_focal_clear_negative_gamma(f.changed()), FieldNegativeGamma)
}

// NegativeGamma returns the gamma of negatives that is in force, and whether it has been set.
func (f *Focal) NegativeGamma() (gamma float64, set bool, err error) {
	var value C.double
	var isSet C.int32_t
	err = f.checked(C.fghm_focal_get_negative_gamma(f.pointer, &value, &isSet), FieldNegativeGamma)
	return float64(value), isSet != 0, err
}

// SetAlpha sets the factor of positives, 0 or in [2^-40, 1]; 1 - alpha is that of negatives.
func (f *Focal) SetAlpha(alpha float64) error {
	return f.checked(C.fghm_focal_set_alpha(f.changed(), C.double(alpha)), FieldAlpha)
}

// ClearAlpha turns alpha off.
func (f *Focal) ClearAlpha() error {
	return f.checked(C.fghm_focal_clear_alpha(f.changed()), FieldAlpha)
}

// Alpha returns the factor of positives, and whether alpha is on.
func (f *Focal) Alpha() (alpha float64, enabled bool, err error) {
	var value C.double
	var isOn C.int32_t
	err = f.checked(C.fghm_focal_get_alpha(f.pointer, &value, &isOn), FieldAlpha)
	return float64(value), isOn != 0, err
}

// SetReduction sets how losses become one number.
func (f *Focal) SetReduction(reduction Reduction) error {
	return f.checked(C.fghm_focal_set_reduction(f.changed(), C.fghm_reduction(reduction)),
		FieldReduction)
}

// Reduction returns how losses become one number.
func (f *Focal) Reduction() (Reduction, error) {
	var reduction C.fghm_reduction
	err := f.checked(C.fghm_focal_get_reduction(f.pointer, &reduction), FieldReduction)
	return Reduction(reduction), err
}

// SetNormalizer sets the divisor of the reduction Normalizer, in [2^-40, 2^60].
func (f *Focal) SetNormalizer(normalizer float64) error {
	return f.checked(C.fghm_focal_set_normalizer(f.changed(), C.double(normalizer)),
		FieldNormalizer)
}

// Normalizer returns the divisor of the reduction Normalizer.
func (f *Focal) Normalizer() (float64, error) {
	var normalizer C.double
	err := f.checked(C.fghm_focal_get_normalizer(f.pointer, &normalizer), FieldNormalizer)
	return float64(normalizer), err
}

// SetLossWeight sets a factor of all results, 0 or in [2^-40, 2^40].
func (f *Focal) SetLossWeight(weight float64) error {
	return f.checked(C.fghm_focal_set_loss_weight(f.changed(), C.double(weight)), FieldLossWeight)
}

// LossWeight returns the factor of all results.
func (f *Focal) LossWeight() (float64, error) {
	var weight C.double
	err := f.checked(C.fghm_focal_get_loss_weight(f.pointer, &weight), FieldLossWeight)
	return float64(weight), err
}

// SetRule sets which loss it is.
func (f *Focal) SetRule(rule Rule) error {
	return f.checked(C.fghm_focal_set_rule(f.changed(), C.fghm_focal_rule(rule)), FieldRule)
}

// Rule returns which loss it is.
func (f *Focal) Rule() (Rule, error) {
	var rule C.fghm_focal_rule
	err := f.checked(C.fghm_focal_get_rule(f.pointer, &rule), FieldRule)
	return Rule(rule), err
}

// SetHessianMode sets what Hessians are given.
func (f *Focal) SetHessianMode(mode HessianMode) error {
	return f.checked(C.fghm_focal_set_hessian_mode(f.changed(), C.fghm_hessian_mode(mode)),
		FieldHessianMode)
}

// HessianMode returns what Hessians are given.
func (f *Focal) HessianMode() (HessianMode, error) {
	var mode C.fghm_hessian_mode
	err := f.checked(C.fghm_focal_get_hessian_mode(f.pointer, &mode), FieldHessianMode)
	return HessianMode(mode), err
}

// SetHessianFloor sets the least Hessian of HessianFloored, 0 or in [2^-60, 2^60].
func (f *Focal) SetHessianFloor(floor float64) error {
	return f.checked(C.fghm_focal_set_hessian_floor(f.changed(), C.double(floor)),
		FieldHessianFloor)
}

// HessianFloor returns the least Hessian of HessianFloored.
func (f *Focal) HessianFloor() (float64, error) {
	var floor C.double
	err := f.checked(C.fghm_focal_get_hessian_floor(f.pointer, &floor), FieldHessianFloor)
	return float64(floor), err
}

// SetHessianFactor sets a factor of Hessians, in [2^-40, 2^40].
func (f *Focal) SetHessianFactor(factor float64) error {
	return f.checked(C.fghm_focal_set_hessian_factor(f.changed(), C.double(factor)),
		FieldHessianFactor)
}

// HessianFactor returns the factor of Hessians.
func (f *Focal) HessianFactor() (float64, error) {
	var factor C.double
	err := f.checked(C.fghm_focal_get_hessian_factor(f.pointer, &factor), FieldHessianFactor)
	return float64(factor), err
}

// SetDetached makes the focal factor a constant in derivatives, or not.
func (f *Focal) SetDetached(detached bool) error {
	var number C.int32_t
	if detached {
		number = 1
	}
	return f.checked(C.fghm_focal_set_detached(f.changed(), number), FieldDetached)
}

// Detached returns whether the focal factor is a constant in derivatives.
func (f *Focal) Detached() (bool, error) {
	var detached C.int32_t
	err := f.checked(C.fghm_focal_get_detached(f.pointer, &detached), FieldDetached)
	return detached != 0, err
}

// SetBeta sets the exponent of the penalty of [Heatmap], in [0, 64].
func (f *Focal) SetBeta(beta float64) error {
	return f.checked(C.fghm_focal_set_beta(f.changed(), C.double(beta)), FieldBeta)
}

// Beta returns the exponent of the penalty of [Heatmap].
func (f *Focal) Beta() (float64, error) {
	var beta C.double
	err := f.checked(C.fghm_focal_get_beta(f.pointer, &beta), FieldBeta)
	return float64(beta), err
}

// SetMargin sets the margin by which the probability of negatives is less, 0 or in [2^-40, 1).
func (f *Focal) SetMargin(margin float64) error {
	return f.checked(C.fghm_focal_set_margin(f.changed(), C.double(margin)), FieldMargin)
}

// Margin returns the margin of negatives.
func (f *Focal) Margin() (float64, error) {
	var margin C.double
	err := f.checked(C.fghm_focal_get_margin(f.pointer, &margin), FieldMargin)
	return float64(margin), err
}

// SetPositiveWeight sets a factor of positives in the place of alpha, 0 or in [2^-40, 2^40].
func (f *Focal) SetPositiveWeight(weight float64) error {
	return f.checked(C.fghm_focal_set_positive_weight(f.changed(), C.double(weight)),
		FieldPositiveWeight)
}

// ClearPositiveWeight leaves no factor of positives but alpha.
func (f *Focal) ClearPositiveWeight() error {
	return f.checked(C.fghm_focal_clear_positive_weight(f.changed()), FieldPositiveWeight)
}

// PositiveWeight returns the factor of positives, and whether it has been set.
func (f *Focal) PositiveWeight() (weight float64, set bool, err error) {
	var value C.double
	var isSet C.int32_t
	err = f.checked(C.fghm_focal_get_positive_weight(f.pointer, &value, &isSet),
		FieldPositiveWeight)
	return float64(value), isSet != 0, err
}

// Float32 computes contiguous elements in float32.
//
// A target outside [0, 1] is [ErrTarget]: the results of its element are NaN, and so is the loss
// that is returned; all others are right.
func (f *Focal) Float32(pool *Pool, e Elements[float32]) (loss float64, err error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	threads, err := pool.use()
	if err != nil {
		return 0, err
	}
	found := C.fgo_focal_f32(f.pointer, threads, C.size_t(len(e.Inputs)),
		floats(e.Inputs), floats(e.Targets), floats(e.Weights),
		floats(e.ElementLoss), floats(e.Gradient), floats(e.Hessian))
	runtime.KeepAlive(f)
	pool.done()
	return float64(found.loss), failure(found.status, FieldNone)
}

// Float64 is [Focal.Float32] in float64.
func (f *Focal) Float64(pool *Pool, e Elements[float64]) (loss float64, err error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	threads, err := pool.use()
	if err != nil {
		return 0, err
	}
	found := C.fgo_focal_f64(f.pointer, threads, C.size_t(len(e.Inputs)),
		numbers(e.Inputs), numbers(e.Targets), numbers(e.Weights),
		numbers(e.ElementLoss), numbers(e.Gradient), numbers(e.Hessian))
	runtime.KeepAlive(f)
	pool.done()
	return float64(found.loss), failure(found.status, FieldNone)
}

// Softmax32 computes rows of logits in float32.  Rows whose label is ignore have the results 0;
// IgnoreNone: no row is ignored.
func (f *Focal) Softmax32(pool *Pool, r Rows[float32], ignore int64) (loss float64, err error) {
	if err := r.check(); err != nil {
		return 0, err
	}
	threads, err := pool.use()
	if err != nil {
		return 0, err
	}
	found := C.fgo_softmax_f32(f.pointer, threads, C.size_t(len(r.Labels)), C.size_t(r.Classes),
		floats(r.Logits), integers(r.Labels), C.int64_t(ignore), floats(r.Weights),
		floats(r.ElementLoss), floats(r.Gradient), floats(r.Hessian))
	runtime.KeepAlive(f)
	pool.done()
	return float64(found.loss), failure(found.status, FieldNone)
}

// Softmax64 is [Focal.Softmax32] in float64.
func (f *Focal) Softmax64(pool *Pool, r Rows[float64], ignore int64) (loss float64, err error) {
	if err := r.check(); err != nil {
		return 0, err
	}
	threads, err := pool.use()
	if err != nil {
		return 0, err
	}
	found := C.fgo_softmax_f64(f.pointer, threads, C.size_t(len(r.Labels)), C.size_t(r.Classes),
		numbers(r.Logits), integers(r.Labels), C.int64_t(ignore), numbers(r.Weights),
		numbers(r.ElementLoss), numbers(r.Gradient), numbers(r.Hessian))
	runtime.KeepAlive(f)
	pool.done()
	return float64(found.loss), failure(found.status, FieldNone)
}

// Batch computes a batch in any form.  After [ErrTarget], [ErrProbability] or [ErrScore] the
// result is valid, without the elements in question.
func (f *Focal) Batch(pool *Pool, b *Batch) (Result, error) {
	result, err := b.call(C.FGO_FOCAL, f.pointer, nil, pool, nil)
	runtime.KeepAlive(f)
	return result, err
}

// BestConstant returns the constant logit with the least loss for so many positives and negatives:
// the initial score for boosting.
func (f *Focal) BestConstant(positives, negatives float64) (float64, error) {
	var logit C.double
	err := f.checked(C.fghm_focal_best_constant(f.pointer, C.double(positives), C.double(negatives), &logit),
		FieldNone)
	return float64(logit), err
}

// Calibrate32 makes probabilities from the logits of a model that was trained with this
// configuration.  probabilities may be the very slice of logits.
func (f *Focal) Calibrate32(pool *Pool, logits, probabilities []float32) error {
	if len(logits) != len(probabilities) {
		return newError(ErrLength, FieldNone)
	}
	threads, err := pool.use()
	if err != nil {
		return err
	}
	status := C.fghm_focal_calibrate_f32(f.pointer, threads, C.size_t(len(logits)), floats(logits),
		floats(probabilities))
	runtime.KeepAlive(f)
	pool.done()
	return failure(status, FieldNone)
}

// Calibrate64 is [Focal.Calibrate32] in float64.
func (f *Focal) Calibrate64(pool *Pool, logits, probabilities []float64) error {
	if len(logits) != len(probabilities) {
		return newError(ErrLength, FieldNone)
	}
	threads, err := pool.use()
	if err != nil {
		return err
	}
	status := C.fghm_focal_calibrate_f64(f.pointer, threads, C.size_t(len(logits)),
		numbers(logits), numbers(probabilities))
	runtime.KeepAlive(f)
	pool.done()
	return failure(status, FieldNone)
}

// ClassNumbers are what the classes of softmax had in training: a gamma for each, nil for that of
// the configuration, and a factor for each, nil for 1.
type ClassNumbers struct {
	Gamma, Weights []float64
}

func (n ClassNumbers) check(classes int) error {
	if n.Gamma != nil && len(n.Gamma) != classes {
		return newError(ErrLength, FieldClassGamma)
	}
	if n.Weights != nil && len(n.Weights) != classes {
		return newError(ErrLength, FieldClassWeights)
	}
	return nil
}

// checkRows says how many rows of classes there are.
func checkRows(classes, logits, probabilities int, n ClassNumbers) (samples int, err error) {
	if classes <= 0 {
		return 0, newError(ErrRange, FieldShape)
	}
	if logits%classes != 0 {
		return 0, newError(ErrLength, FieldLogits)
	}
	if logits != probabilities {
		return 0, newError(ErrLength, FieldNone)
	}
	return logits / classes, n.check(classes)
}

// CalibrateSoftmax32 makes class probabilities from rows of logits of a model that was trained with
// this configuration and softmax.  probabilities may be the very slice of logits.
func (f *Focal) CalibrateSoftmax32(pool *Pool, classes int, logits []float32, n ClassNumbers,
	probabilities []float32) error {
	samples, err := checkRows(classes, len(logits), len(probabilities), n)
	if err != nil {
		return err
	}
	threads, err := pool.use()
	if err != nil {
		return err
	}
	status := C.fghm_focal_calibrate_softmax_f32(f.pointer, threads, C.size_t(samples),
		C.size_t(classes), floats(logits), numbers(n.Gamma), numbers(n.Weights),
		floats(probabilities))
	runtime.KeepAlive(f)
	pool.done()
	return failure(status, FieldNone)
}

// CalibrateSoftmax64 is [Focal.CalibrateSoftmax32] in float64.
func (f *Focal) CalibrateSoftmax64(pool *Pool, classes int, logits []float64, n ClassNumbers,
	probabilities []float64) error {
	samples, err := checkRows(classes, len(logits), len(probabilities), n)
	if err != nil {
		return err
	}
	threads, err := pool.use()
	if err != nil {
		return err
	}
	status := C.fghm_focal_calibrate_softmax_f64(f.pointer, threads, C.size_t(samples),
		C.size_t(classes), numbers(logits), numbers(n.Gamma), numbers(n.Weights),
		numbers(probabilities))
	runtime.KeepAlive(f)
	pool.done()
	return failure(status, FieldNone)
}

// BestConstantSoftmax returns the constant logits with the least softmax loss for classes of these
// frequencies: the initial scores for boosting.
func (f *Focal) BestConstantSoftmax(frequencies []float64, n ClassNumbers) ([]float64, error) {
	if err := n.check(len(frequencies)); err != nil {
		return nil, err
	}
	logits := make([]float64, len(frequencies))
	status := C.fghm_focal_best_constant_softmax(f.pointer, C.size_t(len(frequencies)),
		numbers(frequencies), numbers(n.Gamma), numbers(n.Weights), numbers(logits))
	if err := f.checked(status, FieldNone); err != nil {
		return nil, err
	}
	return logits, nil
}
