// SPDX-License-Identifier: MIT

//! Trains a linear classifier of handwritten digits with the softmax focal loss, 20 steps of
//! gradient descent, and prints the last loss and its bits.
//!
//!     cargo run --example digits digits.csv   # 64 numbers from 0 to 16 and the digit a line

use focalghm::{Arrays, Focal};
use std::error::Error;

const PIXELS: usize = 64;
const CLASSES: usize = 10;
const STEPS: usize = 20;
const RATE: f64 = 4.0;

fn train(inputs: &[[f64; PIXELS]], labels: &[i64]) -> focalghm::Result<f64> {
    let focal = Focal::new()?; // gamma 2, mean
    let mut weights = [[0.0; CLASSES]; PIXELS];
    let mut gradient = vec![0.0; labels.len() * CLASSES];
    let mut loss = 0.0;
    for _ in 0..STEPS {
        let mut logits = vec![0.0; labels.len() * CLASSES];
        for (row, logits) in inputs.iter().zip(logits.chunks_mut(CLASSES)) {
            for (x, weights) in row.iter().zip(&weights) {
                for (logit, weight) in logits.iter_mut().zip(weights) {
                    *logit += x * weight;
                }
            }
        }
        loss = focal.softmax(CLASSES, &logits, labels, None, Arrays::gradient(&mut gradient))?;
        for (row, gradient) in inputs.iter().zip(gradient.chunks(CLASSES)) {
            for (x, weights) in row.iter().zip(&mut weights) {
                for (weight, slope) in weights.iter_mut().zip(gradient) {
                    *weight -= RATE * x * slope;
                }
            }
        }
    }
    Ok(loss)
}

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or("digits.csv".into());
    let (mut inputs, mut labels) = (Vec::new(), Vec::new());
    for line in std::fs::read_to_string(name)?.lines() {
        let numbers = line.split(',').map(str::parse).collect::<Result<Vec<u8>, _>>()?;
        let (label, row) = numbers.split_last().ok_or("an empty line")?;
        inputs.push(<[u8; PIXELS]>::try_from(row)?.map(|pixel| f64::from(pixel) / 16.0));
        labels.push(i64::from(*label));
    }
    let loss = train(&inputs, &labels)?;
    println!("{loss:.6} {:016x}", loss.to_bits());
    Ok(())
}
