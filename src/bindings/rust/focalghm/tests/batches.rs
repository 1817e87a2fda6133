// SPDX-License-Identifier: MIT

//! Batches: the bits of C, each field where it belongs, and what is refused.

#![allow(clippy::undocumented_unsafe_blocks)] // each is the C call that it shows

use focalghm::*;
use std::ptr::null_mut;

const NO_OUTCOME: Option<Outcome> = None;

fn ok(status: sys::fghm_status) {
    assert_eq!(Status::from_raw(status), Status::OK);
}

fn c_batch(shape: &[i64], class_axis: i32) -> sys::fghm_batch {
    let mut batch = std::mem::MaybeUninit::uninit();
    ok(unsafe { sys::fghm_batch_init(batch.as_mut_ptr(), size_of::<sys::fghm_batch>()) });
    let mut batch: sys::fghm_batch = unsafe { batch.assume_init() };
    assert_eq!(batch.shape, [sys::FGHM_UNSET; 8]);
    assert_eq!(batch.ignore_index, sys::FGHM_IGNORE_NONE);
    batch.ndim = shape.len() as i32;
    batch.shape[..shape.len()].copy_from_slice(shape);
    batch.class_axis = class_axis;
    batch
}

fn c_result() -> sys::fghm_result {
    let mut result = std::mem::MaybeUninit::uninit();
    ok(unsafe { sys::fghm_result_init(result.as_mut_ptr(), size_of::<sys::fghm_result>()) });
    unsafe { result.assume_init() }
}

fn assert_same(outcome: &Outcome, result: &sys::fghm_result) {
    let bits = |numbers: [f64; 5]| numbers.map(f64::to_bits);
    assert_eq!(
        bits([
            outcome.loss,
            outcome.sum,
            outcome.divisor,
            outcome.sum_weights,
            outcome.sum_targets
        ]),
        bits([result.loss, result.sum, result.divisor, result.sum_weights, result.sum_targets])
    );
    assert_eq!(
        [outcome.elements, outcome.valid, outcome.positives],
        [result.elements, result.valid, result.positives]
    );
}

const SHAPE: [usize; 4] = [2, 3, 4, 5];

/// A crop of images N,C,H,W in half precision, backwards along an axis; labels in bytes.
struct Images {
    logits: Vec<F16>,
    labels: Vec<u8>,
    weights: Vec<f32>,
    gradient: Vec<f32>,
    element_loss: Vec<Bf16>,
    hessian: Vec<f64>,
}

impl Images {
    fn new() -> Self {
        Self {
            logits: (0..2 * 3 * 4 * 8).map(|i| F16(0x3800 + 37 * i)).collect(), // 0.5 and more
            labels: (0..2 * 4 * 5).map(|i| if i % 5 == 0 { 255 } else { i % 3 }).collect(),
            weights: vec![0.5, 2.0],
            gradient: vec![0.0; 120],
            element_loss: vec![Bf16(0); 40],
            hessian: vec![0.0; 240],
        }
    }

    fn described(&mut self) -> Batch<'_> {
        Batch::new(&SHAPE)
            .class_axis(-3)
            .activation(Activation::SOFTMAX)
            .target_form(TargetForm::LABEL)
            .ignore_index(255)
            .logits(Input::strided(&self.logits, &[96, 32, 8, -1], 5))
            .targets(&self.labels)
            .weights(Input::strided(&self.weights, &[1, 0, 0, 0], 0))
            .gradient(&mut self.gradient)
            .element_loss(&mut self.element_loss)
            .hessian(Output::strided(&mut self.hessian, &[120, 40, 10, 2], 1))
    }

    fn c_described(&mut self) -> sys::fghm_batch {
        let mut batch = c_batch(&SHAPE.map(|extent| extent as i64), 1);
        batch.activation = sys::FGHM_SOFTMAX;
        batch.target_form = sys::FGHM_TARGET_LABEL;
        batch.ignore_index = 255;
        batch.logits.data = self.logits[5..].as_ptr().cast();
        batch.logits.dtype = sys::FGHM_F16;
        batch.logits.layout = sys::FGHM_LAYOUT_STRIDED;
        batch.logits.strides[..4].copy_from_slice(&[96, 32, 8, -1]);
        batch.targets.data = self.labels.as_ptr().cast();
        batch.targets.dtype = sys::FGHM_U8;
        batch.weights.data = self.weights.as_ptr().cast();
        batch.weights.dtype = sys::FGHM_F32;
        batch.weights.layout = sys::FGHM_LAYOUT_STRIDED;
        batch.weights.strides[0] = 1;
        batch.gradient.data = self.gradient.as_mut_ptr().cast();
        batch.gradient.dtype = sys::FGHM_F32;
        batch.element_loss.data = self.element_loss.as_mut_ptr().cast();
        batch.element_loss.dtype = sys::FGHM_BF16;
        batch.hessian.data = self.hessian[1..].as_mut_ptr().cast();
        batch.hessian.dtype = sys::FGHM_F64;
        batch.hessian.layout = sys::FGHM_LAYOUT_STRIDED;
        batch.hessian.strides[..4].copy_from_slice(&[120, 40, 10, 2]);
        batch
    }

    fn assert_same(&self, other: &Self) {
        assert_eq!(self.gradient, other.gradient);
        assert_eq!(self.element_loss, other.element_loss);
        assert_eq!(self.hessian, other.hessian);
        assert!(self.gradient[1] != 0.0 && self.hessian[0] == 0.0 && self.hessian[9] != 0.0);
    }
}

