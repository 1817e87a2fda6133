// SPDX-License-Identifier: MIT

//! Trains a linear classifier of handwritten digits with the softmax focal loss, 20 steps of
//! gradient descent, and prints the last loss and its bits.
//!
//!     cargo run --example digits digits.csv   # 64 numbers from 0 to 16 and the digit a line

use focalghm::{Arrays, Focal};

const PIXELS: usize = 64;
const CLASSES: usize = 10;
const STEPS: usize = 20;
const RATE: f64 = 4.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or("digits.csv".into());
    let (mut inputs, mut labels) = (Vec::new(), Vec::new());
    for line in std::fs::read_to_string(name)?.lines() {
        let numbers = line.split(',').map(str::parse).collect::<Result<Vec<u8>, _>>()?;
        inputs.extend(numbers[..PIXELS].iter().map(|pixel| f64::from(*pixel) / 16.0));
        labels.push(i64::from(numbers[PIXELS]));
    }
    let focal = Focal::new()?; // gamma 2, mean
    let mut weights = [0.0; PIXELS * CLASSES];
    let mut gradient = vec![0.0; labels.len() * CLASSES];
    let mut loss = 0.0;
    for _ in 0..STEPS {
        let mut logits = vec![0.0; gradient.len()];
        for k in 0..inputs.len() * CLASSES {
            let (i, c) = (k / CLASSES, k % CLASSES);
            logits[i / PIXELS * CLASSES + c] += inputs[i] * weights[i % PIXELS * CLASSES + c];
        }
        loss = focal.softmax(CLASSES, &logits, &labels, None, Arrays::gradient(&mut gradient))?;
        for k in 0..inputs.len() * CLASSES {
            let (i, c) = (k / CLASSES, k % CLASSES);
            let slope = gradient[i / PIXELS * CLASSES + c];
            weights[i % PIXELS * CLASSES + c] -= RATE * inputs[i] * slope;
        }
    }
    println!("{loss:.6} {:016x}", loss.to_bits());
    Ok(())
}
