// SPDX-License-Identifier: MIT

package focalghm

// #include "call.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// Limits of a GHM; later versions may raise them.
const (
	BinsMax       = C.FGHM_BINS_MAX
	HistogramsMax = C.FGHM_HISTOGRAMS_MAX
)

// A Kind says which loss a GHM is for.
type Kind int32

// Kinds.
const (
	// GHM-C.
	Classification Kind = C.FGHM_GHM_CLASSIFICATION
	// GHM-R.
	Regression Kind = C.FGHM_GHM_REGRESSION
)

// A MomentumRule says what an update does to the averages.
type MomentumRule int32

// Rules of momentum.
const (
	// Not biased at the start.
	MomentumCorrected MomentumRule = C.FGHM_GHM_MOMENTUM_CORRECTED
	// mmdetection's.
	MomentumReference MomentumRule = C.FGHM_GHM_MOMENTUM_REFERENCE
)

// A Divisor says what weights are divided by the number of.
type Divisor int32

// Divisors.
const (
	// The bins that had elements at the last update.
	NonemptyBins Divisor = C.FGHM_GHM_DIVISOR_NONEMPTY_BINS
	// All bins.
	AllBins Divisor = C.FGHM_GHM_DIVISOR_ALL_BINS
)

// A GHM holds settings, and a history: the counts of the last update and what momentum has
// averaged.  Setters that would make the history meaningless return [ErrHistory] while there is
// one; Reset forgets it.
//
// A step counts elements, updates the history, and applies the weights that follow from it.  The
// three can also be done one by one, on parts of a batch: Count adds to counts, which may be added
// up over goroutines or machines; Update; Apply.
type GHM struct {
	owned[*C.fghm_ghm]
}

func newGHM(pointer *C.fghm_ghm) *GHM {
	g := new(GHM)
	g.own(pointer, destroyGHM)
	return g
}

func destroyGHM(pointer *C.fghm_ghm) {
	C.fghm_ghm_destroy(pointer)
}

// NewGHM makes a handle: 10 bins of equal width, one histogram, no momentum, MomentumCorrected,
// NonemptyBins, no cap, loss weight 1, mu 0.02, Mean, normalizer 1, and no history.
func NewGHM(kind Kind) (*GHM, error) {
	var pointer *C.fghm_ghm
	status := C.fghm_ghm_create(&pointer, C.fghm_ghm_kind(kind))
	if err := failure(status, FieldKind); err != nil {
		return nil, err
	}
	return newGHM(pointer), nil
}

// NewGHMFromState makes a handle from what Save returned.
func NewGHMFromState(state []byte) (*GHM, error) {
	var pointer *C.fghm_ghm
	status := C.fghm_ghm_create_from_state(&pointer, C.size_t(len(state)), bytes(state))
	if err := failure(status, FieldNone); err != nil {
		return nil, err
	}
	return newGHM(pointer), nil
}

func bytes(s []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(s))
}

// Clone makes another handle with the same kind, settings and history.
func (g *GHM) Clone() (*GHM, error) {
	var pointer *C.fghm_ghm
	err := g.checked(C.fghm_ghm_clone(g.pointer, &pointer), FieldNone)
	if err != nil {
		return nil, err
	}
	return newGHM(pointer), nil
}

// Close frees the handle.  Closing it again does nothing.
func (g *GHM) Close() error {
	g.close()
	return nil
}

// Kind returns which loss the handle is for.
func (g *GHM) Kind() (Kind, error) {
	var kind C.fghm_ghm_kind
	err := g.checked(C.fghm_ghm_get_kind(g.pointer, &kind), FieldKind)
	return Kind(kind), err
}

// SetBins sets bins of equal width, 1 to BinsMax.
func (g *GHM) SetBins(bins int) error {
	if bins < 0 {
		return newError(ErrRange, FieldBins)
	}
	return g.checked(C.fghm_ghm_set_bins(g.changed(), C.size_t(bins)), FieldBins)
}