#[test]
fn images() {
    let (mut here, mut there) = (Images::new(), Images::new());
    let batch = there.c_described();
    let mut result = c_result();
    let mut focal = Focal::new().unwrap();
    focal.set_gamma(1.5).unwrap();
    ok(unsafe { sys::fghm_focal_batch(focal.as_ptr(), null_mut(), &batch, &mut result) });
    let outcome = focal.compute_batch(&mut here.described(), None).unwrap();
    assert_same(&outcome, &result);
    assert_eq!(outcome.valid, 32);
    here.assert_same(&there);
    let pool = Pool::new(2).unwrap();
    assert_same(&focal.compute_batch(&mut here.described(), Some(&pool)).unwrap(), &result);

    // GHM, as a step and in its parts.
    let mut ghm = Ghm::new(Kind::CLASSIFICATION).unwrap();
    let other = ghm.clone();
    ok(unsafe { sys::fghm_ghm_step_batch(other.as_ptr(), null_mut(), &batch, &mut result) });
    assert_same(&ghm.step_batch(&mut here.described(), Some(&pool)).unwrap(), &result);
    here.assert_same(&there);
    let (mut counts, mut expected) = ([0; 11], [0; 11]);
    let to = expected.as_mut_ptr();
    ok(unsafe {
        sys::fghm_ghm_count_batch(other.as_ptr(), null_mut(), &batch, 11, to, &mut result)
    });
    let mut described = here.described();
    let outcome = ghm.count_batch(&mut described, &mut counts, None).unwrap();
    assert_same(&outcome, &result);
    assert_eq!((counts, counts.iter().sum()), (expected, 32u64));
    ghm.update(&counts).unwrap();
    ok(unsafe { sys::fghm_ghm_update(other.as_ptr(), 11, counts.as_ptr()) });
    ok(unsafe { sys::fghm_ghm_apply_batch(other.as_ptr(), null_mut(), &batch, &mut result) });
    assert_same(&ghm.apply_batch(&mut described, None).unwrap(), &result);
    here.assert_same(&there);
}

