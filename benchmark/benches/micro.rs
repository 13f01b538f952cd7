//! The pure core alone: parse a model, validate a plan, migrate an instance, encode and decode its document.
//! `cargo bench -p bench --features micro`

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench: a failure is a panic")]

#[expect(dead_code, reason = "its yardstick is for ./bench")]
#[path = "../src/pure.rs"]
mod pure;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use pure::{XML, definition, migrated, plan, started};
use shared::migration::validate_plan;
use shared::process::parse::parse;
use shared::process::stored::{self, RowIds};

fn core(c: &mut Criterion) {
    let (source, target, plan) = (definition(1), definition(2), plan());
    let instance = started(&source);
    let document = stored::write(&instance).unwrap();
    let place = RowIds { id: &instance.id, definition_id: &instance.definition_id };
    c.bench_function("parse a model", |b| b.iter(|| parse(black_box(XML)).unwrap()));
    c.bench_function("validate a plan", |b| b.iter(|| validate_plan(black_box(&plan), &source, &target)));
    c.bench_function("migrate an instance", |b| {
        b.iter_batched(|| instance.clone(), |instance| migrated(instance, &source, &target, &plan), BatchSize::SmallInput);
    });
    c.bench_function("encode a document", |b| b.iter(|| stored::write(black_box(&instance)).unwrap()));
    c.bench_function("decode a document", |b| b.iter(|| stored::read(black_box(&document), place).unwrap()));
}

criterion_group!(benches, core);
criterion_main!(benches);