// Bins returns the number of bins.
func (g *GHM) Bins() (int, error) {
	var bins C.size_t
	err := g.checked(C.fghm_ghm_get_bins(g.pointer, &bins), FieldBins)
	return int(bins), err
}

// SetEdges sets bins of any widths, one fewer than edges, which rise from 0 to 1.
func (g *GHM) SetEdges(edges []float64) error {
	if len(edges) == 0 {
		return newError(ErrEdges, FieldEdges)
	}
	return g.checked(C.fghm_ghm_set_edges(g.changed(), C.size_t(len(edges)-1), numbers(edges)),
		FieldEdges)
}

// Edges returns the edges of the bins.
func (g *GHM) Edges() ([]float64, error) {
	bins, err := g.Bins()
	if err != nil {
		return nil, err
	}
	edges := make([]float64, bins+1)
	err = failure(C.fghm_ghm_get_edges(g.pointer, C.size_t(len(edges)), numbers(edges)), FieldEdges)
	runtime.KeepAlive(g)
	return edges, err
}

// SetHistograms sets the number of histograms: 1 for all elements, or one for each class.
func (g *GHM) SetHistograms(histograms int) error {
	if histograms < 0 {
		return newError(ErrRange, FieldHistograms)
	}
	return g.checked(C.fghm_ghm_set_histograms(g.changed(), C.size_t(histograms)), FieldHistograms)
}

// Histograms returns the number of histograms.
func (g *GHM) Histograms() (int, error) {
	var histograms C.size_t
	err := g.checked(C.fghm_ghm_get_histograms(g.pointer, &histograms), FieldHistograms)
	return int(histograms), err
}

// SetMu sets mu of a GHM for regression, in [1e-30, 1e30].
func (g *GHM) SetMu(mu float64) error {
	return g.checked(C.fghm_ghm_set_mu(g.changed(), C.double(mu)), FieldMu)
}

// Mu returns mu of a GHM for regression.
func (g *GHM) Mu() (float64, error) {
	var mu C.double
	err := g.checked(C.fghm_ghm_get_mu(g.pointer, &mu), FieldMu)
	return float64(mu), err
}

// SetMomentum sets the momentum of the updates to come, in [0, 1).
func (g *GHM) SetMomentum(momentum float64) error {
	return g.checked(C.fghm_ghm_set_momentum(g.changed(), C.double(momentum)), FieldMomentum)
}

// Momentum returns the momentum.
func (g *GHM) Momentum() (float64, error) {
	var momentum C.double
	err := g.checked(C.fghm_ghm_get_momentum(g.pointer, &momentum), FieldMomentum)
	return float64(momentum), err
}

// SetMomentumRule sets what momentum does.
func (g *GHM) SetMomentumRule(rule MomentumRule) error {
	return g.checked(C.fghm_ghm_set_momentum_rule(g.changed(), C.fghm_ghm_momentum_rule(rule)),
		FieldMomentumRule)
}

// MomentumRule returns what momentum does.
func (g *GHM) MomentumRule() (MomentumRule, error) {
	var rule C.fghm_ghm_momentum_rule
	err := g.checked(C.fghm_ghm_get_momentum_rule(g.pointer, &rule), FieldMomentumRule)
	return MomentumRule(rule), err
}

// SetDivisor sets what weights are divided by the number of.
func (g *GHM) SetDivisor(divisor Divisor) error {
	return g.checked(C.fghm_ghm_set_divisor(g.changed(), C.fghm_ghm_divisor(divisor)),
		FieldBinDivisor)
}

// Divisor returns what weights are divided by the number of.
func (g *GHM) Divisor() (Divisor, error) {
	var divisor C.fghm_ghm_divisor
	err := g.checked(C.fghm_ghm_get_divisor(g.pointer, &divisor), FieldBinDivisor)
	return Divisor(divisor), err
}

// SetWeightCap sets what no weight is above, from 2^-40 to +Inf, which is no cap.
func (g *GHM) SetWeightCap(weightCap float64) error {
	return g.checked(C.fghm_ghm_set_weight_cap(g.changed(), C.double(weightCap)), FieldWeightCap)
}