/// Probabilities, labels with scores, factors of classes; and GHM's weight.
#[test]
fn other_fields() {
    let probabilities = [0.25, 0.5, 0.75, 0.125, 0.25, 0.5];
    let (labels, scores, weights) = ([2, 0], [0.5f32, 1.0], [3.0f32, 1.0]);
    let (alpha, factors) = ([0.25, 0.5, 1.0], [1.0, 2.0, 4.0]);
    let focal = Focal::new().unwrap();
    let mut gradient = [0.0; 6];
    let mut batch = Batch::new(&[2, 3])
        .class_axis(1)
        .activation(Activation::PROBABILITY)
        .target_form(TargetForm::LABEL_SCORE)
        .background(Background::LAST)
        .label_smoothing(0.125)
        .class_alpha(&alpha)
        .class_weights(&factors)
        .logits(&probabilities)
        .targets(&labels)
        .scores(&scores)
        .weights(Input::per_sample(&weights))
        .gradient(&mut gradient);
    let outcome = focal.compute_batch(&mut batch, None).unwrap();
    let mut expected = [0.0f64; 6];
    let mut batch = c_batch(&[2, 3], 1);
    batch.activation = sys::FGHM_PROBABILITY;
    batch.target_form = sys::FGHM_TARGET_LABEL_SCORE;
    batch.background = sys::FGHM_BACKGROUND_LAST;
    batch.label_smoothing = 0.125;
    batch.class_alpha = alpha.as_ptr();
    batch.class_weights = factors.as_ptr();
    batch.logits.data = probabilities.as_ptr().cast();
    batch.logits.dtype = sys::FGHM_F64;
    batch.targets.data = labels.as_ptr().cast();
    batch.targets.dtype = sys::FGHM_I32;
    batch.scores.data = scores.as_ptr().cast();
    batch.scores.dtype = sys::FGHM_F32;
    batch.weights.data = weights.as_ptr().cast();
    batch.weights.dtype = sys::FGHM_F32;
    batch.weights.layout = sys::FGHM_LAYOUT_PER_SAMPLE;
    batch.gradient.data = expected.as_mut_ptr().cast();
    batch.gradient.dtype = sys::FGHM_F64;
    let mut result = c_result();
    ok(unsafe { sys::fghm_focal_batch(focal.as_ptr(), null_mut(), &batch, &mut result) });
    assert_same(&outcome, &result);
    assert_eq!(gradient, expected);

    let (targets, mut harmonizing) = ([f32::NAN, 0.0, 1.0], [0.0f32; 3]);
    let logits = [1.0f32; 3];
    let mut ghm = Ghm::new(Kind::CLASSIFICATION).unwrap();
    let mut batch = Batch::new(&[3])
        .nan_targets_ignored()
        .logits(&logits)
        .targets(&targets)
        .harmonizing_weight(&mut harmonizing);
    assert_eq!(ghm.step_batch(&mut batch, None).unwrap().valid, 2);
    assert_eq!(harmonizing, [0.0, 1.0, 1.0]);
}

fn assert_near(number: f64, expected: f64) {
    assert!((number - expected).abs() < 1e-12, "{number} is not {expected}");
}

#[test]
fn gamma_of_classes() {
    let mut losses = [0.0f64; 3];
    let mut focal = Focal::new().unwrap();
    focal.clear_alpha().unwrap();
    let mut batch = Batch::new(&[3])
        .class_axis(0)
        .logits(&[0.0f64; 3])
        .targets(&[1.0f64; 3])
        .class_gamma(&[0.0, 1.0, 2.0])
        .element_loss(&mut losses);
    focal.compute_batch(&mut batch, None).unwrap();
    let ln_2 = std::f64::consts::LN_2;
    for (loss, expected) in losses.into_iter().zip([ln_2, ln_2 / 2.0, ln_2 / 4.0]) {
        assert_near(loss, expected);
    }
}

fn softmax_row<'a>(logits: &'a [f64; 3], label: &'a [i64; 1]) -> Batch<'a> {
    let batch = Batch::new(&[1, 3]).class_axis(1).activation(Activation::SOFTMAX);
    batch.target_form(TargetForm::LABEL).logits(logits).targets(label)
}

/// Added to zeros, offsets are the logits.
#[test]
fn offsets_of_classes() {
    let (zeros, offsets, label) = ([0.0; 3], [-1.0, 0.5, 2.0], [1]);
    let focal = Focal::new().unwrap();
    let mut given = softmax_row(&zeros, &label).class_offsets(&offsets);
    let found = focal.compute_batch(&mut given, None).unwrap();
    let expected = focal.compute_batch(&mut softmax_row(&offsets, &label), None).unwrap();
    assert_eq!(found.loss.to_bits(), expected.loss.to_bits());
}

/// All probabilities are 1/3, and the smoothed targets 0.8, 0.1 and 0.1.
#[test]
fn weights_of_terms() {
    let (zeros, factors, label) = ([0.0; 3], [1.0, 2.0, 4.0], [0]);
    let mut focal = Focal::new().unwrap();
    focal.set_gamma(0.0).unwrap();
    let smoothed = || softmax_row(&zeros, &label).class_weights(&factors).label_smoothing(0.3);
    let loss = |mut batch| focal.compute_batch(&mut batch, None).unwrap().loss;
    assert_near(loss(smoothed()), 3f64.ln());
    assert_near(loss(smoothed().class_weights_of_terms()), 1.4 * 3f64.ln());

    // The same targets as they are, whose factors are those of terms in any case.
    let dense = softmax_row(&zeros, &label).target_form(TargetForm::DENSE);
    assert_near(loss(dense.targets(&[0.8, 0.1, 0.1]).class_weights(&factors)), 1.4 * 3f64.ln());
}

