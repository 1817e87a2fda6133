// SPDX-License-Identifier: MIT

//! Arrays of the crate ndarray: any view goes in as it is.
#![cfg(feature = "ndarray")]

use focalghm::*;
use ndarray::prelude::*;

fn compute(mut batch: Batch<'_>) -> Outcome {
    Focal::new().unwrap().compute_batch(&mut batch, None).unwrap()
}

fn logits() -> Array2<f32> {
    Array2::from_shape_fn((4, 3), |(i, j)| (i * 3 + j) as f32 / 4.0 - 1.0)
}

#[test]
fn views_give_the_bits_of_contiguous_arrays() {
    let logits = logits();
    let targets = Array2::from_shape_fn((4, 3), |(i, j)| f32::from((i + j) % 2 == 0));
    let mut expected = Array2::<f32>::zeros((4, 3));
    let of = |outcome: Outcome| outcome.loss.to_bits();
    let batch = || Batch::new(&[4, 3]).class_axis(1);
    let loss = of(compute(batch().logits(&logits).targets(&targets).gradient(&mut expected)));

    // Column-major, reversed, every second row of a larger one.
    let mut column_major = Array2::<f32>::zeros((4, 3).f());
    column_major.assign(&logits);
    let mut large = Array2::<f32>::zeros((8, 3));
    large.slice_mut(s![..;-2, ..]).assign(&targets);
    let mut gradient = Array2::<f32>::zeros((3, 4));
    let found = compute(
        batch()
            .logits(&column_major)
            .targets(large.slice(s![..;-2, ..]))
            .gradient(gradient.view_mut().reversed_axes()),
    );
    assert_eq!(of(found), loss);
    assert_eq!(gradient.t(), expected);

    // Gradient and Hessian alternate in one array, as LightGBM has them.
    let mut pairs = Array3::<f32>::zeros((4, 3, 2));
    let (mut first, mut second) = pairs.multi_slice_mut((s![.., .., 0], s![.., .., 1]));
    let batch = batch().logits(&logits).targets(&targets).gradient(first.view_mut());
    compute(batch.hessian(second.view_mut()));
    assert_eq!(pairs.slice(s![.., .., 0]), expected);
    assert_ne!(pairs[[0, 0, 1]], 0.0);
}

#[test]
fn arrays_of_samples_have_no_class_axis() {
    let logits = logits();
    let labels = array![[0u8, 1], [1, 7], [2, 7], [0, 7]];
    let weights = array![1.0, 2.0, 0.5, 1.0];
    let mut element_loss = Array1::<f32>::zeros(4);
    let softmax = || {
        Batch::new(&[4, 3])
            .class_axis(1)
            .activation(Activation::SOFTMAX)
            .target_form(TargetForm::LABEL)
            .logits(&logits)
    };
    let outcome = compute(
        softmax().targets(labels.column(0)).weights(&weights).element_loss(&mut element_loss),
    );
    let plain = Focal::new()
        .unwrap()
        .softmax(
            3,
            logits.as_slice().unwrap(),
            &[0, 1, 2, 0],
            None,
            Arrays { weights: Some(&[1.0, 2.0, 0.5, 1.0]), ..Arrays::default() },
        )
        .unwrap();
    assert_eq!(outcome.loss, plain);
    assert!(element_loss[3] > 0.0);

    // A broadcast view repeats its numbers.
    let factors = weights.view().insert_axis(Axis(1));
    let zeros = Array2::<f32>::zeros((4, 3));
    let dense = || Batch::new(&[4, 3]).class_axis(1).logits(&logits).targets(&zeros);
    let broadcast = compute(dense().weights(factors.broadcast((4, 3)).unwrap()));
    let per_sample = Input::per_sample(weights.as_slice().unwrap());
    assert_eq!(broadcast, compute(dense().weights(per_sample)));
}

#[test]
fn other_shapes_are_refused() {
    let (logits, zeros) = (logits(), Array2::<f32>::zeros((4, 3)));
    let focal = Focal::new().unwrap();
    let refuse = |field, mut batch: Batch<'_>| match focal.compute_batch(&mut batch, None) {
        Err(Error::Length { field: f, .. }) => assert_eq!(f, field),
        // Labels that step along classes.
        Err(Error::Library { status: Status::STRIDE, field: f, .. }) => assert_eq!(f, field),
        other => panic!("{other:?}"),
    };
    let batch = || Batch::new(&[4, 3]).class_axis(1).logits(&logits).targets(&zeros);
    refuse(Field::TARGETS, batch().targets(zeros.t()));
    refuse(Field::TARGETS, batch().targets(zeros.row(0)));
    refuse(Field::TARGETS, batch().targets(zeros.slice(s![.., ..2])));
    let labels = Array2::<i32>::zeros((4, 3));
    refuse(Field::TARGETS, batch().target_form(TargetForm::LABEL).targets(&labels));
    refuse(Field::TARGETS, batch().target_form(TargetForm::LABEL).targets(labels.row(0)));
    let nine = ArrayD::<f32>::zeros(vec![1; 9]);
    refuse(Field::LOGITS, batch().logits(&nine));
}