// WeightCap returns what no weight is above.
func (g *GHM) WeightCap() (float64, error) {
	var weightCap C.double
	err := g.checked(C.fghm_ghm_get_weight_cap(g.pointer, &weightCap), FieldWeightCap)
	return float64(weightCap), err
}

// SetLossWeight sets a factor of all results, 0 or in [2^-40, 2^40].
func (g *GHM) SetLossWeight(weight float64) error {
	return g.checked(C.fghm_ghm_set_loss_weight(g.changed(), C.double(weight)), FieldLossWeight)
}

// LossWeight returns the factor of all results.
func (g *GHM) LossWeight() (float64, error) {
	var weight C.double
	err := g.checked(C.fghm_ghm_get_loss_weight(g.pointer, &weight), FieldLossWeight)
	return float64(weight), err
}

// SetReduction sets how losses become one number: Sum, Mean or Normalizer.
func (g *GHM) SetReduction(reduction Reduction) error {
	return g.checked(C.fghm_ghm_set_reduction(g.changed(), C.fghm_reduction(reduction)),
		FieldReduction)
}

// Reduction returns how losses become one number.
func (g *GHM) Reduction() (Reduction, error) {
	var reduction C.fghm_reduction
	err := g.checked(C.fghm_ghm_get_reduction(g.pointer, &reduction), FieldReduction)
	return Reduction(reduction), err
}

// SetNormalizer sets the divisor of the reduction Normalizer, in [2^-40, 2^60].
func (g *GHM) SetNormalizer(normalizer float64) error {
	return g.checked(C.fghm_ghm_set_normalizer(g.changed(), C.double(normalizer)), FieldNormalizer)
}

// Normalizer returns the divisor of the reduction Normalizer.
func (g *GHM) Normalizer() (float64, error) {
	var normalizer C.double
	err := g.checked(C.fghm_ghm_get_normalizer(g.pointer, &normalizer), FieldNormalizer)
	return float64(normalizer), err
}

// Step32 counts contiguous elements, updates the history and applies the weights, in float32.
func (g *GHM) Step32(pool *Pool, e Elements[float32]) (loss float64, err error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	threads, err := pool.use()
	if err != nil {
		return 0, err
	}
	found := C.fgo_ghm_step_f32(g.changed(), threads, C.size_t(len(e.Inputs)),
		floats(e.Inputs), floats(e.Targets), floats(e.Weights),
		floats(e.ElementLoss), floats(e.Gradient), floats(e.Hessian))
	runtime.KeepAlive(g)
	pool.done()
	return float64(found.loss), failure(found.status, FieldNone)
}

// Step64 is [GHM.Step32] in float64.
func (g *GHM) Step64(pool *Pool, e Elements[float64]) (loss float64, err error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	threads, err := pool.use()
	if err != nil {
		return 0, err
	}
	found := C.fgo_ghm_step_f64(g.changed(), threads, C.size_t(len(e.Inputs)),
		numbers(e.Inputs), numbers(e.Targets), numbers(e.Weights),
		numbers(e.ElementLoss), numbers(e.Gradient), numbers(e.Hessian))
	runtime.KeepAlive(g)
	pool.done()
	return float64(found.loss), failure(found.status, FieldNone)
}

// Count32 adds the counts of contiguous elements to counts, which has CountsSize numbers.
// weights is the mask.
func (g *GHM) Count32(pool *Pool, inputs, targets, weights []float32, counts []uint64) error {
	if err := (&Elements[float32]{Inputs: inputs, Targets: targets, Weights: weights}).check(); err != nil {
		return err
	}
	threads, err := pool.use()
	if err != nil {
		return err
	}
	status := C.fghm_ghm_count_f32(g.pointer, threads, C.size_t(len(inputs)),
		floats(inputs), floats(targets), floats(weights), C.size_t(len(counts)), words(counts))
	runtime.KeepAlive(g)
	pool.done()
	return failure(status, FieldNone)
}