#[test]
fn errors() {
    let (logits, high, scores) = ([0.0f32; 6], [1.5f32; 6], [-1.0f32; 2]);
    let (labels, good, six) = ([0, 3], [0i64; 2], [0i32; 6]);
    let focal = Focal::new().unwrap();
    let dense = || Batch::new(&[2, 3]).class_axis(1).logits(&logits).targets(&logits);
    let error = |mut batch: Batch<'_>| focal.compute_batch(&mut batch, None).unwrap_err();
    let labelled = || dense().target_form(TargetForm::LABEL).targets(&good);

    let mut gradient = [0.0f32; 6];
    match error(dense().targets(&high).gradient(&mut gradient)) {
        Error::Library { status, field, place, offender, outcome: Some(outcome), .. } => {
            assert_eq!((status, field), (Status::TARGET, Field::TARGETS));
            assert_eq!((place, offender), (Place::ELEMENT, 0));
            assert_eq!((outcome.elements, outcome.sum), (6, 0.0));
        }
        other => panic!("{other:?}"),
    }
    assert!(gradient[0].is_nan());
    let text = error(dense().targets(&high)).to_string();
    assert_eq!(text, "targets: a target is out of its range, element 0");

    let library = |status, field, other_field, place, offender| {
        move |error: Error| match error {
            Error::Library {
                status: s,
                field: f,
                other_field: o,
                place: p,
                offender: i,
                outcome,
                ..
            } => {
                assert_eq!((s, f, o, p, i), (status, field, other_field, place, offender));
                assert!(s.is_of_elements() || outcome == NO_OUTCOME);
            }
            other => panic!("{other:?}"),
        }
    };
    let none = Field::NONE;
    library(Status::PROBABILITY, Field::LOGITS, none, Place::ELEMENT, 0)(error(
        dense().activation(Activation::PROBABILITY).logits(&high),
    ));
    library(Status::SCORE, Field::SCORES, none, Place::SAMPLE, 0)(error(
        labelled().target_form(TargetForm::LABEL_SCORE).scores(&scores),
    ));
    library(Status::LABEL, Field::TARGETS, none, Place::SAMPLE, 1)(error(
        labelled().targets(&labels),
    ));
    library(Status::RANGE, Field::CLASS_ALPHA, none, Place::CLASS, 1)(error(
        dense().class_alpha(&[1.0, 2.0, 0.5]),
    ));
    library(Status::RANGE, Field::SHAPE, none, Place::AXIS, 1)(error(
        Batch::new(&[2, 0]).class_axis(1).logits(&[0.0; 0]).targets(&[0.0; 0]),
    ));
    let flat = Batch::new(&[6]).logits(&logits).targets(&logits);
    let combination = error(flat.activation(Activation::SOFTMAX));
    assert!(combination.to_string().starts_with("activation, class_axis: "));
    library(Status::COMBINATION, Field::ACTIVATION, Field::CLASS_AXIS, Place::NONE, -1)(
        combination,
    );
    let factors = [1.0; 3];
    library(Status::RANGE, Field::CLASS_GAMMA, none, Place::CLASS, 2)(error(
        dense().class_gamma(&[2.0, 0.0, 65.0]),
    ));
    let probabilities = dense().activation(Activation::PROBABILITY).class_offsets(&factors);
    assert_eq!(error(probabilities).field(), Field::CLASS_OFFSETS);
    let at = |status, field| {
        move |error: Error| assert_eq!((error.status(), error.field()), (Some(status), field))
    };
    at(Status::UNSET, Field::NDIM)(error(Batch::new(&[])));
    at(Status::RANGE, Field::NDIM)(error(Batch::new(&[1; 9])));
    at(Status::RANGE, Field::CLASS_AXIS)(error(dense().class_axis(2)));
    at(Status::RANGE, Field::CLASS_AXIS)(error(dense().class_axis(-3)));
    at(Status::RANGE, Field::CLASS_AXIS)(error(dense().class_axis(i32::MIN)));
    at(Status::NULL_POINTER, Field::TARGETS)(error(Batch::new(&[6]).logits(&logits)));
    at(Status::RANGE, Field::LABEL_SMOOTHING)(error(dense().label_smoothing(2.0)));
    at(Status::CONSTANT, Field::ACTIVATION)(error(dense().activation(Activation::from_raw(77))));
    at(Status::CONSTANT, Field::BACKGROUND)(error(labelled().background(Background::from_raw(77))));
    at(Status::DTYPE, Field::LOGITS)(error(dense().logits(&six)));
    at(Status::STRIDE, Field::GRADIENT)(error(dense().gradient(Output::strided(
        &mut gradient,
        &[0, 1],
        0,
    ))));
    at(Status::STRIDE, Field::TARGETS)(error(labelled().targets(Input::strided(&six, &[3, 1], 0))));
    let repeated = || Input::strided(&logits, &[0, 0], 0);
    at(Status::SIZE, Field::SHAPE)(error(
        Batch::new(&[1 << 40, 1 << 40]).logits(repeated()).targets(repeated()),
    ));
    at(Status::SIZE, Field::SHAPE)(error(
        Batch::new(&[usize::MAX, 1]).logits(repeated()).targets(repeated()),
    ));
    let mut by_weights = focal.clone();
    by_weights.set_reduction(Reduction::MEAN_WEIGHTS).unwrap();
    let divisor = by_weights.compute_batch(&mut dense().weights(&logits), None).unwrap_err();
    assert_eq!(divisor.status(), Some(Status::DIVISOR));
    let mut ghm = Ghm::new(Kind::CLASSIFICATION).unwrap();
    ghm.set_histograms(2).unwrap();
    let error = ghm.step_batch(&mut dense(), None).unwrap_err();
    assert_eq!(error.status(), Some(Status::HISTOGRAMS));
    ghm.set_histograms(3).unwrap();
    let error = ghm.count_batch(&mut dense(), &mut [0; 3], None).unwrap_err();
    assert_eq!((error.status(), error.field()), (Some(Status::CAPACITY), Field::CAPACITY));
}

