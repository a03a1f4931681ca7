//! How long the nearest vectors take to find, and how many of them are found, by an exact scan and by the index.
//!
//! `cargo run --release -p vector-index --example measure-vectors -- [ROWS QUESTIONS]`: a file of rows of 256 signed
//! bytes, as the column `vectors` of an `index.db` has them, and one of a question on each line. Without them the rows
//! and questions are random, around a thousand centres.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use std::{
    collections::HashSet,
    fs,
    time::{Duration, Instant},
};

use base::CancelToken;
use static_embedding::{Matrix, Scratch, StaticEmbedding, Vector};
use vector_index::{Hnsw, VectorIndex as _};

const DIMENSIONS: usize = 256;
/// What a search asks for.
const LIMIT: usize = 200;
const SIZES: [usize; 6] = [20_000, 50_000, 100_000, 200_000, 400_000, 600_000];
/// Candidates that are compared once more for each that is wanted.
const OVERSAMPLING: [usize; 3] = [2, 4, 6];
/// Neighbours in a file stay together when a part of the rows is measured.
const BLOCK: usize = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (rows, queries) = match &arguments[..] {
        [rows, questions] => {
            let embed =
                |line: &str| StaticEmbedding::shipped().query(line, &mut Scratch::default());
            let questions = fs::read_to_string(questions).unwrap();
            (fs::read(rows).unwrap(), questions.lines().map(embed).collect())
        }
        _ => random(SIZES[SIZES.len() - 1]),
    };
    println!("rows | exact ms | build s | file MB | open ms | candidates | ms | recall | worst");
    let all = rows.len() / DIMENSIONS;
    for size in SIZES.into_iter().filter(|size| *size / 2 < all) {
        let step = (all / size).max(1);
        let blocks = rows.chunks(BLOCK * DIMENSIONS).step_by(step);
        let mut part = blocks.collect::<Vec<_>>().concat();
        part.truncate(size * DIMENSIONS);
        measure(&Matrix::from_bytes(&part, DIMENSIONS), &queries);
    }
}

fn measure(rows: &Matrix, queries: &[Vector]) {
    let (exact, exact_time) = timed(queries, |query| {
        let (mut found, mut least) = (Vec::new(), 0.0);
        for (row, cosine) in rows.cosines(query).enumerate() {
            if cosine > least {
                found.push((cosine, row));
                if found.len() >= 1024 {
                    found = best(found);
                    least = found.last().map_or(0.0, |worst| worst.0);
                }
            }
        }
        best(found)
    });
    let cancel = CancelToken::new();
    let keyed = (0..).zip(rows.as_bytes().chunks_exact(DIMENSIONS));
    let begun = Instant::now();
    let index = Hnsw::build(DIMENSIONS, rows.len(), keyed, &cancel).unwrap();
    let build = begun.elapsed();
    let path = std::env::temp_dir().join(format!("measure-vectors-{}.hnsw", std::process::id()));
    index.save(&path, 0, &[]).unwrap();
    let begun = Instant::now();
    let index = Hnsw::open(&path, 0, &cancel).unwrap().unwrap();
    let open = begun.elapsed();
    let megabytes = fs::metadata(&path).unwrap().len() as f64 / 1e6;
    for times in OVERSAMPLING {
        let (found, time) = timed(queries, |query| {
            let candidates = index.search(query, LIMIT * times).unwrap();
            let rescored = candidates.into_iter().map(|(key, _)| {
                let row = key as usize;
                (rows.cosine(row, query).unwrap(), row)
            });
            best(rescored.filter(|found| found.0 > 0.0).collect())
        });
        let shares: Vec<f64> = exact
            .iter()
            .zip(&found)
            .map(|(exact, found)| {
                let found: HashSet<usize> = found.iter().map(|found| found.1).collect();
                let held = exact.iter().filter(|exact| found.contains(&exact.1)).count();
                held as f64 / exact.len().max(1) as f64
            })
            .collect();
        let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
        let worst = shares.iter().copied().fold(1.0, f64::min);
        println!(
            "{} | {:.2} | {:.0} | {megabytes:.0} | {:.0} | {} | {:.2} | {mean:.3} | {worst:.2}",
            rows.len(),
            milliseconds(exact_time),
            build.as_secs_f64(),
            milliseconds(open),
            LIMIT * times,
            milliseconds(time),
        );
    }
    Hnsw::remove(&path).unwrap();
}

/// The best so far, best first.
fn best(mut found: Vec<(f32, usize)>) -> Vec<(f32, usize)> {
    let order =
        |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1));
    found.sort_unstable_by(order);
    found.truncate(LIMIT);
    found
}

/// The answers, and the median time of one.
fn timed<T>(queries: &[Vector], mut answer: impl FnMut(&Vector) -> T) -> (Vec<T>, Duration) {
    let mut times = Vec::new();
    let answers = queries.iter().map(|query| {
        let begun = Instant::now();
        let answer = answer(query);
        times.push(begun.elapsed());
        answer
    });
    let answers = answers.collect();
    times.sort_unstable();
    (answers, times.get(times.len() / 2).copied().unwrap_or_default())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn random(count: usize) -> (Vec<u8>, Vec<Vector>) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut vector = move |scale: f32| -> Vec<f32> {
        let mut number = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % 2001) as f32 / 1000.0 - 1.0
        };
        (0..DIMENSIONS).map(|_| number() * scale).collect()
    };
    let centres: Vec<Vec<f32>> = (0..1000).map(|_| vector(1.0)).collect();
    let mut around = |at: usize| {
        let noise = vector(1.0);
        let sum = centres[at % centres.len()].iter().zip(noise).map(|(a, b)| a + b);
        Vector::new(&sum.collect::<Vec<f32>>())
    };
    let rows = (0..count).flat_map(|at| around(at).as_bytes().to_vec()).collect();
    (rows, (0..150).map(|at| around(at * 7)).collect())
}