// Count64 is [GHM.Count32] in float64.
func (g *GHM) Count64(pool *Pool, inputs, targets, weights []float64, counts []uint64) error {
	if err := (&Elements[float64]{Inputs: inputs, Targets: targets, Weights: weights}).check(); err != nil {
		return err
	}
	threads, err := pool.use()
	if err != nil {
		return err
	}
	status := C.fghm_ghm_count_f64(g.pointer, threads, C.size_t(len(inputs)),
		numbers(inputs), numbers(targets), numbers(weights), C.size_t(len(counts)), words(counts))
	runtime.KeepAlive(g)
	pool.done()
	return failure(status, FieldNone)
}

// Update moves the averages by what counting has added up, and makes the weights.
func (g *GHM) Update(counts []uint64) error {
	return g.checked(C.fghm_ghm_update(g.changed(), C.size_t(len(counts)), words(counts)),
		FieldCounts)
}

// Apply32 applies the weights that the handle has to contiguous elements, in float32.
// [ErrTarget] is as in [Focal.Float32].
func (g *GHM) Apply32(pool *Pool, e Elements[float32]) (loss float64, err error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	threads, err := pool.use()
	if err != nil {
		return 0, err
	}
	found := C.fgo_ghm_apply_f32(g.pointer, threads, C.size_t(len(e.Inputs)),
		floats(e.Inputs), floats(e.Targets), floats(e.Weights),
		floats(e.ElementLoss), floats(e.Gradient), floats(e.Hessian))
	runtime.KeepAlive(g)
	pool.done()
	return float64(found.loss), failure(found.status, FieldNone)
}

// Apply64 is [GHM.Apply32] in float64.
func (g *GHM) Apply64(pool *Pool, e Elements[float64]) (loss float64, err error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	threads, err := pool.use()
	if err != nil {
		return 0, err
	}
	found := C.fgo_ghm_apply_f64(g.pointer, threads, C.size_t(len(e.Inputs)),
		numbers(e.Inputs), numbers(e.Targets), numbers(e.Weights),
		numbers(e.ElementLoss), numbers(e.Gradient), numbers(e.Hessian))
	runtime.KeepAlive(g)
	pool.done()
	return float64(found.loss), failure(found.status, FieldNone)
}

// StepBatch is one step over a batch in any form.  After an error outputs and handle are as they
// were.
func (g *GHM) StepBatch(pool *Pool, b *Batch) (Result, error) {
	result, err := b.call(C.FGO_GHM_STEP, nil, g.changed(), pool, nil)
	runtime.KeepAlive(g)
	return result, err
}

// CountBatch adds the counts of a batch to counts, which has CountsSize numbers.  Outputs of the
// batch are checked but not written.
func (g *GHM) CountBatch(pool *Pool, b *Batch, counts []uint64) (Result, error) {
	result, err := b.call(C.FGO_GHM_COUNT, nil, g.pointer, pool, counts)
	runtime.KeepAlive(g)
	return result, err
}

// ApplyBatch applies the weights that the handle has to a batch.
func (g *GHM) ApplyBatch(pool *Pool, b *Batch) (Result, error) {
	result, err := b.call(C.FGO_GHM_APPLY, nil, g.pointer, pool, nil)
	runtime.KeepAlive(g)
	return result, err
}

// Density32 computes the weights of the paper's gradient density, which bins approximate.  mask
// may be nil.
func (g *GHM) Density32(pool *Pool, inputs, targets, mask, weights []float32) error {
	if err := sameLength(len(inputs), partOf(FieldTargets, targets), partOf(FieldWeights, mask),
		partOf(FieldHarmonizingWeight, weights)); err != nil {
		return err
	}
	threads, err := pool.use()
	if err != nil {
		return err
	}
	status := C.fghm_ghm_density_f32(g.pointer, threads, C.size_t(len(inputs)),
		floats(inputs), floats(targets), floats(mask), floats(weights))
	runtime.KeepAlive(g)
	pool.done()
	return failure(status, FieldNone)
}