#[test]
fn lengths() {
    let (six, five, two) = ([0.0f32; 6], [0.0f32; 5], [0i32; 2]);
    let (mut five_out, mut six_out, mut twelve_out) = ([0.0f32; 5], [0.0f32; 6], [0.0f32; 12]);
    let pair = [1.0; 2];
    let focal = Focal::new().unwrap();
    let dense = || Batch::new(&[2, 3]).class_axis(1).logits(&six).targets(&six);
    let labelled = || dense().target_form(TargetForm::LABEL).targets(&two);
    let refuse = |field, mut batch: Batch<'_>| match focal.compute_batch(&mut batch, None) {
        Err(Error::Length { field: f, .. } | Error::Strides { field: f, .. }) => {
            assert_eq!(f, field)
        }
        // What leaves the address space, or has strides 0 where none are given, C refuses.
        Err(Error::Library { status: Status::STRIDE, field: f, .. }) => assert_eq!(f, field),
        other => panic!("{other:?}"),
    };
    refuse(Field::LOGITS, dense().logits(&five));
    refuse(Field::TARGETS, dense().targets(&five));
    refuse(Field::TARGETS, labelled().targets(&[0; 3]));
    refuse(Field::SCORES, labelled().scores(&five));
    refuse(Field::WEIGHTS, dense().weights(&five));
    refuse(Field::WEIGHTS, dense().weights(Input::per_sample(&six)));
    refuse(Field::WEIGHTS, labelled().activation(Activation::SOFTMAX).weights(&six));
    refuse(Field::ELEMENT_LOSS, dense().element_loss(&mut five_out));
    refuse(Field::GRADIENT, dense().gradient(&mut five_out));
    refuse(Field::HESSIAN, dense().hessian(&mut five_out));
    refuse(Field::HARMONIZING_WEIGHT, dense().harmonizing_weight(&mut five_out));
    refuse(Field::CLASS_ALPHA, dense().class_alpha(&pair));
    refuse(Field::CLASS_GAMMA, dense().class_gamma(&pair));
    refuse(Field::CLASS_WEIGHTS, dense().class_weights(&pair));
    refuse(Field::CLASS_OFFSETS, dense().class_offsets(&pair));
    refuse(Field::CLASS_ALPHA, dense().class_axis(sys::FGHM_AXIS_NONE).class_alpha(&pair));

    // Strides: too few, too far ahead, too far back, from outside; and just not.
    let wrong: [(&[isize], usize); 10] = [
        (&[3], 0),
        (&[3, 2], 0),
        (&[3, 1], 1),
        (&[-3, 1], 0),
        (&[-3, -1], 4),
        (&[3, 1], 6),
        (&[3, 1], 7),
        (&[3, 1], usize::MAX),
        (&[isize::MIN, 1], 0),
        (&[isize::MAX, isize::MAX], 0),
    ];
    for (strides, first) in wrong {
        let output = Output::strided(&mut six_out, strides, first);
        refuse(Field::GRADIENT, dense().gradient(output));
    }
    assert_eq!(six_out, [0.0; 6]);
    let compute = |mut batch: Batch<'_>| focal.compute_batch(&mut batch, None).unwrap().elements;
    compute(dense().gradient(&mut six_out));
    let expected = six_out;
    assert_ne!(expected[5], 0.0);
    compute(dense().gradient(Output::strided(&mut six_out, &[-3, -1], 5)));
    compute(dense().gradient(Output::strided(&mut twelve_out, &[6, 2], 1)));
    assert!(expected.iter().eq(six_out.iter().rev()));
    assert_eq!((twelve_out[11], twelve_out[0]), (expected[5], 0.0));

    let none = [0.0f32; 0];
    assert_eq!(compute(Batch::new(&[0, 3]).class_axis(1).logits(&none).targets(&none)), 0);
    let strided = Input::strided(&none, &[3, 1], 0);
    assert_eq!(compute(Batch::new(&[0, 3]).class_axis(1).logits(strided).targets(&none)), 0);
}

#[test]
fn lengths_of_plain_calls() {
    let (eight, seven, mut seven_out, mut out) = ([0.0; 8], [0.0; 7], [0.0; 7], [0.0; 8]);
    let focal = Focal::new().unwrap();
    let mut ghm = Ghm::new(Kind::CLASSIFICATION).unwrap();
    fn refuse<T: std::fmt::Debug>(field: Field, result: Result<T>) {
        match result {
            Err(Error::Length { field: f, .. }) => assert_eq!(f, field),
            other => panic!("{other:?}"),
        }
    }
    let none = Arrays::default;
    let counts = &mut [0; 11];
    refuse(Field::TARGETS, focal.compute(&eight, &seven, none()));
    refuse(Field::TARGETS, ghm.step(&eight, &seven, none()));
    refuse(Field::TARGETS, ghm.apply(&eight, &seven, none()));
    refuse(Field::TARGETS, ghm.count(&eight, &seven, None, counts, None));
    refuse(Field::WEIGHTS, ghm.count(&eight, &eight, Some(&seven), counts, None));
    refuse(Field::TARGETS, ghm.density(&eight, &seven, None, &mut out, None));
    refuse(Field::WEIGHTS, ghm.density(&eight, &eight, Some(&seven), &mut out, None));
    refuse(Field::HARMONIZING_WEIGHT, ghm.density(&eight, &eight, None, &mut seven_out, None));
    refuse(Field::NONE, focal.calibrate(&eight, &mut seven_out, None));
    refuse(Field::LOGITS, focal.softmax(4, &seven, &[0; 2], None, none()));
    refuse(Field::LOGITS, focal.softmax(usize::MAX, &eight, &[0; 2], None, none()));
    refuse(
        Field::WEIGHTS,
        focal.compute(&eight, &eight, Arrays { weights: Some(&seven), ..none() }),
    );
    let arrays = Arrays { element_loss: Some(&mut seven_out), ..none() };
    refuse(Field::ELEMENT_LOSS, focal.compute(&eight, &eight, arrays));
    refuse(Field::GRADIENT, ghm.step(&eight, &eight, Arrays::gradient(&mut seven_out)));
    let arrays = Arrays { hessian: Some(&mut seven_out), ..none() };
    refuse(Field::HESSIAN, focal.softmax(4, &eight, &[0; 2], None, arrays));
    assert_eq!((seven_out, ghm.steps()), ([0.0; 7], Ok(0)));
    let error = focal.softmax(0, &[0.0f32; 0], &[], None, none()).unwrap_err();
    assert_eq!(error.status(), Some(Status::RANGE));
    let error = ghm.count(&eight, &eight, None, &mut [0; 3], None).unwrap_err();
    assert_eq!(error.status(), Some(Status::CAPACITY));
}