// Density64 is [GHM.Density32] in float64.
func (g *GHM) Density64(pool *Pool, inputs, targets, mask, weights []float64) error {
	if err := sameLength(len(inputs), partOf(FieldTargets, targets), partOf(FieldWeights, mask),
		partOf(FieldHarmonizingWeight, weights)); err != nil {
		return err
	}
	threads, err := pool.use()
	if err != nil {
		return err
	}
	status := C.fghm_ghm_density_f64(g.pointer, threads, C.size_t(len(inputs)),
		numbers(inputs), numbers(targets), numbers(mask), numbers(weights))
	runtime.KeepAlive(g)
	pool.done()
	return failure(status, FieldNone)
}

// CountsSize returns how many numbers counting and updating have: bins + 1 for each histogram.
func (g *GHM) CountsSize() (int, error) {
	var size C.size_t
	err := g.checked(C.fghm_ghm_get_counts_size(g.pointer, &size), FieldCounts)
	return int(size), err
}

// Counts returns the counts of the last update: bins + 1 numbers for each histogram.
func (g *GHM) Counts() ([]uint64, error) {
	size, err := g.CountsSize()
	if err != nil {
		return nil, err
	}
	counts := make([]uint64, size)
	err = failure(C.fghm_ghm_get_counts(g.pointer, C.size_t(size), words(counts)), FieldCounts)
	runtime.KeepAlive(g)
	return counts, err
}

// perBin makes room for a number for each bin of each histogram.
func (g *GHM) perBin() ([]float64, error) {
	bins, err := g.Bins()
	if err != nil {
		return nil, err
	}
	histograms, err := g.Histograms()
	if err != nil {
		return nil, err
	}
	return make([]float64, bins*histograms), nil
}

// Averages returns the averages: a number for each bin of each histogram.
func (g *GHM) Averages() ([]float64, error) {
	averages, err := g.perBin()
	if err != nil {
		return nil, err
	}
	err = g.checked(C.fghm_ghm_get_averages(g.pointer, C.size_t(len(averages)), numbers(averages)),
		FieldNone)
	return averages, err
}

// Weights returns the weights of the bins: a number for each bin of each histogram.
func (g *GHM) Weights() ([]float64, error) {
	weights, err := g.perBin()
	if err != nil {
		return nil, err
	}
	err = g.checked(C.fghm_ghm_get_weights(g.pointer, C.size_t(len(weights)), numbers(weights)),
		FieldNone)
	return weights, err
}

// Nonempty returns how many bins of each histogram had elements at the last update.
func (g *GHM) Nonempty() ([]int, error) {
	histograms, err := g.Histograms()
	if err != nil {
		return nil, err
	}
	sizes := make([]C.size_t, histograms)
	status := C.fghm_ghm_get_nonempty(g.pointer, C.size_t(histograms), unsafe.SliceData(sizes))
	runtime.KeepAlive(g)
	nonempty := make([]int, histograms)
	for i, size := range sizes {
		nonempty[i] = int(size)
	}
	return nonempty, failure(status, FieldNone)
}

// Steps returns how many updates there have been since the handle was made or reset.
func (g *GHM) Steps() (uint64, error) {
	var steps C.uint64_t
	err := g.checked(C.fghm_ghm_get_steps(g.pointer, &steps), FieldNone)
	return uint64(steps), err
}

// Reset forgets the history, and keeps the settings.
func (g *GHM) Reset() error {
	return g.checked(C.fghm_ghm_reset(g.changed()), FieldNone)
}

// Save returns the kind, all settings and the history as bytes, the same on every machine.
func (g *GHM) Save() ([]byte, error) {
	var size C.size_t
	if err := failure(C.fghm_ghm_get_state_size(g.pointer, &size), FieldNone); err != nil {
		return nil, err
	}
	state := make([]byte, size)
	err := g.checked(C.fghm_ghm_save(g.pointer, size, bytes(state)), FieldNone)
	return state, err
}

// Load replaces all settings and the history by what Save returned for a handle of the same kind.
func (g *GHM) Load(state []byte) error {
	return g.checked(C.fghm_ghm_load(g.changed(), C.size_t(len(state)), bytes(state)), FieldNone)
}
